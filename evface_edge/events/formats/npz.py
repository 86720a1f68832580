"""NumPy .npz archives: arrays t, x, y, p (N,), or one structured array `events`; width, height."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from evface_edge.errors import EventFormatError
from evface_edge.events import contents
from evface_edge.events.array import EventArray
from evface_edge.events.contents import (
    Contents,
    ReadOptions,
    header_size,
    placed,
    quoted,
    reason,
    sensor_size,
)
from evface_edge.events.formats.npy import CHUNK_EVENTS, array_packets
from evface_edge.events.formats.npy_stream import FIELDS, NpyHeader, check_columns, read_header
from evface_edge.events.guard import Guard
from evface_edge.geometry import SensorSize

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the headers of the arrays.

    Raises:
        EventFormatError: not an archive, an array is missing, or of the wrong type.
    """
    with _archive(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        given = _stated_size(archive, path) if {"width", "height"} <= names else None
        if set(FIELDS) <= names:
            headers = {field: _header(archive, field, path) for field in FIELDS}
            lengths = {header.shape for header in headers.values()}
            if len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
                shapes = ", ".join(f"{field} {header.shape}" for field, header in headers.items())
                raise EventFormatError(
                    f"the arrays differ: {shapes}; expected one length", path=path
                )
            check_columns({field: header.dtype for field, header in headers.items()}, path)
        elif "events" in names:
            header = _header(archive, "events", path)
            fields = header.dtype.names or ()
            if len(header.shape) != 1 or not set(FIELDS) <= set(fields):
                raise EventFormatError(
                    f"events is an array {header.shape} of {header.dtype}, expected (N,) with "
                    "fields t, x, y, p",
                    path=path,
                )
            check_columns({field: header.dtype[field] for field in FIELDS}, path)
            headers = {}
        else:
            found = quoted(", ".join(sorted(names)[:10])) or "nothing"
            raise EventFormatError(
                f"holds {found}; expected the arrays t, x, y, p, or events", path=path
            )
    size = sensor_size(path, options.size, given)

    def packets(guard: Guard) -> Iterator[EventArray]:
        with _archive(path) as archive, contextlib.ExitStack() as stack:
            if headers:
                files = [stack.enter_context(archive.open(f"{field}.npy")) for field in FIELDS]
                for file in files:
                    read_header(file, path)
                yield from _column_packets(cast("list[BinaryIO]", files), headers, guard)
            else:
                file = stack.enter_context(archive.open("events.npy"))
                yield from array_packets(file, read_header(file, path), guard, None)

    return Contents(size, packets)


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Errors inside get the place that was read last."""
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except EventFormatError as error:
            raise placed(error, file.tell()) from None
        except _ZIP_ERRORS as error:
            raise EventFormatError(
                f"the archive is damaged or truncated: {reason(error)}",
                path=path,
                offset=file.tell(),
            ) from None
        except KeyError as error:
            raise EventFormatError(f"the archive lacks an array: {error}", path=path) from None


def _header(archive: zipfile.ZipFile, name: str, path: Path) -> NpyHeader:
    with archive.open(f"{name}.npy") as file:
        return read_header(file, path)


def _stated_size(archive: zipfile.ZipFile, path: Path) -> SensorSize:
    values = []
    for name in ("width", "height"):
        with archive.open(f"{name}.npy") as file:
            header = read_header(file, path)
            if header.shape not in ((), (1,)) or header.dtype.kind not in "iu":
                raise EventFormatError(
                    f"{name} is an array {header.shape} of {header.dtype}, expected one integer",
                    path=path,
                )
            data = file.read(header.dtype.itemsize)
            if len(data) < header.dtype.itemsize:
                raise EventFormatError(f"{name} is truncated", path=path)
            values.append(int(np.frombuffer(data, header.dtype, 1)[0]))
    return header_size(path, *values)


def _column_packets(
    files: list[BinaryIO], headers: Mapping[str, NpyHeader], guard: Guard
) -> Iterator[EventArray]:
    total = headers["t"].shape[0]
    done = 0
    while done < total:
        wanted = min(CHUNK_EVENTS, total - done)
        columns = []
        for file, field in zip(files, FIELDS, strict=True):
            dtype = headers[field].dtype
            data = file.read(wanted * dtype.itemsize)
            columns.append(np.frombuffer(data, dtype, len(data) // dtype.itemsize))
        count = min(map(len, columns))
        yield from guard.check([column[:count] for column in columns])
        done += count
        guard.fraction = done / total
        if count < wanted:
            raise EventFormatError(
                f"ends after {done} of {total} events: it is truncated", path=guard.path
            )
    for file in files:
        file.read(1)  # past the end, so that the checksum of the member is compared


class Writer(contents.Writer):
    """Writes compressed columns; they wait in temporary files, as an archive needs their length."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Mapping[str, str]) -> None:
        self._file, self._size = file, size
        self._dtypes = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1"}
        self._files = contextlib.ExitStack()
        self._columns = {
            field: self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for field in FIELDS
        }
        self._count = 0

    def write(self, events: EventArray) -> None:
        for field, column in self._columns.items():
            column.write(np.ascontiguousarray(events[field]).tobytes())
        self._count += len(events)

    def finish(self) -> None:
        with zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, value in (("width", self._size.width), ("height", self._size.height)):
                with _member(archive, name) as member:
                    np.lib.format.write_array(member, np.asarray(value, "<i8"), allow_pickle=False)
            for field, column in self._columns.items():
                with _member(archive, field) as member:
                    header = {
                        "descr": self._dtypes[field],
                        "fortran_order": False,
                        "shape": (self._count,),
                    }
                    np.lib.format.write_array_header_1_0(member, header)
                    column.seek(0)
                    shutil.copyfileobj(column, member, 1 << 20)

    def close(self) -> None:
        self._files.close()


def _member(archive: zipfile.ZipFile, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    # A fixed date: the same events give the same file.
    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    member = archive.open(info, "w", force_zip64=True)
    return cast("contextlib.AbstractContextManager[BinaryIO]", member)
