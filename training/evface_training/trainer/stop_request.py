"""Ctrl-C in a long run: the first one ends it after the current step, the second at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopRequest:
    """Context in which the first SIGINT or SIGTERM sets `requested`; the next one interrupts.

    Schedulers and `torchrun` send SIGTERM in place of Ctrl-C. Python handles signals in the main
    thread only; in other threads nothing changes.
    """

    requested = False
    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> StopRequest:
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {one: signal.signal(one, self._request) for one in self._SIGNALS}
        return self

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for one in self._SIGNALS:
            signal.signal(one, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        for one, handler in self._previous.items():
            signal.signal(one, handler)
