"""Run on a live source: a camera, a network stream or a replay.

with open_events("camera:prophesee") as camera, until_stopped(camera, seconds=20) as source:
    for t_us, faces in predictor.stream(source):
        ...
print(describe_losses(camera.counters))
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events.array import EventArray
from evface_edge.events.damage import describe_damage
from evface_edge.events.source import Counters, EventSource, LiveCounters, SourceWrapper

__all__ = ["StoppableSource", "describe_losses", "until_stopped"]


class StoppableSource(SourceWrapper):
    """A live source whose iteration ends, rather than fails, when the camera goes away.

    Attributes:
        error: why the camera went away; None if it did not.
    """

    def __init__(self, source: EventSource) -> None:
        super().__init__(source)
        self.error: CameraError | None = None

    def __iter__(self) -> Iterator[EventArray]:
        try:
            yield from self._source
        except CameraError as error:
            self.error = error

    def raise_error(self) -> None:
        """Raise what ended the camera, once the results are saved; do nothing if it did not fail.

        Raises:
            CameraError: the camera went away.
        """
        if self.error is not None:
            raise self.error


@contextmanager
def until_stopped(
    source: EventSource, *, seconds: float | None = None
) -> Iterator[StoppableSource]:
    """A source that ends after `seconds`, at the first Ctrl-C, or when the camera goes away.

    The first Ctrl-C ends the iteration, so that results can be saved; the second one raises
    KeyboardInterrupt. A recording ends by itself: Ctrl-C raises KeyboardInterrupt at once.

    Raises:
        ConfigError: `seconds` is not above 0, or the source is a recording.
    """
    if not source.live:
        if seconds is not None:
            raise ConfigError(
                "seconds",
                seconds,
                "a camera",
                reason="seconds is only for cameras; a recording is read as a whole",
            )
        yield StoppableSource(source)
        return
    if seconds is not None and not 0 < seconds < threading.TIMEOUT_MAX:
        raise ConfigError("seconds", seconds, "a number above 0")
    timer = None if seconds is None else threading.Timer(seconds, source.close)
    if timer is not None:
        timer.daemon = True
        timer.start()
    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT) if in_main_thread else None

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, previous)
        # In a thread: the interrupted code may hold a lock of the source.
        threading.Thread(target=source.close, daemon=True).start()

    if in_main_thread:
        signal.signal(signal.SIGINT, stop)
    try:
        yield StoppableSource(source)
    finally:
        if timer is not None:
            timer.cancel()
        if in_main_thread:
            signal.signal(signal.SIGINT, previous)


def describe_losses(counters: Counters) -> str:
    """What a live source lost, in words: "0 events (0.0%) dropped"."""
    if not isinstance(counters, LiveCounters):
        return f"{counters.packets_dropped:,} packets"
    total = max(counters.received, 1)
    words = [f"{counters.events_dropped:,} events ({counters.events_dropped / total:.1%}) dropped"]
    for count, what in (
        (counters.overflows, "overflows of the driver"),
        (counters.driver_packets_dropped, "packets dropped by the driver"),
        (counters.clock_resets, "resets of the clock"),
        (counters.reconnects, "reconnections"),
    ):
        if count:
            words.append(f"{count:,} {what}")
    if counters.damaged:
        words.append(describe_damage(counters.damaged))
    return ", ".join(words)
