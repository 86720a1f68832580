"""When there are results: at a steady rate, or at instants that are asked for.

packets ─▶ instants(…) ─▶ t_us, while `recent` holds the events up to it
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.source import EventSource
from evface_edge.tracking.event_buffer import EventBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A longer silence is a new beginning: nothing is walked through, and no face is held over it.
MAX_SILENCE_US = 10_000_000


class Schedule(Protocol):
    """What is due next.

    Attributes:
        due_us: the next instant; None when there is none left.
        closes: whether the last event makes one more.
    """

    due_us: int | None
    closes: bool

    def begin(self, first_us: int) -> None:
        """Events begin, or begin again after a gap, at that time."""

    def advance(self) -> None:
        """To the next instant."""


class FixedRate:
    """A period apart, the first a period after the first event."""

    closes = True

    def __init__(self, period_us: int) -> None:
        self._period_us = period_us
        self.due_us: int | None = None

    def begin(self, first_us: int) -> None:
        self.due_us = first_us + self._period_us

    def advance(self) -> None:
        if self.due_us is not None:
            self.due_us += self._period_us


class Timestamps:
    """Those in a list; what lies before the first event, or in a long gap, is left out.

    Raises:
        ConfigError: on the way, an instant that is not later than the one before it.
    """

    closes = False

    def __init__(self, at_us: Iterable[int]) -> None:
        self._rest = iter(at_us)
        self._before_us: int | None = None
        self.due_us: int | None = None
        self.advance()

    def begin(self, first_us: int) -> None:
        while self.due_us is not None and self.due_us < first_us:
            self.advance()

    def advance(self) -> None:
        following = next(self._rest, None)
        self.due_us = None if following is None else int(following)
        if self.due_us is None:
            return
        if self._before_us is not None and self.due_us <= self._before_us:
            raise ConfigError("at_us", self.due_us, f"an instant after {self._before_us} µs")
        self._before_us = self.due_us


class FrameSkipper:
    """Whether an instant had better be skipped, because events wait."""

    #: However far behind, there is a result this often.
    LONGEST_S = 0.05

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._shown_s = time.monotonic()

    def skips(self) -> bool:
        now_s = time.monotonic()
        waiting = getattr(self._source.counters, "backlog_events", 0)
        if waiting and now_s - self._shown_s < self.LONGEST_S:
            return True
        self._shown_s = now_s
        return False


def instants(
    packets: Iterable[EventArray],
    recent: EventBuffer,
    schedule: Schedule,
    haste: FrameSkipper | None = None,
) -> Iterator[int]:
    """Output instants of a stream; when one is yielded, `recent` holds the events up to it.

    Silence is walked through, since landmarks are held in it, but for a gap of more than
    MAX_SILENCE_US. In haste, of the instants of a packet only the last counts, and that only if no
    further packet waits.

    Raises:
        EventFormatError: a packet that begins before the end of the one before it.
    """
    newest = shown = None
    for packet in _unbroken(packets):
        times: NDArray[np.int64] = packet["t"]
        first = int(times[0])
        if newest is not None and first < newest:
            raise EventFormatError(
                f"the source delivered an event at {first} µs after one at {newest} µs; a "
                "source must be in order of time"
            )
        if newest is None or first - newest > MAX_SILENCE_US:
            schedule.begin(first)
        done = 0
        newest = int(times[-1])
        while schedule.due_us is not None and schedule.due_us <= newest:
            due = schedule.due_us
            # Not NumPy's search, which would first copy the whole field.
            upto = bisect_right(times, due, done)
            recent.append(packet[done:upto])
            done = upto
            schedule.advance()
            last_of_packet = schedule.due_us is None or schedule.due_us > newest
            if haste is None or (last_of_packet and not haste.skips()):
                shown = due
                yield due
        if schedule.due_us is None:
            return
        recent.append(packet[done:])
    if schedule.closes and newest is not None and newest != shown:
        yield newest


def _unbroken(packets: Iterable[EventArray]) -> Iterator[EventArray]:
    """The same events, with no gap of more than MAX_SILENCE_US inside a packet.

    Looks at a few events for each stretch of that duration, not at all of them.
    """
    for packet in packets:
        times: NDArray[np.int64] = packet["t"]
        start = seen = 0  # of the part; no gap lies before `seen`
        while seen < len(packet):
            beyond = bisect_right(times, int(times[seen]) + MAX_SILENCE_US, seen)
            if beyond == len(packet):
                break
            if times[beyond] - times[beyond - 1] > MAX_SILENCE_US:
                yield packet[start:beyond]
                start = seen = beyond
            else:
                seen = beyond - 1
        if start < len(packet):
            yield packet[start:]
