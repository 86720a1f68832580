"""The packets of iniVation's DV, in AEDAT 4 files and in network streams.

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html. A header
(`IOHeader`) and packets (`EventPacket`) are FlatBuffers that start with their own length.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import printable
from evface_edge.events.formats.base import header_size
from evface_edge.events.formats.inference import one_of
from evface_edge.geometry import SensorSize

#: An event; three bytes of padding follow.
EVENT = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
#: Type identifier of a stream of events.
EVENTS = "EVTS"
_COMPRESSIONS = {0: "none", 1: "lz4", 2: "lz4", 3: "zstd", 4: "zstd"}


@dataclass(frozen=True)
class Stream:
    """A stream of events.

    Attributes:
        source: name of the camera; empty if it is not stated.
        size: of the sensor, if it is stated.
    """

    source: str
    size: SensorSize | None

    @property
    def title(self) -> str:
        """For people: "DAVIS346_00000499, 346×260"."""
        return ", ".join(str(part) for part in (self.source, self.size) if part)


@dataclass(frozen=True)
class Header:
    """An IOHeader.

    Attributes:
        compression: of the packets: "none", "lz4" or "zstd".
        table_position: byte offset of the table after the last packet; -1 without a table.
        kinds: type identifiers of all streams.
        streams: those of events, by their numbers.
    """

    compression: str
    table_position: int
    kinds: str
    streams: Mapping[int, Stream]

    def choose(self, path: Path, number: int | None) -> tuple[int, Stream]:
        """The stream of that number, or else the only one of events.

        Raises:
            ConfigError: there is no such stream of events.
            EventFormatError: there are several, and no number is given.
        """
        choices = {str(key): stream.title for key, stream in self.streams.items()}
        chosen = int(one_of(path, "stream", choices, number, "stream").value)
        return chosen, self.streams[chosen]


def parse_header(data: bytes, path: Path) -> Header:
    """Parses an IOHeader that starts with its length.

    Raises:
        ValueError: it is damaged, or names an unknown compression.
        EventFormatError: it states an impossible sensor size.
    """
    table = Table.root(data)
    code = table.integer(0, "i", 0)
    if code not in _COMPRESSIONS:
        raise ValueError(f"unknown compression {code}")
    kinds: list[str] = []
    streams: dict[int, Stream] = {}
    for number, kind, stream in _streams(table.text(2), path):
        kinds.append(kind)
        if kind == EVENTS:
            streams.setdefault(number, stream)
    position = table.integer(1, "q", -1)
    return Header(_COMPRESSIONS[code], position, ", ".join(kinds) or "none", streams)


def _streams(text: str, path: Path) -> list[tuple[int, str, Stream]]:
    """Number and type of each stream, from the XML tree that DV writes.

    The tree has one `<node path=".../outInfo/N/">` for each. It is searched rather than parsed,
    so that malicious XML (entity expansion) does no harm.
    """
    starts = list(re.finditer(r'<node name="([0-9]{1,5})" path="[^"<>]*/outInfo/\1/"', text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    streams = []
    for match, end in zip(starts, ends, strict=True):
        part = text[match.start() : end]
        kind = re.search(r'key="typeIdentifier"[^<>]*>([^<>]*)<', part)
        width = re.search(r'key="sizeX"[^<>]*>([0-9]{1,6})<', part)
        height = re.search(r'key="sizeY"[^<>]*>([0-9]{1,6})<', part)
        size = header_size(path, int(width[1]), int(height[1])) if width and height else None
        source = re.search(r'key="source"[^<>]*>([^<>]*)<', part)
        stream = Stream(printable(source[1]) if source else "", size)
        streams.append((int(match[1]), printable(kind[1]) if kind else "unknown", stream))
    return streams


#: Little-endian numbers, by their codes in `struct`.
_NUMBERS = {code: struct.Struct(f"<{code}") for code in "iqIH"}


class Table:
    """A FlatBuffers table (https://flatbuffers.dev/internals), with every offset checked.

    A damaged buffer raises ValueError; the library `flatbuffers` has no such checks in Python.
    """

    def __init__(self, data: bytes | memoryview, position: int) -> None:
        self._data, self._position = data, position
        self._slots = position - self._number("i", position)
        self._slots_end = self._slots + self._number("H", self._slots)

    @classmethod
    def root(cls, data: bytes | memoryview) -> Table:
        """The root table of a buffer that starts with its own length."""
        try:
            return cls(data, 4 + _NUMBERS["I"].unpack_from(data, 4)[0])
        except struct.error:
            raise ValueError("the buffer is too short") from None

    def integer(self, field: int, code: str, default: int) -> int:
        """A scalar field; `code` is that of `struct`."""
        position = self._field(field)
        return default if position is None else self._number(code, position)

    def text(self, field: int) -> str:
        start, length = self._vector(field, 1)
        return bytes(self._data[start : start + length]).decode("utf-8", "replace")

    def structs(self, field: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """A vector of structs (N,) of that type."""
        start, length = self._vector(field, dtype.itemsize)
        return np.frombuffer(self._data, dtype, length, start)

    def _vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        position = self._field(field)
        if position is None:
            return 0, 0
        start = position + self._number("I", position)
        length = self._number("I", start)
        if start + 4 + length * item_bytes > len(self._data):
            raise ValueError("a vector ends outside its buffer")
        return start + 4, length

    def _field(self, field: int) -> int | None:
        slot = self._slots + 4 + 2 * field
        if slot + 2 > self._slots_end:
            return None
        offset = self._number("H", slot)
        return self._position + offset if offset else None

    def _number(self, code: str, position: int) -> int:
        number = _NUMBERS[code]
        if not 0 <= position <= len(self._data) - number.size:
            raise ValueError("an offset points outside its buffer")
        return int(number.unpack_from(self._data, position)[0])
