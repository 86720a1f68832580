"""What every source of events is: a recording, a camera, a network stream, a simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize


@dataclass
class Counters:
    """What a source has seen so far; read it at any time.

    Attributes:
        events: delivered.
        packets_dropped: lost by a live source because nobody took them in time.
        bytes_skipped: of words that are no events and of no known kind.
        times_clamped: events that lay a little before the one preceding them, and got its time.
    """

    events: int = 0
    packets_dropped: int = 0
    bytes_skipped: int = 0
    times_clamped: int = 0


class EventSource(Protocol):
    """An iterable of event arrays in order of time; a context manager.

    Each array is of EVENT_DTYPE, not empty, inside `size`, and starts no earlier than the one
    before it ended, and the source does not write to it again: it may be kept without a copy.
    Iterating a recording again starts it again.

    Attributes:
        size: of the sensor.
        live: whether events arrive in their own time (a camera) or as fast as they are read.
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
    ) -> None: ...
