"""Windows of an event stream.

Each function takes the packets of an EventSource, and yields `Window`s. The windows depend on the
events alone: any split of the same stream into packets gives the same windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray, copied, joined


@dataclass(frozen=True, eq=False)
class Window:
    """Events (N,), N ≥ 0, and their interval of time.

    Attributes:
        start_us, end_us: the events lie in [start_us, end_us). Only a window that was closed
            because it was full may share its last microsecond with the next one.
    """

    start_us: int
    end_us: int
    events: EventArray


class _Buffer:
    """Events that are not yet in a window."""

    def __init__(self) -> None:
        self._packets: list[EventArray] = []
        self._joined: EventArray = np.empty(0, EVENT_DTYPE)
        self._times = np.empty(0, np.int64)

    def push(self, packet: EventArray) -> None:
        # The caller may reuse the memory of a packet.
        self._packets.append(copied(packet))

    def __len__(self) -> int:
        return len(self._joined) + sum(map(len, self._packets))

    def _join(self) -> None:
        self._joined = joined([self._joined, *self._packets])
        # A search in a field of records would copy the whole field each time.
        self._times = np.ascontiguousarray(self._joined["t"])
        self._packets.clear()

    @property
    def events(self) -> EventArray:
        if self._packets:
            self._join()
        return self._joined

    @property
    def times(self) -> NDArray[np.int64]:
        """Their timestamps."""
        if self._packets:
            self._join()
        return self._times

    def drop(self, count: int) -> None:
        self._joined = self.events[count:]
        self._times = self._times[count:]


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(name, value, "a number above 0")


def by_duration(
    packets: Iterable[EventArray], duration_us: int, *, origin_us: int | None = None
) -> Iterator[Window]:
    """Yields windows of equal duration, one after the other, including empty ones.

    Args:
        origin_us: start of the first window; by default the first event.

    Raises:
        ConfigError: the duration is below 1 µs, or an event is earlier than the origin.
    """
    _positive("duration_us", duration_us)
    start, buffer = origin_us, _Buffer()
    for packet in packets:
        if not len(packet):
            continue
        first = int(packet["t"][0])
        if start is None:
            start = first
        if first < start:
            raise ConfigError("origin_us", origin_us, f"at most {first}, the time of an event")
        buffer.push(packet)
        last = int(packet["t"][-1])
        while last >= start + duration_us:
            end = start + duration_us
            count = int(np.searchsorted(buffer.times, end))
            yield Window(start, end, buffer.events[:count])
            buffer.drop(count)
            start = end
    if start is not None and len(buffer.events):
        yield Window(start, start + duration_us, buffer.events)


def by_count(packets: Iterable[EventArray], count: int) -> Iterator[Window]:
    """Yields windows of `count` events, one after the other; the last one may have fewer.

    Raises:
        ConfigError: `count` is below 1.
    """
    return _limited(packets, count, None)


def adaptive(packets: Iterable[EventArray], count: int, max_duration_us: int) -> Iterator[Window]:
    """Yields windows of `count` events or `max_duration_us`, whichever comes first.

    They are short in fast motion. Without motion there is still one every `max_duration_us`, which
    may be empty.

    Raises:
        ConfigError: `count` or `max_duration_us` is below 1.
    """
    return _limited(packets, count, max_duration_us)


def _limited(
    packets: Iterable[EventArray], count: int, max_duration_us: int | None
) -> Iterator[Window]:
    """Windows limited in their number of events, and in duration unless that is None."""
    _positive("count", count)
    if max_duration_us is not None:
        _positive("max_duration_us", max_duration_us)
    buffer, waiting, start = _Buffer(), 0, None
    for packet in packets:
        if not len(packet):
            continue
        first, last = int(packet["t"][0]), int(packet["t"][-1])
        # Events that share the last microsecond of a full window start the next one.
        start = first if start is None else min(start, first)
        buffer.push(packet)
        waiting += len(packet)
        limit = None if max_duration_us is None else start + max_duration_us
        while waiting >= count or (waiting and limit is not None and last >= limit):
            times = buffer.times
            taken = waiting if limit is None else int(np.searchsorted(times, limit))
            if limit is None or taken >= count:
                taken, end = count, int(times[count - 1]) + 1
            else:
                end = limit
            yield Window(start, end, buffer.events[:taken])
            buffer.drop(taken)
            waiting -= taken
            start = min(end, int(buffer.times[0])) if waiting else end
            limit = None if max_duration_us is None else start + max_duration_us
    if start is not None and waiting:
        events = buffer.events
        end = int(buffer.times[-1]) + 1 if max_duration_us is None else start + max_duration_us
        yield Window(start, end, events)


def at_rate(
    packets: Iterable[EventArray], rate_hz: float, count: int, max_duration_us: int
) -> Iterator[Window]:
    """Yields a window of the newest events at each instant, `rate_hz` times per second.

    A window ends at its instant, and has the newest events before it: at most `count`, none older
    than `max_duration_us`. Windows may overlap. Instants count from the first event; the last one
    is the first after the last event.

    Raises:
        ConfigError: `rate_hz` is not above 0 and at most 1 MHz, or `count` or `max_duration_us`
            is below 1.
    """
    if not 0 < rate_hz <= 1e6:
        raise ConfigError("rate_hz", rate_hz, "a number above 0, at most 1000000")
    _positive("count", count)
    _positive("max_duration_us", max_duration_us)
    buffer, origin, index = _Buffer(), None, 1
    for packet in packets:
        if not len(packet):
            continue
        if origin is None:
            origin = int(packet["t"][0])
        buffer.push(packet)
        last = int(packet["t"][-1])
        while last >= (instant := origin + round(index * 1e6 / rate_hz)):
            yield _newest(buffer, instant, count, max_duration_us)
            index += 1
        if len(buffer) > 4 * count:
            buffer.drop(len(buffer) - count)  # later instants need no earlier events
    if origin is not None:
        instant = origin + round(index * 1e6 / rate_hz)
        yield _newest(buffer, instant, count, max_duration_us)


def _newest(buffer: _Buffer, instant: int, count: int, max_duration_us: int) -> Window:
    start = instant - max_duration_us
    stop = int(np.searchsorted(buffer.times, instant))
    first = max(int(np.searchsorted(buffer.times[:stop], start)), stop - count)
    buffer.drop(first)
    events = buffer.events[: stop - first]
    if len(events) == count:
        start = max(start, int(events["t"][0]))
    return Window(start, instant, events)
