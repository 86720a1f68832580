"""The metadata of a LiteRT file (`.tflite`), read without LiteRT.

Such a file is a flatbuffer. A table starts with the distance back to its vtable, which holds the
place of each field; vectors and strings start with their length ("FlatBuffer Internals" of the
FlatBuffers documentation; field numbers from LiteRT's schema.fbs).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

FILE_ID = b"TFL3"
_BUFFERS, _METADATA = 4, 6  # of Model
_DATA = 0  # of Buffer
_NAME, _BUFFER = 0, 1  # of Metadata


def read_metadata(content: bytes) -> dict[str, slice]:
    """Name of each entry → the place of its value in `content`.

    Raises:
        ValueError: not a LiteRT file, or damaged.
    """
    if content[4:8] != FILE_ID:
        raise ValueError("not a LiteRT file")
    try:
        return _entries(content)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError("a damaged LiteRT file") from error


def _entries(content: bytes) -> dict[str, slice]:
    model = _Table(content, _uint32(content, 0))
    buffers, found = model.tables(_BUFFERS), {}
    for entry in model.tables(_METADATA):
        name, place = entry.bytes(_NAME), entry.field(_BUFFER)
        number = 0 if place is None else _uint32(content, place)
        if name is not None and number < len(buffers):
            value = buffers[number].bytes(_DATA)
            if value is not None:
                found[content[name].decode()] = value
    return found


@dataclass(frozen=True)
class _Table:
    content: bytes
    start: int

    def field(self, number: int) -> int | None:
        """The place of a field; None if it is absent."""
        vtable = self.start - struct.unpack_from("<i", self.content, self.start)[0]
        if vtable < 0 or 4 + 2 * number >= _uint16(self.content, vtable):
            return None
        offset = _uint16(self.content, vtable + 4 + 2 * number)
        return self.start + offset if offset else None

    def _vector(self, number: int) -> tuple[int, int]:
        """Place and length of a vector."""
        place = self.field(number)
        if place is None:
            return 0, 0
        place += _uint32(self.content, place)
        return place + 4, _uint32(self.content, place)

    def bytes(self, number: int) -> slice | None:
        """The place of a vector of bytes, or of a text."""
        start, length = self._vector(number)
        if start == 0 or start + length > len(self.content):
            return None
        return slice(start, start + length)

    def tables(self, number: int) -> list[_Table]:
        """A vector of tables."""
        start, length = self._vector(number)
        if start + 4 * length > len(self.content):
            raise ValueError("a damaged LiteRT file")
        places = range(start, start + 4 * length, 4)
        return [_Table(self.content, place + _uint32(self.content, place)) for place in places]


def _uint32(content: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", content, place)[0])


def _uint16(content: bytes, place: int) -> int:
    return int(struct.unpack_from("<H", content, place)[0])
