"""Reading files of records of equal size after a header."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.guard import Guard

CHUNK_RECORDS = 65536

#: Records → t, x, y, p, and which of the records are events (None: all).
Columns = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]


def record_packets(
    path: Path,
    start: int,
    dtype: np.dtype[Any],
    columns: Callable[[NDArray[Any]], Columns],
    guard: Guard,
) -> Iterator[EventArray]:
    """The events of all records from byte `start` on.

    Raises:
        EventFormatError: at the first that is not sound, or at the end of a truncated file.
    """
    end = path.stat().st_size
    with path.open("rb") as file:
        file.seek(start)
        offset = start
        while data := file.read(CHUNK_RECORDS * dtype.itemsize):
            records = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
            t, x, y, p, chosen = columns(records)
            where = None if chosen is None else np.flatnonzero(chosen)
            if where is not None:
                t, x, y, p = t[where], x[where], y[where], p[where]
            yield from guard.check((t, x, y, p), offset=offset, stride=dtype.itemsize, index=where)
            offset += len(records) * dtype.itemsize
            guard.fraction = offset / end
            if len(data) % dtype.itemsize:
                raise EventFormatError(
                    f"the file ends within an event of {dtype.itemsize} bytes: it is truncated",
                    path=path,
                    offset=offset,
                )
