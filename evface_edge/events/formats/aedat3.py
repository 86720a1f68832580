"""AEDAT 3.1 of cAER: lines that start with #, then packets of events of one type.

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html. Polarity
events are read, except those marked invalid; other packets are skipped. Timestamps have 31 bits;
the header of a packet has the upper bits.
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

from evface_edge.errors import EventFormatError, printable
from evface_edge.events.array import EventArray
from evface_edge.events.formats.aedat_header import read_header, size_of_sensor
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.inference import sensor_size
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import Columns, Selected, record_packets
from evface_edge.events.validation import Validator

#: Type, source, size of an event, offset of its timestamp, overflows, capacity, number, valid.
_PACKET = struct.Struct("<hhiiiiii")
RECORD = np.dtype([("data", "<u4"), ("t", "<i4")])
_POLARITY = 1


def read(path: Path, options: ReadOptions) -> Contents:
    lines, start = read_header(path)
    if not lines or not lines[0].startswith("!AER-DAT3.1"):
        version = lines[0].removeprefix("!AER-DAT") if lines else "unknown"
        raise EventFormatError(f"AEDAT version {version}, expected 3.1", path=path)
    form = next((line.partition(":")[2].strip() for line in lines if line.startswith("Format")), "")
    if form not in ("", "RAW"):
        raise EventFormatError(f"packets in the form {form!r}, expected RAW", path=path)
    source = next((line for line in lines if re.match(r"Source\s+-?[0-9]+:", line)), "")
    name = source.partition(":")[2].strip()

    def packets(validator: Validator) -> Iterator[EventArray]:
        with path.open("rb") as file:
            file.seek(start)
            end = os.fstat(file.fileno()).st_size
            while header := file.read(_PACKET.size):
                yield from _packet(file, header, end, validator)
            validator.fraction = 1.0

    size = sensor_size(path, options, size_of_sensor(name), f"the sensor {printable(name)}")
    return Contents((size,), packets, {"source": name})


def _packet(file: BinaryIO, header: bytes, end: int, validator: Validator) -> Iterator[EventArray]:
    offset = file.tell() - len(header)

    def error(message: str) -> EventFormatError:
        return EventFormatError(message, path=validator.path, offset=offset)

    if len(header) < _PACKET.size:
        raise error("the file is truncated")
    kind, _, size_bytes, _, overflows, capacity, number, _ = _PACKET.unpack(header)
    if size_bytes < 1 or overflows < 0 or not 0 <= number <= capacity:
        raise error("the header of a packet is damaged")
    if kind != _POLARITY:
        stop = file.tell() + number * size_bytes
        if stop > end:
            raise error("the file is truncated")
        file.seek(stop)
        return
    if size_bytes != RECORD.itemsize:
        raise error(f"polarity events of {size_bytes} bytes, expected {RECORD.itemsize}")

    def columns(records: NDArray[Any]) -> Selected:
        index = np.flatnonzero(records["data"] & 1)
        t, x, y, p = decode_records(records[index])
        return (t + (overflows << 31), x, y, p), index

    yield from record_packets(file, RECORD, columns, validator, end=end, count=number)


def decode_records(records: NDArray[Any]) -> Columns:
    """Polarity events (N,) of type RECORD → t (lower 31 bits, µs), x, y, p."""
    data = records["data"]
    return records["t"].astype(np.int64), data >> 17, (data >> 2) & 0x7FFF, (data >> 1) & 1
