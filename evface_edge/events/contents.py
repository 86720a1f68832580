"""What the reader of a format returns: the size of the sensor, and the way to the events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize

if TYPE_CHECKING:
    from evface_edge.events.guard import Guard

#: No packet has more events than this, whatever the file.
PACKET_EVENTS = 65536


@dataclass(frozen=True)
class Contents:
    """An opened recording, of which only the header was read so far.

    Attributes:
        size: of the sensor.
        packets: called anew for each pass. Every event it yields went through the guard; it
            raises EventFormatError at the first damage, with the byte offset where there is one.
        details: facts from the header, for people.
    """

    size: SensorSize
    packets: Callable[[Guard], Iterator[EventArray]]
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadOptions:
    """What the caller said about a file: the size of its sensor, and options of its format."""

    size: SensorSize | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """The value of an option.

        Raises:
            ConfigError: it is none of those allowed.
        """
        value = self.values.get(name, default)
        if value not in allowed:
            raise ConfigError(name, value, " or ".join(allowed))
        return value


class Writer(ABC):
    """The writer of a format, built with (file, size, options); the caller closes the file."""

    @abstractmethod
    def write(self, events: EventArray) -> None:
        """Appends events (N,), N > 0, which are checked already."""

    def finish(self) -> None:  # noqa: B027
        """Writes what comes after the events."""

    def close(self) -> None:  # noqa: B027
        """Frees what it holds, whether finished or not."""


WriterFactory = Callable[[BinaryIO, SensorSize, Mapping[str, str]], Writer]


def sensor_size(path: Path, given: SensorSize | None, header: SensorSize | None) -> SensorSize:
    """The size the caller gave, or else the one in the header.

    Raises:
        EventFormatError: neither is there.
    """
    size = given or header
    if size is None:
        raise EventFormatError(
            "the file does not say how large its sensor is; "
            f"name it as '{path.name}?width=640&height=480' with the true numbers",
            path=path,
        )
    return size


def header_size(path: Path, width: int, height: int) -> SensorSize:
    """The size that a header states.

    Raises:
        EventFormatError: it is none that a sensor can have.
    """
    try:
        return SensorSize(width, height)
    except ConfigError:
        raise EventFormatError(
            f"the header states a sensor of {width}×{height} pixels, expected 1 to 65536 each",
            path=path,
        ) from None


def placed(error: EventFormatError, offset: int | None) -> EventFormatError:
    """The same error, with that byte offset where it has none."""
    if error.offset is not None or offset is None:
        return error
    return EventFormatError(error.reason, path=error.path, offset=offset)


def reason(error: BaseException) -> str:
    """What a library says of an error, in one line."""
    return quoted(str(error).strip().partition("\n")[0]) or type(error).__name__


def quoted(text: str) -> str:
    """Text from a file, fit for a message: printable, in one line, of 200 characters at most."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200].strip()
