"""The interface of a format module, and helpers that several formats use.

A module in this package offers

    read(path: Path, options: ReadOptions) -> Contents

which reads the header, and raises EventFormatError where the file is damaged or of another kind.
What the caller states in `options` has priority over the file; what neither states is decided by
`inference.py`. A format that can be written has a module with a subclass of `Writer` named
`Writer`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.formats.inference import Fact
from evface_edge.geometry import SensorSize

if TYPE_CHECKING:
    from evface_edge.events.validation import Validator

#: Options for writing.
Options = Mapping[str, str]


@dataclass(frozen=True)
class Contents:
    """A recording whose header was read.

    Attributes:
        packets: starts a pass over the events. It yields validated events, and raises
            EventFormatError at the first damage, with the byte offset if it is known.
        facts: what the reading depends on, and how it is known; shown by `evface-edge info`.
        details: from the header, shown by `evface-edge info`.
        data_bytes: after the header, in formats whose data need not be events.
    """

    facts: tuple[Fact[Any], ...]
    packets: Callable[[Validator], Iterator[EventArray]]
    details: Mapping[str, str] = field(default_factory=dict)
    data_bytes: int = 0

    @property
    def size(self) -> SensorSize:
        """Of the sensor: the value of the first fact."""
        size: SensorSize = self.facts[0].value
        return size


class Writer(ABC):
    """Writes events to an open file, which the caller closes."""

    @abstractmethod
    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None: ...

    @abstractmethod
    def write(self, events: EventArray) -> None:
        """Appends valid events (N,), N > 0."""

    def finish(self) -> None:  # noqa: B027
        """Writes what follows the last event."""

    def close(self) -> None:  # noqa: B027
        """Releases resources, whether finished or not."""


def choose(options: Options, name: str, allowed: tuple[str, ...], default: str) -> str:
    """The value of an option; ConfigError if it is not allowed."""
    value = options.get(name, default)
    if value not in allowed:
        raise ConfigError(name, value, " or ".join(allowed))
    return value


def header_size(path: Path, width: int, height: int) -> SensorSize:
    """The size stated in a header; EventFormatError if no sensor can have it."""
    try:
        return SensorSize(width, height)
    except ConfigError:
        raise EventFormatError(
            f"the header states a sensor of {width}×{height} pixels, expected 1 to 65536 each",
            path=path,
            field="size",
            value=(width, height),
        ) from None


def check_size(size: SensorSize, width: int, height: int, name: str) -> None:
    """Raises EventFormatError if a format cannot store events of such a large sensor."""
    if size.width > width or size.height > height:
        raise EventFormatError(
            f"{name} supports sensors of up to {width}×{height} pixels, this one has {size}",
            field="size",
            value=size,
            expected=f"{width}×{height}",
        )


def with_offset(error: EventFormatError, offset: int | None) -> EventFormatError:
    """The same error, with a byte offset if it has none."""
    if error.offset is not None or offset is None:
        return error
    return EventFormatError(
        error.reason,
        path=error.path,
        offset=offset,
        field=error.field,
        value=error.value,
        expected=error.expected,
        fix=error.fix,
    )
