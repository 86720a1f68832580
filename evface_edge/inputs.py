"""What callers pass as events → an event source, or a clear error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias, cast

from evface_edge.errors import ConfigError, InputTypeError
from evface_edge.events import open_events
from evface_edge.events.array import EventArray, as_events, check_events
from evface_edge.events.source import Counters, EventSource
from evface_edge.geometry import SensorSize, Size, to_size


class EventTable(Protocol):
    """A data frame, or an array of records, with integer columns t, x, y, p."""

    def __getitem__(self, name: Any, /) -> Any: ...


#: Events in memory, a path or URI, or an open source.
Events: TypeAlias = EventArray | EventTable | str | os.PathLike[str] | EventSource


def open_input(events: Events, size: Size | None) -> AbstractContextManager[EventSource]:
    """A source of the events; only a source opened here is closed at the end.

    Args:
        size: of the sensor; needed for events in memory, optional for files.

    Raises:
        InputTypeError: an unsupported type.
        ConfigError: no size for events in memory.
        EventFormatError: a damaged file, or events in memory that are not valid.
    """
    sensor = None if size is None else to_size(size)
    if isinstance(events, (str, os.PathLike)):
        return open_events(events, size=sensor)
    if isinstance(getattr(events, "size", None), SensorSize):
        return nullcontext(cast(EventSource, events))
    if isinstance(events, (list, tuple)) and events and isinstance(events[0], (str, os.PathLike)):
        raise InputTypeError("events", events, "one recording", fix="call it once for each path")
    array = as_events(events)
    if sensor is None:
        raise ConfigError(
            "size", None, "the sensor's (width, height), which an array does not have"
        )
    return nullcontext(_ArraySource(check_events(array, sensor), sensor))


class _ArraySource:
    """One array as a source."""

    live = False

    def __init__(self, events: EventArray, size: SensorSize) -> None:
        self.size = size
        self.counters = Counters()
        self._events = events

    def __iter__(self) -> Iterator[EventArray]:
        if len(self._events):
            yield self._events

    def close(self) -> None: ...

    def __enter__(self) -> _ArraySource:
        return self

    def __exit__(self, *_: object) -> None: ...
