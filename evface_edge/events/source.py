"""The interface of every source of events: a recording, camera, network stream or simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize


@dataclass
class Counters:
    """Running totals of a source, which may be read at any time.

    Attributes:
        events: delivered.
        packets_dropped: by a live source, because the consumer was too slow.
        bytes_skipped: words of unknown kind.
        times_clamped: timestamps that were raised to that of the previous event.
        damaged: what was left out because it cannot be true, by kind (`damage.KINDS`).
    """

    events: int = 0
    packets_dropped: int = 0
    bytes_skipped: int = 0
    times_clamped: int = 0
    damaged: dict[str, int] = field(default_factory=dict)


@dataclass
class LiveCounters(Counters):
    """Running totals of a live source: `received == events + events_dropped + backlog_events`.

    Attributes:
        received: valid events from the camera.
        events_dropped: of these, dropped because the consumer was too slow.
        backlog_events: of these, waiting for the consumer.
        backlog_us: time between the oldest and the newest waiting event.
        clock_resets: of the camera; the timestamps delivered continue.
        reconnects: of the camera.
        overflows: places where the driver reports lost events.
        driver_packets_dropped: packets that the driver reports as lost.
        driver_backlog: packets that waited inside the driver at its last report.
    """

    received: int = 0
    events_dropped: int = 0
    backlog_events: int = 0
    backlog_us: int = 0
    clock_resets: int = 0
    reconnects: int = 0
    overflows: int = 0
    driver_packets_dropped: int = 0
    driver_backlog: int = 0


class EventSource(Protocol):
    """An iterable of event arrays in order of time, and a context manager.

    Each array is of EVENT_DTYPE, not empty, within `size`, and starts no earlier than the previous
    one ended. The source never changes it afterwards, so that it may be kept without a copy.
    Iterating a recording again starts it again.

    Attributes:
        size: of the sensor.
        live: whether events arrive in real time (a camera), rather than as fast as they are read.
        counters: running totals.
    """

    size: SensorSize
    live: bool

    @property
    def counters(self) -> Counters: ...

    def __iter__(self) -> Iterator[EventArray]: ...

    def close(self) -> None: ...

    def __enter__(self) -> EventSource: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class SourceWrapper:
    """Everything of another source; subclasses change the iteration."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self.size, self.live = source.size, source.live

    @property
    def counters(self) -> Counters:
        return self._source.counters

    def __iter__(self) -> Iterator[EventArray]:
        return iter(self._source)

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> EventSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
