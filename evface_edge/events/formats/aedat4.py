"""AEDAT 4 of iniVation's DV (extra: aedat, for LZ4 and Zstandard).

A version line, a header that names the streams, then packets, each after the number of its stream
and its length (`dv_packets.py`). One stream of events is read; others are skipped.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import EventFormatError, first_line
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.compression import decompressor
from evface_edge.events.formats.dv_packets import EVENT, Header, Table, parse_header
from evface_edge.events.formats.inference import Fact, sensor_size
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.validation import (
    HEIGHT,
    LAST,
    POLARITY,
    VALID,
    WIDTH,
    Validator,
    check_event,
    is_irregular,
    last_time,
)

_VERSION = b"#!AER-DAT4.0\r\n"
_HEADER_LIMIT_BYTES = 16 << 20
#: No camera makes packets of so many events.
_PACKET_LIMIT_BYTES = 256 << 20
#: Nearly all packets are smaller.
_USUAL_BYTES = 4 << 20


def _record(size_bytes: int) -> np.dtype[Any]:
    """An event whose x and y, signed 16-bit numbers, are one unsigned 32-bit number.

    A negative coordinate is then a large one.
    """
    return np.dtype(
        {
            "names": ["t", "xy", "p"],
            "formats": ["<i8", "<u4", "u1"],
            "offsets": [0, 8, 12],
            "itemsize": size_bytes,
        }
    )


_EVENT, _OUT = _record(16), _record(EVENT_DTYPE.itemsize)


def read(path: Path, options: ReadOptions) -> Contents:
    header, start = _read_header(path)
    number, stream = header.choose(path, options.stream)
    # Fails here rather than at the first packet if the library is not installed.
    decompressor(header.compression, path.name, _PACKET_LIMIT_BYTES)

    def packets(validator: Validator) -> Iterator[EventArray]:
        decompress = decompressor(header.compression, path.name, _PACKET_LIMIT_BYTES)
        for offset, data in _event_packets(path, header, number, start, validator):
            try:
                events = Table.root(decompress(data)).structs(0, _EVENT)
            except (ValueError, RuntimeError, EOFError) as error:
                reason = f"a packet is damaged: {first_line(error)}"
                validator.damaged_chunk(EventFormatError(reason, path=path, offset=offset))
                continue
            if validator.skip:
                columns = events.view(EVENT)
                yield from validator.validate([columns[field] for field in "txyp"])
                continue
            out = np.empty(len(events), EVENT_DTYPE)
            count, fault = _check_events(events, validator.state, out.view(_OUT))
            if count:
                yield out[:count]
            if fault:
                raise validator.error(fault, offset)

    details = {"streams": header.kinds, "compression": header.compression}
    size = sensor_size(path, options, stream.size, "the header")
    how = "stated" if options.stream is None else "given"
    reason = stream.source if len(header.streams) > 1 else "the only one of events"
    return Contents((size, Fact("stream", number, how, reason)), packets, details)


@compiled
def _check_events(events: Any, check: Any, out: Any) -> tuple[int, int]:
    """Copies valid events; returns their number and the fault of the next one."""
    width, height, last = check[WIDTH], check[HEIGHT], last_time(check)
    for i in range(len(events)):
        t, xy, p = events[i].t, events[i].xy, events[i].p
        x, y = np.int64(xy & 0xFFFF), np.int64(xy >> 16)
        out[i].t = t
        out[i].xy = xy
        out[i].p = p
        if (
            np.int64(x >= width)
            | np.int64(y >= height)
            | np.int64(p > 1)
            | np.int64(is_irregular(t, last))
        ):
            check[LAST] = last
            fault = check_event(check, t, x, y)
            if fault == VALID and p > 1:
                fault = POLARITY
            if fault != VALID:
                return i, fault
            t = check[LAST]
            out[i].t = t
        last = t
    check[LAST] = last
    return len(events), VALID


def _read_header(path: Path) -> tuple[Header, int]:
    """The header, and the byte offset of the first packet."""
    with path.open("rb") as file:
        if file.read(len(_VERSION)) != _VERSION:
            raise EventFormatError("the header of an AEDAT 4.0 file is missing", path=path)
        prefix = file.read(4)
        length = int.from_bytes(prefix, "little")
        if length > _HEADER_LIMIT_BYTES:
            raise EventFormatError(
                f"the header states its length as {length} bytes", path=path, offset=14
            )
        data = prefix + file.read(length)
    try:
        header = parse_header(data, path)
    except ValueError as error:
        raise EventFormatError(
            f"the header is damaged: {first_line(error)}", path=path, offset=14
        ) from None
    if not header.streams:
        raise EventFormatError(
            f"holds the streams {header.kinds}, expected a stream of events (EVTS)", path=path
        )
    return header, len(_VERSION) + len(data)


def _event_packets(
    path: Path, header: Header, number: int, start: int, validator: Validator
) -> Iterator[tuple[int, memoryview]]:
    """Offset and bytes of each packet of the stream; the bytes are valid until the next one."""
    with path.open("rb", buffering=0) as file:
        file_end = os.fstat(file.fileno()).st_size
        has_table = header.table_position >= start
        # If the end of the file is missing, the table is too.
        end = min(header.table_position, file_end) if has_table else file_end
        truncated = header.table_position > file_end
        offset = start
        file.seek(offset)
        buffer, head = memoryview(bytearray(_USUAL_BYTES)), file.read(8)
        while offset < end:
            stream, length = struct.unpack("<ii", head) if len(head) == 8 else (0, -1)
            if not 0 <= length <= _PACKET_LIMIT_BYTES or offset + 8 + length > end:
                damage = "truncated" if truncated or not has_table else "damaged"
                raise EventFormatError(f"a packet is {damage}", path=path, offset=offset)
            if stream == number:
                if length + 8 > len(buffer):
                    buffer = memoryview(bytearray(length + 8))
                # One read gets the packet and the head of the next one.
                count = file.readinto(buffer[: length + 8]) or 0
                yield offset, buffer[:length]
                head = bytes(buffer[length:count])
            else:
                file.seek(offset + 8 + length)
                head = file.read(8)
            offset += 8 + length
            validator.fraction = offset / file_end
        if truncated:
            raise EventFormatError("the file is truncated", path=path, offset=file_end)
