"""NumPy .npz archives: arrays t, x, y, p (N,), or one structured array `events`; width, height."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from evface_edge.errors import EventFormatError, first_line, printable
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.formats import base
from evface_edge.events.formats.base import (
    Contents,
    Options,
    header_size,
    with_offset,
)
from evface_edge.events.formats.inference import TimeSample, sensor_size, time_unit
from evface_edge.events.formats.npy import (
    FIELDS,
    SAMPLED,
    Layout,
    NpyHeader,
    array_packets,
    check_array,
    check_columns,
    find_layout,
    read_header,
)
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import CHUNK_RECORDS, microseconds
from evface_edge.events.validation import Validator
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
    with _open(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        stated = _stated_size(archive, path) if {"width", "height"} <= names else None
        members = FIELDS if set(FIELDS) <= names else ("events",)
        if not set(members) <= names:
            present = printable(", ".join(sorted(names)[:10])) or "nothing"
            raise EventFormatError(
                f"holds {present}; expected the arrays t, x, y, p, or events", path=path
            )
        headers = {name: _header(archive, name, path) for name in members}
    if members == FIELDS:
        shapes = {header.shape for header in headers.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            listed = ", ".join(f"{name} {header.shape}" for name, header in headers.items())
            raise EventFormatError(
                f"the shapes of the arrays are {listed}; expected (N,) each", path=path
            )
        check_columns({name: header.dtype for name, header in headers.items()}, path)
    else:
        check_array(headers["events"], path)
    if members == FIELDS and stated is not None:
        unit = time_unit(path, TimeSample.none(), options, "us", "the layout of this package")
        layout = Layout(None, unit.value, (unit,))
    else:
        layout = _layout(path, headers, options)

    def packets(validator: Validator) -> Iterator[EventArray]:
        with _open(path) as archive, contextlib.ExitStack() as stack:
            files = []
            for name in members:
                file = cast(BinaryIO, stack.enter_context(archive.open(f"{name}.npy")))
                read_header(file, path)
                files.append(file)
            if members == FIELDS:
                yield from _column_packets(files, headers, layout.unit, validator)
            else:
                end = archive.getinfo("events.npy").file_size
                yield from array_packets(
                    files[0], headers["events"], layout, validator, end=end, compressed=True
                )

    size = sensor_size(path, options, stated, "the arrays width and height")
    return Contents((size, *layout.facts), packets)


def _layout(path: Path, headers: Mapping[str, NpyHeader], options: ReadOptions) -> Layout:
    """The layout, from the first rows of t or of the whole table."""
    name = "t" if "t" in headers else "events"
    header = headers[name]
    dtype = header.dtype if name == "t" else header.record
    with _open(path) as archive, archive.open(f"{name}.npy") as file:
        read_header(file, path)
        try:
            data = file.read(dtype.itemsize * SAMPLED)
        except _ZIP_ERRORS:  # found again, and reported, when the events are read
            data = b""
    rows = np.frombuffer(data, dtype, min(len(data) // dtype.itemsize, header.shape[0]))
    if name == "events":
        return find_layout(path, header, rows, rows, len(rows), options)
    unit = time_unit(path, TimeSample.of(rows, rows, len(rows)), options)
    return Layout(None, unit.value, (unit,))


@contextlib.contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens the archive; errors inside get the last position in the file as their offset."""
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except EventFormatError as error:
            raise with_offset(error, file.tell()) from None
        except _ZIP_ERRORS as error:
            raise EventFormatError(
                f"the archive is damaged or truncated: {first_line(error)}",
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
    files: Sequence[BinaryIO], headers: Mapping[str, NpyHeader], unit: str, validator: Validator
) -> Iterator[EventArray]:
    total = headers["t"].shape[0]
    done = 0
    while done < total:
        wanted = min(CHUNK_RECORDS, total - done)
        columns = []
        for file, field in zip(files, FIELDS, strict=True):
            dtype = headers[field].dtype
            data = file.read(wanted * dtype.itemsize)
            columns.append(np.frombuffer(data, dtype, len(data) // dtype.itemsize))
        count = min(map(len, columns))
        columns = [column[:count] for column in columns]
        if unit != "us":
            columns[0] = microseconds(columns[0], unit)
        yield from validator.validate(columns)
        done += count
        validator.fraction = done / total
        if count < wanted:
            raise EventFormatError(
                f"the file is truncated: it ends after event {done} of {total}", path=validator.path
            )
    for file in files:
        file.read(1)  # reading past the end compares the checksum of the member


class Writer(base.Writer):
    """Writes compressed columns, from temporary files, as an archive needs their length first."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
        self._file, self._size = file, size
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
                    descr, shape = EVENT_DTYPE[field].str, (self._count,)
                    np.lib.format.write_array_header_1_0(
                        member, {"descr": descr, "fortran_order": False, "shape": shape}
                    )
                    column.seek(0)
                    shutil.copyfileobj(column, member, 1 << 20)

    def close(self) -> None:
        self._files.close()


def _member(archive: zipfile.ZipFile, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    # With a fixed date, the same events produce the same file.
    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    member = archive.open(info, "w", force_zip64=True)
    return cast("contextlib.AbstractContextManager[BinaryIO]", member)
