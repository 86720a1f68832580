"""Prophesee DAT: a % header, the type and size of an event, then records of 8 bytes.

https://docs.prophesee.ai/stable/data/file_formats/dat.html. Version 2 has 14 bits of x and of y;
version 1, of the first cameras, 9 and 8. Times have 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events import contents
from evface_edge.events.array import EventArray
from evface_edge.events.contents import Contents, ReadOptions, sensor_size
from evface_edge.events.formats import percent_header
from evface_edge.events.formats.records import Columns, record_packets
from evface_edge.events.formats.rollover import PERIOD_US, Unroll
from evface_edge.events.guard import Guard
from evface_edge.geometry import SensorSize

_RECORD = np.dtype([("t", "<u4"), ("address", "<u4")])
_CHANGE_TYPES = (0x00, 0x0C)

#: Version → bits of x, bits of y; the polarity is above them.
_BITS = {"1": (9, 8), "2": (14, 14)}


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header; `?version=` goes before what it says, and is 2 where it says nothing.

    Raises:
        EventFormatError: no header, events of another type, or another version.
    """
    header = percent_header.read(path)
    with path.open("rb") as file:
        file.seek(header.end)
        kind = file.read(2)
    if header.end == 0 or len(kind) < 2:
        raise EventFormatError(
            "there is no header of lines that begin with %: this is no Prophesee DAT file",
            path=path,
        )
    if kind[0] not in _CHANGE_TYPES or kind[1] != _RECORD.itemsize:
        raise EventFormatError(
            f"events of type {kind[0]} and {kind[1]} bytes, expected 0 or 12 and 8 bytes: "
            "it holds something else than changes of light",
            path=path,
            offset=header.end,
        )
    stated = header.fields.get("version", "2")
    if stated not in _BITS:
        raise EventFormatError(f"DAT version {stated!r}, expected 1 or 2", path=path)
    bits_x, bits_y = _BITS[options.choice("version", tuple(_BITS), stated)]
    size = sensor_size(path, options.size, header.size(path))
    origin_us = header.time_origin_us(path)

    def packets(guard: Guard) -> Iterator[EventArray]:
        unroll = Unroll(origin_us)

        def columns(records: NDArray[Any]) -> Columns:
            address = records["address"]
            x = address & ((1 << bits_x) - 1)
            y = (address >> bits_x) & ((1 << bits_y) - 1)
            p = (address >> (bits_x + bits_y)) & 1
            return unroll(records["t"]), x, y, p, None

        yield from record_packets(path, header.end + 2, _RECORD, columns, guard)

    return Contents(size, packets, dict(header.fields))


class Writer(contents.Writer):
    """Writes version 2, or 1 with `?version=1`; whole periods of 2^32 µs go into the header."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Mapping[str, str]) -> None:
        version = ReadOptions(values=options).choice("version", tuple(_BITS), "2")
        self._bits_x, self._bits_y = _BITS[version]
        if size.width > 1 << self._bits_x or size.height > 1 << self._bits_y:
            raise EventFormatError(
                f"DAT version {version} holds sensors of up to "
                f"{1 << self._bits_x}×{1 << self._bits_y} pixels, this one is {size}"
            )
        self._file, self._size, self._version = file, size, version
        self._origin_us: int | None = None

    def write(self, events: EventArray) -> None:
        if self._origin_us is None:
            self._origin_us = self._begin(int(events["t"][0]) // PERIOD_US * PERIOD_US)
        records = np.empty(len(events), _RECORD)
        records["t"] = (events["t"] - self._origin_us) % PERIOD_US
        x, y, p = (events[field].astype(np.uint32) for field in "xyp")
        records["address"] = x | (y << self._bits_x) | (p << (self._bits_x + self._bits_y))
        self._file.write(records.tobytes())

    def _begin(self, origin_us: int) -> int:
        lines = ["% Data file containing CD events.", f"% Version {self._version}"]
        if origin_us:
            lines.append(f"% {percent_header.TIME_ORIGIN} {origin_us}")
        lines += [f"% Width {self._size.width}", f"% Height {self._size.height}", "% end", ""]
        self._file.write("\n".join(lines).encode() + bytes([_CHANGE_TYPES[1], _RECORD.itemsize]))
        return origin_us

    def finish(self) -> None:
        if self._origin_us is None:
            self._begin(0)
