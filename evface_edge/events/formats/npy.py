"""NumPy .npy files: a structured array with fields t, x, y, p, or integers (N, 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError, first_line
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.formats import base
from evface_edge.events.formats.base import Contents, Options
from evface_edge.events.formats.inference import (
    Fact,
    TimeSample,
    column_order,
    sensor_size,
    time_unit,
)
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import Selected, microseconds, record_packets
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

FIELDS = ("t", "x", "y", "p")
#: First rows that show how an array is laid out.
SAMPLED = 65536


@dataclass(frozen=True)
class NpyHeader:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def record(self) -> np.dtype[Any]:
        """The type of a row."""
        return self.dtype if self.dtype.names else np.dtype((self.dtype, (4,)))

    def rows(self, data: bytes) -> NDArray[Any]:
        """Whole rows at the start of `data`, at most those of the array."""
        count = min(len(data) // self.record.itemsize, self.shape[0])
        return np.frombuffer(data, self.record, count)


def read(path: Path, options: ReadOptions) -> Contents:
    with path.open("rb") as file:
        header = read_header(file, path)
        start = file.tell()
        check_array(header, path)
        sampled = 0 if header.dtype == EVENT_DTYPE else SAMPLED
        rows = header.rows(file.read(header.record.itemsize * sampled))
        here = (path.stat().st_size - start) // header.record.itemsize
        count = min(header.shape[0], here)
        file.seek(start + max(0, count - len(rows)) * header.record.itemsize)
        tail = header.rows(file.read(header.record.itemsize * min(len(rows), count)))
    layout = find_layout(path, header, rows, tail, count, options)

    def packets(validator: Validator) -> Iterator[EventArray]:
        with path.open("rb") as file:
            file.seek(start)
            yield from array_packets(file, header, layout, validator, end=path.stat().st_size)

    size = sensor_size(path, options, None)
    return Contents((size, *layout.facts), packets, {"dtype": str(header.dtype)})


@dataclass(frozen=True)
class Layout:
    """How the rows of an array are read.

    Attributes:
        places: of t, x, y, p, in a table without names; None with names.
        unit: of t.
    """

    places: tuple[int, ...] | None
    unit: str
    facts: tuple[Fact[Any], ...]


def find_layout(
    path: Path,
    header: NpyHeader,
    rows: NDArray[Any],
    tail: NDArray[Any],
    count: int,
    options: ReadOptions,
) -> Layout:
    """The layout of an array, from its first and last rows; `count` is the number of all rows."""
    if header.dtype.names:
        stated = "us" if header.dtype == EVENT_DTYPE else None
        sample = TimeSample.of(rows["t"], tail["t"], count)
        unit = time_unit(path, sample, options, stated, "the type of this package")
        return Layout(None, unit.value, (unit,))
    order = column_order(path, rows, options, "txyp")
    places = tuple(order.value.index(field) for field in FIELDS)
    unit = time_unit(path, TimeSample.of(rows[:, places[0]], tail[:, places[0]], count), options)
    return Layout(places, unit.value, (order, unit))


def check_array(header: NpyHeader, path: Path) -> None:
    """Raises EventFormatError if it is not an array of events."""
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


def read_header(file: Any, path: Path) -> NpyHeader:
    """The header of the array at the position of `file`, which moves to the data.

    Raises:
        EventFormatError: a damaged header, Python objects, or Fortran order.
    """
    try:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = reader(file)
    except Exception as error:  # NumPy parses the header as Python text: any error may occur
        raise EventFormatError(
            f"the header of the array is damaged: {first_line(error)}", path=path
        ) from None
    if dtype.hasobject:
        raise EventFormatError("the array holds Python objects, which are never loaded", path=path)
    if fortran_order and len(shape) > 1:
        raise EventFormatError(
            "the array is in Fortran order, expected C order (numpy.ascontiguousarray)", path=path
        )
    if any(length < 0 for length in shape) or dtype.itemsize == 0:
        raise EventFormatError(f"the array has the shape {shape} of {dtype}", path=path)
    return NpyHeader(shape, dtype)


def check_columns(dtypes: Mapping[str, np.dtype[Any]], path: Path) -> None:
    """Raises EventFormatError if a column is not of an integer type."""
    for name, dtype in dtypes.items():
        if dtype.shape or dtype.kind not in ("iub" if name == "p" else "iu"):
            unit = " in microseconds" if name == "t" else ""
            raise EventFormatError(f"{name} is of type {dtype}, expected integers{unit}", path=path)


def array_packets(
    file: BinaryIO,
    header: NpyHeader,
    layout: Layout,
    validator: Validator,
    *,
    end: int,
    compressed: bool = False,
) -> Iterator[EventArray]:
    """Yields the events of the array whose data starts at the position of `file`.

    Args:
        end: size of `file` in bytes.
        compressed: whether `file` is a member of an archive.
    """

    def columns(records: NDArray[Any]) -> Selected:
        if layout.places is None:
            t, x, y, p = (records[field] for field in FIELDS)
        else:
            t, x, y, p = (records[:, place] for place in layout.places)
        if layout.unit != "us":
            t = microseconds(t, layout.unit)
        return (t, x, y, p), None

    return record_packets(
        file,
        header.record,
        columns,
        validator,
        end=end,
        count=header.shape[0],
        has_offsets=not compressed,
    )


class Writer(base.Writer):
    """Writes a structured array of EVENT_DTYPE, without the sensor size."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
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
    """A version 1.0 header of 192 bytes for any count, so that it can be overwritten."""
    text = f"{{'descr': {EVENT_DTYPE.descr!r}, 'fortran_order': False, 'shape': ({count},), }}"
    return b"\x93NUMPY\x01\x00" + (182).to_bytes(2, "little") + f"{text:<181}\n".encode()
