"""Order of time with the policy `skip`: of the events, keep the largest number that is in order.

An event with a wrong time shows only by those around it: the events after a jump forward seem
late, and stale events at the start seem right. Hence a whole buffer of events is looked at, and
the longest sequence in order is kept (a longest non-decreasing subsequence, by patience sorting:
Fredman 1975). Its steps are of 1 ms, because real cameras step back by less; such events are kept
and get the time of the event before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EVENT_DTYPE, EventArray, joined
from evface_edge.events.compiled import compiled
from evface_edge.events.limits import MAX_STEP_BACK_US, MAX_STEP_FORWARD_US

#: Whether an event at the end of the buffer is sound is decided when this many more have come.
_HELD = 1024
#: Events are gathered up to this number before they are looked at.
_GATHERED = 8 * _HELD

#: Slots of the state of `keep_in_order`, which fills all but the first.
STARTED, LAST, CLAMPED, LATE, GAPS = range(5)


@compiled
def _is_in_order(t: Any, started: Any, last: Any) -> bool:
    """Whether all events (N,) are, except for short steps back."""
    for i in range(len(t)):
        if started:
            step = t[i] - last
            if step < -MAX_STEP_BACK_US or step > MAX_STEP_FORWARD_US:
                return False
        last = t[i] if not started or t[i] > last else last
        started = 1
    return True


@compiled
def _longest(t: Any, started: Any, last: Any, keep: Any) -> None:
    """Marks the longest sequence in order, in steps of 1 ms; none of it before `last`."""
    # Position k of `ends` has the event that ends a sequence of k + 1 with the smallest time.
    ends, before = np.empty(len(t), np.int64), np.empty(len(t), np.int64)
    length = 0
    for i in range(len(t)):
        if started and t[i] < last - MAX_STEP_BACK_US:
            continue
        key = t[i] >> 10
        low, high = 0, length
        if length and key >= t[ends[length - 1]] >> 10:
            low = length
        while low < high:
            middle = (low + high) // 2
            if key >= t[ends[middle]] >> 10:
                low = middle + 1
            else:
                high = middle
        before[i] = ends[low - 1] if low else -1
        ends[low] = i
        length = max(length, low + 1)
    i = ends[length - 1] if length else -1
    while i >= 0:
        keep[i] = True
        i = before[i]


@compiled
def _largest_run(t: Any, keep: Any) -> int:
    """The first event of the longest run of kept events without a step of more than one hour."""
    best, best_start, count, start, last = 0, 0, 0, 0, np.int64(0)
    for i in range(len(t)):
        if not keep[i]:
            continue
        if count == 0 or t[i] - last > MAX_STEP_FORWARD_US:
            count, start = 0, i
        count += 1
        last = t[i]
        if count > best:
            best, best_start = count, start
    return best_start


@compiled
def keep_in_order(t: Any, decided: int, state: Any, keep: Any) -> None:
    """Marks which of the first `decided` events are kept, and clamps their times.

    Args:
        t: times (N,), µs; those of kept events are changed so that they never decrease.
        state: (5,) whether there were events before, the time of the last one, and how many were
            clamped, late, and more than one hour ahead.
        keep: (N,) booleans, False.
    """
    started, last = state[STARTED], state[LAST]
    if _is_in_order(t, started, last):
        keep[:] = True
        first = 0
    else:
        _longest(t, started, last, keep)
        first = 0 if started else _largest_run(t, keep)
    # The time of the next event of the sequence, for each event.
    coming = np.empty(len(t), np.int64)
    following = np.int64(-(2**62))
    for i in range(len(t) - 1, -1, -1):
        coming[i] = following
        if keep[i]:
            following = t[i]
    for i in range(decided):
        now = t[i]
        if keep[i]:
            sound = i >= first and (not started or now - last <= MAX_STEP_FORWARD_US)
            if not sound:
                state[GAPS] += 1
        else:
            # Short steps back that cross a step of 1 ms.
            low, high = last - MAX_STEP_BACK_US, coming[i] + MAX_STEP_BACK_US
            high = min(high, last + MAX_STEP_FORWARD_US)
            sound = started and low <= now <= high and i >= first
            if not sound and started and now < last:
                state[LATE] += 1
            elif not sound:
                state[GAPS] += 1
        keep[i] = sound
        if sound:
            if started and now < last:
                state[CLAMPED] += 1
                t[i] = last
            last, started = t[i], 1
    state[STARTED], state[LAST] = started, last


class Order:
    """Leaves out events that are not in order of time; their number is in `state`."""

    def __init__(self) -> None:
        self.state: NDArray[np.int64] = np.zeros(5, np.int64)
        self._parts: list[EventArray] = []
        self._count = 0

    def push(self, events: EventArray) -> EventArray:
        """Takes events (N,), and returns those that are decided (M,)."""
        self._parts.append(events)
        self._count += len(events)
        return self._decide(self._count - _HELD) if self._count >= _GATHERED else events[:0]

    def finish(self) -> EventArray:
        """Returns the rest."""
        return self._decide(self._count)

    def _decide(self, decided: int) -> EventArray:
        events = joined(self._parts)
        rest = events[decided:].copy()
        kept = in_order(events, self.state, decided)
        self._parts, self._count = [rest], len(rest)
        return kept


def in_order(events: EventArray, state: NDArray[np.int64], decided: int) -> EventArray:
    """Those of the first `decided` events that are kept, as a new array."""
    t = np.ascontiguousarray(events["t"])
    keep = np.zeros(len(t), np.bool_)
    keep_in_order(t, decided, state, keep)
    kept: EventArray = np.empty(int(np.count_nonzero(keep[:decided])), EVENT_DTYPE)
    kept[:] = events[:decided][keep[:decided]]
    kept["t"] = t[:decided][keep[:decided]]
    return kept


def packets_in_order(packets: Iterable[EventArray], order: Order) -> Iterator[EventArray]:
    """The packets without the events that are not in order; those before an error come first."""
    failure: EventFormatError | OSError | None = None
    try:
        for events in packets:
            decided = order.push(events)
            if len(decided):
                yield decided
    except (EventFormatError, OSError) as error:
        failure = error
    rest = order.finish()
    if len(rest):
        yield rest
    if failure is not None:
        raise failure
