"""What callers pass for events, sizes and boxes → the types of the SDK, or a clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from evface_edge.errors import ConfigError, InputTypeError
from evface_edge.events import open_events
from evface_edge.events.array import EventArray, as_events, check_events
from evface_edge.events.source import Counters, EventSource
from evface_edge.geometry import Box, SensorSize


class EventTable(Protocol):
    """A data frame, or an array of records, with integer columns t, x, y, p."""

    def __getitem__(self, name: Any, /) -> Any: ...


#: Events in memory, a path or URI, or an open source.
Events: TypeAlias = EventArray | EventTable | str | Path | EventSource
#: A SensorSize, or (width, height).
Size: TypeAlias = SensorSize | tuple[int, int]
#: A Box, or (x, y, width, height).
BoxLike: TypeAlias = Box | tuple[float, float, float, float]


def to_size(value: Any) -> SensorSize:
    """A SensorSize, or width and height in a tuple or list.

    Raises:
        InputTypeError: anything else.
        ConfigError: a size out of range.
    """
    if isinstance(value, SensorSize):
        return value
    numbers = _numbers(value, 2, Integral)
    if numbers is None:
        raise InputTypeError("size", value, "a SensorSize, or two integers (width, height)")
    return SensorSize(int(numbers[0]), int(numbers[1]))


def to_box(value: Any) -> Box:
    """A Box, or x, y, width and height in a tuple, list or array.

    Raises:
        InputTypeError: anything else.
        ConfigError: a box without area, or a number that is not finite.
    """
    if isinstance(value, Box):
        return value
    numbers = _numbers(value, 4, Real)
    if numbers is None:
        raise InputTypeError("box", value, "a Box, or four numbers (x, y, width, height) in pixels")
    x, y, width, height = (float(number) for number in numbers)
    return Box(x, y, width, height)


def _numbers(value: Any, count: int, kind: type) -> list[Any] | None:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (tuple, list)) or len(value) != count:
        return None
    numbers = list(value)
    valid = all(isinstance(n, kind) and not isinstance(n, bool) for n in numbers)
    return numbers if valid else None


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
    if isinstance(events, (str, Path)):
        return open_events(events, size=sensor)
    if isinstance(getattr(events, "size", None), SensorSize):
        return nullcontext(cast(EventSource, events))
    if isinstance(events, (list, tuple)) and events and isinstance(events[0], (str, Path)):
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
