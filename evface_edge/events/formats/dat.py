"""Prophesee DAT: a % header, the type and size of an event, then records of 8 bytes.

https://docs.prophesee.ai/stable/data/file_formats/dat.html. Version 2 has 14 bits of x and of y;
version 1, of the first cameras, 9 and 8. Timestamps have 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.formats import base, prophesee_header
from evface_edge.events.formats.base import Contents, Options, check_size, choose
from evface_edge.events.formats.inference import sensor_size
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import (
    PERIOD_US,
    Selected,
    TimestampUnwrapper,
    record_packets,
)
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

_RECORD = np.dtype([("t", "<u4"), ("address", "<u4")])
#: Types of contrast detection (CD) events.
_CD_TYPES = (0x00, 0x0C)

#: Version → bits of x, bits of y; the polarity is above them.
_BITS = {"1": (9, 8), "2": (14, 14)}


def read(path: Path, options: ReadOptions) -> Contents:
    header = prophesee_header.read(path)
    with path.open("rb") as file:
        file.seek(header.end)
        kind = file.read(2)
    if header.end == 0 or len(kind) < 2:
        raise EventFormatError(
            "no header of lines that start with %: this is not a Prophesee DAT file", path=path
        )
    if kind[0] not in _CD_TYPES or kind[1] != _RECORD.itemsize:
        raise EventFormatError(
            f"events of type {kind[0]} with {kind[1]} bytes, expected contrast detection events "
            "(type 0 or 12) with 8 bytes",
            path=path,
            offset=header.end,
        )
    version = header.fields.get("version", "2")
    if version not in _BITS:
        raise EventFormatError(f"DAT version {version!r}, expected 1 or 2", path=path)
    bits_x, bits_y = _BITS[options.version or version]
    origin_us = header.time_origin_us(path)

    def packets(validator: Validator) -> Iterator[EventArray]:
        unwrap = TimestampUnwrapper(origin_us, shorter_way=validator.skip)

        def columns(records: NDArray[Any]) -> Selected:
            address = records["address"]
            x = address & ((1 << bits_x) - 1)
            y = (address >> bits_x) & ((1 << bits_y) - 1)
            p = (address >> (bits_x + bits_y)) & 1
            return (unwrap(records["t"]), x, y, p), None

        with path.open("rb") as file:
            file.seek(header.end + 2)
            end = path.stat().st_size
            yield from record_packets(file, _RECORD, columns, validator, end=end)

    size = sensor_size(path, options, header.size(path), "the header")
    return Contents((size,), packets, dict(header.fields))


class Writer(base.Writer):
    """Writes version 2, or 1 with `?version=1`; whole periods of 2^32 µs go into the header."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
        version = choose(options, "version", tuple(_BITS), "2")
        self._bits_x, self._bits_y = _BITS[version]
        check_size(size, 1 << self._bits_x, 1 << self._bits_y, f"DAT version {version}")
        self._file, self._size, self._version = file, size, version
        self._origin_us: int | None = None

    def write(self, events: EventArray) -> None:
        if self._origin_us is None:
            self._origin_us = self._write_header(int(events["t"][0]) // PERIOD_US * PERIOD_US)
        records = np.empty(len(events), _RECORD)
        records["t"] = (events["t"] - self._origin_us) % PERIOD_US
        x, y, p = (events[field].astype(np.uint32) for field in "xyp")
        records["address"] = x | (y << self._bits_x) | (p << (self._bits_x + self._bits_y))
        self._file.write(records.tobytes())

    def _write_header(self, origin_us: int) -> int:
        lines = ["% Data file containing CD events.", f"% Version {self._version}"]
        if origin_us:
            lines.append(f"% {prophesee_header.TIME_ORIGIN} {origin_us}")
        lines += [f"% Width {self._size.width}", f"% Height {self._size.height}", "% end", ""]
        self._file.write("\n".join(lines).encode() + bytes([_CD_TYPES[1], _RECORD.itemsize]))
        return origin_us

    def finish(self) -> None:
        if self._origin_us is None:
            self._write_header(0)
