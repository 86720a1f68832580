"""Cutting a stream of packets into windows, exactly, wherever the packets begin and end.

Each function takes packets as an EventSource yields them, in order of time, and yields `Window`s.
The windows depend on the events alone: any split of the same stream into packets gives the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray, copied, joined


@dataclass(frozen=True, eq=False)
class Window:
    """Events (N,), possibly none, and the time they stand for.

    Attributes:
        start_us, end_us: the events lie in [start_us, end_us); only a window that was closed
            because it was full may share its last microsecond with the next.
    """

    start_us: int
    end_us: int
    events: EventArray


class _Buffer:
    """Events that came and are not yet in a window."""

    def __init__(self) -> None:
        self._packets: list[EventArray] = []
        self._joined: EventArray = np.empty(0, EVENT_DTYPE)

    def push(self, packet: EventArray) -> None:
        # A source may use the memory of a packet again.
        self._packets.append(copied(packet))

    def __len__(self) -> int:
        return len(self._joined) + sum(map(len, self._packets))

    @property
    def events(self) -> EventArray:
        if self._packets:
            self._joined = joined([self._joined, *self._packets])
            self._packets.clear()
        return self._joined

    def drop(self, count: int) -> None:
        self._joined = self.events[count:]


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(name, value, "a number above 0")


def by_duration(
    packets: Iterable[EventArray], duration_us: int, *, origin_us: int | None = None
) -> Iterator[Window]:
    """Windows of equal duration, one after the other, empty ones included.

    Args:
        origin_us: where the first begins; by default at the first event. Earlier events are an
            error.

    Raises:
        ConfigError: a duration below 1 µs, or events before the origin.
    """
    _positive("duration_us", duration_us)
    start, held = origin_us, _Buffer()
    for packet in packets:
        if not len(packet):
            continue
        first = int(packet["t"][0])
        if start is None:
            start = first
        if first < start:
            raise ConfigError("origin_us", origin_us, f"at most {first}, the time of an event")
        held.push(packet)
        last = int(packet["t"][-1])
        while last >= start + duration_us:
            end = start + duration_us
            count = int(np.searchsorted(held.events["t"], end))
            yield Window(start, end, held.events[:count])
            held.drop(count)
            start = end
    if start is not None and len(held.events):
        yield Window(start, start + duration_us, held.events)


def by_count(packets: Iterable[EventArray], count: int) -> Iterator[Window]:
    """Windows of `count` events, one after the other; the last has what remains.

    Raises:
        ConfigError: a count below 1.
    """
    _positive("count", count)
    held, waiting, end = _Buffer(), 0, None
    for packet in packets:
        if not len(packet):
            continue
        held.push(packet)
        waiting += len(packet)
        while waiting >= count:
            window = _full(held.events[:count], end)
            yield window
            end = window.end_us
            held.drop(count)
            waiting -= count
    if waiting:
        yield _full(held.events, end)


def _full(events: EventArray, previous_end: int | None) -> Window:
    first, end = int(events["t"][0]), int(events["t"][-1]) + 1
    return Window(first if previous_end is None else min(previous_end, first), end, events)


def adaptive(packets: Iterable[EventArray], count: int, max_duration_us: int) -> Iterator[Window]:
    """Windows that close at `count` events or after `max_duration_us`, whichever comes first.

    In fast motion they are short; when little happens there is still one every `max_duration_us`,
    empty or not.

    Raises:
        ConfigError: a count or duration below 1.
    """
    _positive("count", count)
    _positive("max_duration_us", max_duration_us)
    held, waiting, start = _Buffer(), 0, None
    for packet in packets:
        if not len(packet):
            continue
        first, last = int(packet["t"][0]), int(packet["t"][-1])
        # Events that share the last microsecond of a full window begin the next.
        start = first if start is None else min(start, first)
        held.push(packet)
        waiting += len(packet)
        while waiting >= count or (waiting and last >= start + max_duration_us):
            events = held.events
            end = start + max_duration_us
            taken = int(np.searchsorted(events["t"], end))
            if taken >= count:
                taken = count
                end = int(events["t"][count - 1]) + 1
            yield Window(start, end, events[:taken])
            held.drop(taken)
            waiting -= taken
            start = min(end, int(held.events["t"][0])) if waiting else end
    if start is not None and waiting:
        yield Window(start, start + max_duration_us, held.events)


def at_rate(
    packets: Iterable[EventArray], rate_hz: float, count: int, max_duration_us: int
) -> Iterator[Window]:
    """At `rate_hz`, counted from the first event: the newest events of each instant.

    A window ends at its instant, holds the newest `count` events before it at most, none older
    than `max_duration_us`, and overlaps with its neighbours. The last instant is the first after
    the last event.

    Raises:
        ConfigError: a rate that is not above 0 and at most 1 MHz, a count or duration below 1.
    """
    if not 0 < rate_hz <= 1e6:
        raise ConfigError("rate_hz", rate_hz, "a number above 0, at most 1000000")
    _positive("count", count)
    _positive("max_duration_us", max_duration_us)
    held, origin, index = _Buffer(), None, 1
    for packet in packets:
        if not len(packet):
            continue
        if origin is None:
            origin = int(packet["t"][0])
        held.push(packet)
        last = int(packet["t"][-1])
        while last >= (instant := origin + round(index * 1e6 / rate_hz)):
            yield _newest(held, instant, count, max_duration_us)
            index += 1
        if len(held) > 4 * count:
            held.drop(len(held) - count)  # no later instant looks further back
    if origin is not None:
        instant = origin + round(index * 1e6 / rate_hz)
        yield _newest(held, instant, count, max_duration_us)


def _newest(held: _Buffer, instant: int, count: int, max_duration_us: int) -> Window:
    start = instant - max_duration_us
    stop = int(np.searchsorted(held.events["t"], instant))
    first = max(int(np.searchsorted(held.events["t"][:stop], start)), stop - count)
    held.drop(first)  # later instants look at later events only
    events = held.events[: stop - first]
    if len(events) == count:
        start = max(start, int(events["t"][0]))
    return Window(start, instant, events)
