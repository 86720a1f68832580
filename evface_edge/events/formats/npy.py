"""NumPy .npy files: a structured array with fields t, x, y, p, or integers (N, 4) in that order."""

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
from evface_edge.events.formats.base import Contents, Options, sensor_size
from evface_edge.events.formats.reading import Selected, record_packets
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

FIELDS = ("t", "x", "y", "p")


@dataclass(frozen=True)
class NpyHeader:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read(path: Path, size: SensorSize | None, options: Options) -> Contents:
    with path.open("rb") as file:
        header = read_header(file, path)
        start = file.tell()
    check_array(header, path)

    def packets(validator: Validator) -> Iterator[EventArray]:
        with path.open("rb") as file:
            file.seek(start)
            yield from array_packets(file, header, validator, end=path.stat().st_size)

    return Contents(sensor_size(path, size, None), packets, {"dtype": str(header.dtype)})


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
    file: BinaryIO, header: NpyHeader, validator: Validator, *, end: int, compressed: bool = False
) -> Iterator[EventArray]:
    """Yields the events of the array whose data starts at the position of `file`.

    Args:
        end: size of `file` in bytes.
        compressed: whether `file` is a member of an archive.
    """

    def columns(records: NDArray[Any]) -> Selected:
        if header.dtype.names:
            return (records["t"], records["x"], records["y"], records["p"]), None
        t, x, y, p = records.T
        return (t, x, y, p), None

    dtype = header.dtype if header.dtype.names else np.dtype((header.dtype, (4,)))
    return record_packets(
        file,
        dtype,
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
