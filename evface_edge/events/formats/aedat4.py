"""AEDAT 4 of iniVation's DV (extra: aedat, for the compressions LZ4 and Zstandard).

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html. A header
names the streams, then come packets, each with the number of its stream. The first stream of
events is read; frames, motion and triggers are passed over.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import EventFormatError, RuntimeUnavailable
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.contents import (
    Contents,
    ReadOptions,
    header_size,
    quoted,
    reason,
    sensor_size,
)
from evface_edge.events.formats.aedat4_writer import Writer
from evface_edge.events.formats.flatbuffer import Table
from evface_edge.events.formats.zstandard_frame import decompress
from evface_edge.events.guard import (
    HEIGHT,
    LAST,
    POLARITY,
    SOUND,
    WIDTH,
    Guard,
    admit,
    latest,
    unusual,
)
from evface_edge.geometry import SensorSize

__all__ = ["COMPRESSIONS", "EVENT", "Writer", "decompressor", "event_streams", "read"]

_VERSION = b"#!AER-DAT4.0\r\n"


def _record(size_bytes: int) -> np.dtype[Any]:
    """x and y, signed numbers of 16 bits, are taken together: a negative one is a large one."""
    return np.dtype(
        {
            "names": ["t", "xy", "p"],
            "formats": ["<i8", "<u4", "u1"],
            "offsets": [0, 8, 12],
            "itemsize": size_bytes,
        }
    )


_EVENT, _OUT = _record(16), _record(EVENT_DTYPE.itemsize)
#: An event as it is stored and sent; three bytes of padding follow.
EVENT = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
_HEADER_LIMIT_BYTES = 16 << 20
#: No camera makes packets of so many events.
_PACKET_LIMIT_BYTES = 256 << 20
#: Nearly all packets are smaller.
_USUAL_BYTES = 4 << 20
COMPRESSIONS = {0: "none", 1: "lz4", 2: "lz4", 3: "zstd", 4: "zstd"}


@dataclass(frozen=True)
class _Header:
    """Where packets begin and end (None: at the end of the file), their compression and stream."""

    start: int
    end: int | None
    compression: str
    stream: int
    size: SensorSize | None
    kinds: str


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header.

    Raises:
        EventFormatError: it is damaged, or there is no stream of events.
        RuntimeUnavailable: what decompresses the packets is not installed.
    """
    header = _header(path)
    size = sensor_size(path, options.size, header.size)
    decompressor(header.compression, path)  # is what it needs there?

    def packets(guard: Guard) -> Iterator[EventArray]:
        unpack = decompressor(header.compression, path)
        for offset, data in _event_packets(path, header, guard):
            try:
                events = Table.root(unpack(data)).structs(0, _EVENT)
            except (ValueError, RuntimeError, EOFError) as error:
                raise EventFormatError(
                    f"a packet is damaged: {reason(error)}", path=path, offset=offset
                ) from None
            out = np.empty(len(events), EVENT_DTYPE)
            count, fault = _admit(events, guard.state, out.view(_OUT))
            if count:
                yield out[:count]
            if fault:
                raise guard.error(fault, offset)

    return Contents(size, packets, {"streams": header.kinds, "compression": header.compression})


@compiled
def _admit(events: Any, guard: Any, out: Any) -> tuple[int, int]:
    """Copies sound events; returns their number and the fault that ended it."""
    width, height, last = guard[WIDTH], guard[HEIGHT], latest(guard)
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
            | np.int64(unusual(t, last))
        ):
            guard[LAST] = last
            fault = admit(guard, t, x, y)
            if fault == SOUND and p > 1:
                fault = POLARITY
            if fault != SOUND:
                return i, fault
            t = guard[LAST]
            out[i].t = t
        last = t
    guard[LAST] = last
    return len(events), SOUND


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        if file.read(len(_VERSION)) != _VERSION:
            raise EventFormatError("the header of an AEDAT 4.0 file is missing", path=path)
        prefix = file.read(4)
        length = int.from_bytes(prefix, "little")
        if length > _HEADER_LIMIT_BYTES:
            raise EventFormatError(f"states a header of {length} bytes", path=path, offset=14)
        data = prefix + file.read(length)
    try:
        table = Table.root(data)
        compression = COMPRESSIONS.get(table.integer(0, "i", 0))
        end = table.integer(1, "q", -1)
        streams = event_streams(table.text(2), path)
    except ValueError as error:
        raise EventFormatError(
            f"the header is damaged: {reason(error)}", path=path, offset=14
        ) from None
    if compression is None:
        raise EventFormatError("the header names a compression that is not known", path=path)
    kinds = ", ".join(kind for _, kind, _ in streams)
    for number, kind, size in streams:
        if kind == "EVTS":
            start = len(_VERSION) + len(data)
            return _Header(start, end if end >= start else None, compression, number, size, kinds)
    raise EventFormatError(
        f"holds the streams {kinds or 'none'}, expected one of events (EVTS)", path=path
    )


def event_streams(text: str, path: Path) -> list[tuple[int, str, SensorSize | None]]:
    """Number, type and size of each stream, from the tree of XML that DV writes.

    The tree has one `<node path=".../outInfo/N/">` for each; it is flat enough to be searched,
    which no text, however made, can turn into work without end.
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
        streams.append((int(match[1]), quoted(kind[1]) if kind else "unknown", size))
    return streams


def _event_packets(path: Path, header: _Header, guard: Guard) -> Iterator[tuple[int, memoryview]]:
    """Offset and bytes of the packets of the stream; the bytes are valid until the next one."""
    with path.open("rb", buffering=0) as file:
        file_end = os.fstat(file.fileno()).st_size
        end = file_end if header.end is None else header.end
        if end > file_end:
            end = file_end  # the end is missing, which the last packet will show
        offset = header.start
        file.seek(offset)
        buffer, head = memoryview(bytearray(_USUAL_BYTES)), file.read(8)
        while offset < end:
            stream, length = struct.unpack("<ii", head) if len(head) == 8 else (0, -1)
            if not 0 <= length <= _PACKET_LIMIT_BYTES or offset + 8 + length > end:
                truncated = header.end is None or header.end > file_end
                raise EventFormatError(
                    "a packet is " + ("truncated" if truncated else "damaged"),
                    path=path,
                    offset=offset,
                )
            if stream == header.stream:
                if length + 8 > len(buffer):
                    buffer = memoryview(bytearray(length + 8))
                # The head of the next packet comes along.
                count = file.readinto(buffer[: length + 8]) or 0
                yield offset, buffer[:length]
                head = bytes(buffer[length:count])
            else:
                file.seek(offset + 8 + length)
                head = file.read(8)
            offset += 8 + length
            guard.fraction = offset / file_end
        if header.end is not None and header.end > file_end:
            raise EventFormatError("the file is truncated", path=path, offset=file_end)


def decompressor(name: str, path: Path) -> Any:
    """bytes → bytes of at most _PACKET_LIMIT_BYTES, ValueError or RuntimeError where damaged."""
    if name == "none":
        return lambda data: data
    try:
        if name == "lz4":
            import lz4.frame

            context = lz4.frame.create_decompression_context()
            return lambda data: _unpack_lz4(lz4.frame, context, data)
        import zstandard  # noqa: F401
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"{path.name}: its packets are compressed, and {error.name} is not installed: "
            "pip install 'evface-edge[aedat]'"
        ) from None

    return lambda data: decompress(data, _PACKET_LIMIT_BYTES)


def _unpack_lz4(frame: Any, context: Any, data: memoryview) -> bytes:
    """A frame, by parts: a buffer for the largest one costs more than decompressing."""
    frame.reset_decompression_context(context)
    parts: list[bytes] = []
    ended = False
    while not ended:
        part, read, ended = frame.decompress_chunk(context, data, max_length=_USUAL_BYTES)
        parts.append(part)
        data = data[read:]
        if not part and not read:
            raise ValueError("a frame that does not end")
        if len(parts) * _USUAL_BYTES > _PACKET_LIMIT_BYTES:
            raise ValueError(f"a frame of more than {_PACKET_LIMIT_BYTES} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)
