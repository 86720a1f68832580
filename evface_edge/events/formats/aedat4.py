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
from evface_edge.events.array import EventArray
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
from evface_edge.events.guard import Guard
from evface_edge.geometry import SensorSize

__all__ = ["Writer", "read"]

_VERSION = b"#!AER-DAT4.0\r\n"
_EVENT = np.dtype(
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
_COMPRESSIONS = {0: "none", 1: "lz4", 2: "lz4", 3: "zstd", 4: "zstd"}


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
    decompress = _decompressor(header.compression, path)

    def packets(guard: Guard) -> Iterator[EventArray]:
        for offset, data in _event_packets(path, header, guard):
            try:
                events = Table.root(decompress(data)).structs(0, _EVENT)
            except (ValueError, RuntimeError, EOFError) as error:
                raise EventFormatError(
                    f"a packet is damaged: {reason(error)}", path=path, offset=offset
                ) from None
            yield from guard.check([events[field] for field in "txyp"], offset=offset)

    return Contents(size, packets, {"streams": header.kinds, "compression": header.compression})


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
        compression = _COMPRESSIONS.get(table.integer(0, "i", 0))
        end = table.integer(1, "q", -1)
        streams = _streams(table.text(2), path)
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


def _streams(text: str, path: Path) -> list[tuple[int, str, SensorSize | None]]:
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


def _decompressor(name: str, path: Path) -> Any:
    """bytes → bytes of at most _PACKET_LIMIT_BYTES, ValueError or RuntimeError where damaged."""
    if name == "none":
        return lambda data: data
    try:
        if name == "lz4":
            from lz4.frame import LZ4FrameDecompressor

            return lambda data: _unpack_lz4(LZ4FrameDecompressor(), data)
        import zstandard  # noqa: F401
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"{path.name}: its packets are compressed, and {error.name} is not installed: "
            "pip install 'evface-edge[aedat]'"
        ) from None

    return lambda data: decompress(data, _PACKET_LIMIT_BYTES)


def _unpack_lz4(decompressor: Any, data: memoryview) -> bytes:
    """A frame, by parts: a buffer for the largest one costs more than decompressing."""
    parts = [decompressor.decompress(data, _USUAL_BYTES)]
    while not decompressor.eof and not decompressor.needs_input:
        if len(parts) * _USUAL_BYTES >= _PACKET_LIMIT_BYTES:
            raise ValueError(f"a frame of more than {_PACKET_LIMIT_BYTES} bytes")
        parts.append(decompressor.decompress(b"", _USUAL_BYTES))
    return parts[0] if len(parts) == 1 else b"".join(parts)
