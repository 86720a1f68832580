"""Ctrl-C in a long run: the first asks it to end well, the second ends it."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopRequest:
    """While it is entered, the first SIGINT or SIGTERM sets `asked`; the next one interrupts.

    Schedulers and `torchrun` send SIGTERM where a person presses Ctrl-C. Python handles signals in
    the main thread only: in any other, nothing is changed.
    """

    asked = False
    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> StopRequest:
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {one: signal.signal(one, self._ask) for one in self._SIGNALS}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        for one in self._SIGNALS:
            signal.signal(one, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        for one, handler in self._previous.items():
            signal.signal(one, handler)
