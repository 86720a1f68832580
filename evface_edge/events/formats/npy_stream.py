"""Reading the header of an .npy stream, whether in a file of its own or in an archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import EventFormatError
from evface_edge.events.contents import reason

FIELDS = ("t", "x", "y", "p")


@dataclass(frozen=True)
class NpyHeader:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_header(file: Any, path: Path) -> NpyHeader:
    """The header of the array at which `file` stands, which then stands at its data.

    Raises:
        EventFormatError: no such header, Python objects, or an order that cannot be streamed.
    """
    try:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = reader(file)
    except Exception as error:  # numpy parses the header as Python text, which can fail anyhow
        raise EventFormatError(
            f"the header of the array is damaged: {reason(error)}", path=path
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
    """
    Raises:
        EventFormatError: a column is of a type that would lose something.
    """
    for name, dtype in dtypes.items():
        if dtype.shape or dtype.kind not in ("iub" if name == "p" else "iu"):
            hint = " in microseconds" if name == "t" else ""
            raise EventFormatError(
                f"{name} is of type {dtype}, expected whole numbers{hint}", path=path
            )
