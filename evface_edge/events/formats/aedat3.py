"""AEDAT 3.1 of cAER: lines that begin with #, then packets of events of one type.

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html. Only
polarity events are read; those marked invalid, and packets of other types, are passed over. The
times of a packet have 31 bits; the upper bits stand in its header.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.contents import Contents, ReadOptions, sensor_size
from evface_edge.events.formats.inivation import hash_header, sensor_of
from evface_edge.events.guard import Guard

#: Type, source, size of an event, offset of its time, overflow of times, capacity, number, valid.
_PACKET = struct.Struct("<hhiiiiii")
_RECORD = np.dtype([("data", "<u4"), ("t", "<i4")])
_POLARITY = 1
_CHUNK_RECORDS = 65536


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header.

    Raises:
        EventFormatError: version 3.0, a compressed file, or a sensor that is not known.
    """
    lines, start = hash_header(path)
    if not lines or not lines[0].startswith("!AER-DAT3.1"):
        raise EventFormatError(
            f"version {lines[0].removeprefix('!AER-DAT') if lines else '?'}, expected 3.1",
            path=path,
        )
    form = next((line.partition(":")[2].strip() for line in lines if line.startswith("Format")), "")
    if form not in ("", "RAW"):
        raise EventFormatError(f"packets in the form {form!r}, expected RAW", path=path)
    source = next((line for line in lines if re.match(r"Source\s+-?[0-9]+:", line)), "")
    name = source.partition(":")[2].strip()
    size = sensor_size(path, options.size, sensor_of(name))

    def packets(guard: Guard) -> Iterator[EventArray]:
        with path.open("rb") as file:
            file.seek(start)
            end = os.fstat(file.fileno()).st_size
            while header := file.read(_PACKET.size):
                guard.fraction = file.tell() / end
                yield from _packet(file, header, end, guard)

    return Contents(size, packets, {"source": name})


def _packet(file: BinaryIO, header: bytes, end: int, guard: Guard) -> Iterator[EventArray]:
    offset = file.tell() - len(header)
    if len(header) < _PACKET.size:
        raise EventFormatError("the file is truncated", path=guard.path, offset=offset)
    kind, _, size_bytes, _, overflow, capacity, number, _ = _PACKET.unpack(header)
    if size_bytes < 1 or overflow < 0 or not 0 <= number <= capacity:
        raise EventFormatError("the header of a packet is damaged", path=guard.path, offset=offset)
    if kind != _POLARITY:
        stop = file.tell() + number * size_bytes
        if stop > end:
            raise EventFormatError("the file is truncated", path=guard.path, offset=offset)
        file.seek(stop)
        return
    if size_bytes != _RECORD.itemsize:
        raise EventFormatError(
            f"polarity events of {size_bytes} bytes, expected 8", path=guard.path, offset=offset
        )
    left = number
    while left:
        offset = file.tell()
        wanted = min(left, _CHUNK_RECORDS)
        data = file.read(wanted * _RECORD.itemsize)
        records = np.frombuffer(data, _RECORD, len(data) // _RECORD.itemsize)
        yield from _events(records, overflow, offset, guard)
        if len(records) < wanted:
            at = offset + len(records) * _RECORD.itemsize
            raise EventFormatError("the file is truncated", path=guard.path, offset=at)
        left -= wanted


def _events(
    records: NDArray[Any], overflow: int, offset: int, guard: Guard
) -> Iterator[EventArray]:
    valid = np.flatnonzero(records["data"] & 1)
    data = records["data"][valid]
    t = records["t"][valid].astype(np.int64) + (overflow << 31)
    columns = (t, data >> 17, (data >> 2) & 0x7FFF, (data >> 1) & 1)
    yield from guard.check(columns, offset=offset, stride=_RECORD.itemsize, index=valid)
