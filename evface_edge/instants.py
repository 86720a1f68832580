"""Output instants: at a fixed rate, or at given times.

packets ─▶ instants(…) ─▶ t_us, when `buffer` holds the events up to it
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from evface_edge.errors import ConfigError, EventFormatError, InputTypeError
from evface_edge.events.array import EventArray
from evface_edge.events.source import EventSource
from evface_edge.tracking.event_buffer import EventBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: After a longer silence the rate starts anew: it has no instants, and no face is held over it.
MAX_SILENCE_US = 10_000_000


class FixedRate:
    """One instant in each period; the first is one period after the first event.

    Attributes:
        due_us: the next instant, or None after the last one.
        at_end: whether there is one more instant at the last event.
    """

    at_end = True

    def __init__(self, period_us: int) -> None:
        self._period_us = period_us
        self.due_us: int | None = None

    def begin(self, first_us: int) -> None:
        """Start with the first event, or with the first one after a long silence."""
        self.due_us = first_us + self._period_us

    def advance(self) -> None:
        """Go to the next instant."""
        if self.due_us is not None:
            self.due_us += self._period_us


class Timestamps:
    """Given instants, as `FixedRate`; those before the first event or in a silence are skipped.

    Raises:
        InputTypeError: no iterable; while iterating, an instant that is not a number.
        ConfigError: while iterating, an instant that is not later than the previous one.
    """

    at_end = False

    def __init__(self, at_us: Iterable[int]) -> None:
        try:
            self._rest = iter(at_us)
        except TypeError:
            raise InputTypeError("at_us", at_us, "several times in µs, such as a list") from None
        self._previous_us: int | None = None
        self.due_us: int | None = None
        self.advance()

    def begin(self, first_us: int) -> None:
        while self.due_us is not None and self.due_us < first_us:
            self.advance()

    def advance(self) -> None:
        try:
            upcoming = next(self._rest)
        except StopIteration:
            self.due_us = None
        else:
            self.due_us = self._previous_us = self._checked(upcoming)

    def _checked(self, upcoming: Any) -> int:
        try:
            due_us = int(upcoming)
            is_whole = due_us == upcoming
        except (TypeError, ValueError, OverflowError):
            is_whole = False
        if not is_whole:
            raise InputTypeError("at_us", upcoming, "whole numbers of µs")
        if self._previous_us is not None and due_us <= self._previous_us:
            raise ConfigError(
                "at_us",
                due_us,
                f"more than {self._previous_us}",
                reason=f"at_us: times must increase; {due_us} follows {self._previous_us}",
            )
        return due_us


#: The times of output instants.
Schedule: TypeAlias = FixedRate | Timestamps


class FrameSkipper:
    """Skips instants while newer events of a live source wait."""

    #: Longest time without a result, however far behind.
    LONGEST_S = 0.05

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._shown_s = time.monotonic()

    def skips(self) -> bool:
        """Whether to skip this instant."""
        now_s = time.monotonic()
        waiting = getattr(self._source.counters, "backlog_events", 0)
        if waiting and now_s - self._shown_s < self.LONGEST_S:
            return True
        self._shown_s = now_s
        return False


def instants(
    packets: Iterable[EventArray],
    buffer: EventBuffer,
    schedule: Schedule,
    skipper: FrameSkipper | None = None,
) -> Iterator[int]:
    """Output instants of a stream, µs; when one is yielded, `buffer` holds the events up to it.

    There are instants without events too, since landmarks are held, but not in a silence of more
    than MAX_SILENCE_US. With a skipper only the last instant of each packet is yielded, if it does
    not skip that one.

    Raises:
        EventFormatError: a packet starts before the end of the previous one.
    """
    newest = shown = None
    for packet in _unbroken(packets):
        times: NDArray[np.int64] = packet["t"]
        first = int(times[0])
        if newest is not None and first < newest:
            raise EventFormatError(
                f"the source returned an event at {first} µs after one at {newest} µs",
                field="t",
                value=first,
                expected=f"{newest} or later",
                fix="sort the events by time",
            )
        if newest is None or first - newest > MAX_SILENCE_US:
            schedule.begin(first)
        done = 0
        newest = int(times[-1])
        while schedule.due_us is not None and schedule.due_us <= newest:
            due = schedule.due_us
            # NumPy's search would first copy the whole field.
            upto = bisect_right(times, due, done)
            buffer.append(packet[done:upto])
            done = upto
            schedule.advance()
            last_of_packet = schedule.due_us is None or schedule.due_us > newest
            if skipper is None or (last_of_packet and not skipper.skips()):
                shown = due
                yield due
        if schedule.due_us is None:
            return
        buffer.append(packet[done:])
    if schedule.at_end and newest is not None and newest != shown:
        yield newest


def _unbroken(packets: Iterable[EventArray]) -> Iterator[EventArray]:
    """The packets, split at silences of more than MAX_SILENCE_US.

    Reads only a few events for each stretch of that duration.
    """
    for packet in packets:
        times: NDArray[np.int64] = packet["t"]
        start = checked = 0  # of the part; there is no silence before `checked`
        while checked < len(packet):
            beyond = bisect_right(times, int(times[checked]) + MAX_SILENCE_US, checked)
            if beyond == len(packet):
                break
            if times[beyond] - times[beyond - 1] > MAX_SILENCE_US:
                yield packet[start:beyond]
                start = checked = beyond
            else:
                checked = beyond - 1
        if start < len(packet):
            yield packet[start:]
