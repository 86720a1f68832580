"""NumPy .npy files: a structured array with fields t, x, y, p, or integers (N, 4) in that order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evface_edge.errors import EventFormatError
from evface_edge.events import contents
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.contents import Contents, ReadOptions, sensor_size
from evface_edge.events.formats.npy_stream import FIELDS, NpyHeader, check_columns, read_header
from evface_edge.events.guard import Guard
from evface_edge.geometry import SensorSize

CHUNK_EVENTS = 65536


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header; the size of the sensor is for the caller to say.

    Raises:
        EventFormatError: not an array of events.
    """
    with path.open("rb") as file:
        header = read_header(file, path)
        start = file.tell()
    _check(header, path)
    size = sensor_size(path, options.size, None)

    def packets(guard: Guard) -> Iterator[EventArray]:
        with path.open("rb") as file:
            file.seek(start)
            yield from array_packets(file, header, guard, start)

    return Contents(size, packets, {"dtype": str(header.dtype)})


def _check(header: NpyHeader, path: Path) -> None:
    if header.dtype.names:
        missing = [field for field in FIELDS if field not in header.dtype.names]
        if missing or len(header.shape) != 1:
            raise EventFormatError(
                f"an array {header.shape} with fields {', '.join(header.dtype.names)}, "
                "expected (N,) with t, x, y, p",
                path=path,
            )
        check_columns({field: header.dtype[field] for field in FIELDS}, path)
    elif len(header.shape) != 2 or header.shape[1] != 4 or header.dtype.kind not in "iu":
        raise EventFormatError(
            f"an array {header.shape} of {header.dtype}, expected (N,) with fields t, x, y, p, "
            "or integers (N, 4)",
            path=path,
        )


def array_packets(
    file: Any, header: NpyHeader, guard: Guard, start: int | None
) -> Iterator[EventArray]:
    """The events of an array whose data begins where `file` stands.

    Args:
        start: byte offset of the data, None where the file is compressed.
    """
    columns = 1 if header.dtype.names else 4
    stride = header.dtype.itemsize * columns
    done = 0
    while done < header.shape[0]:
        wanted = min(CHUNK_EVENTS, header.shape[0] - done)
        data = file.read(wanted * stride)
        count = len(data) // stride
        offset = None if start is None else start + done * stride
        block = np.frombuffer(data, header.dtype, count * columns)
        if columns == 1:
            fields = [block[field] for field in FIELDS]
        else:
            fields = list(block.reshape(-1, 4).T)
        yield from guard.check(fields, offset=offset, stride=stride)
        done += count
        guard.fraction = done / header.shape[0]
        if count < wanted:
            raise EventFormatError(
                f"the file ends after {done} of {header.shape[0]} events: it is truncated",
                path=guard.path,
                offset=None if offset is None else offset + len(data),
            )


class Writer(contents.Writer):
    """Writes a structured array of EVENT_DTYPE; the size of the sensor is not in it."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Mapping[str, str]) -> None:
        self._file = file
        self._count = 0
        file.write(_header(0))

    def write(self, events: EventArray) -> None:
        self._file.write(events.tobytes())
        self._count += len(events)

    def finish(self) -> None:
        self._file.seek(0)
        self._file.write(_header(self._count))


def _header(count: int) -> bytes:
    """A version 1.0 header of 192 bytes whatever the count, so that it can be written again."""
    text = f"{{'descr': {EVENT_DTYPE.descr!r}, 'fortran_order': False, 'shape': ({count},), }}"
    return b"\x93NUMPY\x01\x00" + (182).to_bytes(2, "little") + f"{text:<181}\n".encode()
