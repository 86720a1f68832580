"""HDF5 as the public data sets and Metavision write it (extra: hdf5).

| layout | where | size |
|---|---|---|
| Metavision | `CD/events`, fields x, y, p, t in µs; packed by ECF or not | attribute `geometry` |
| DSEC | `events/{t,x,y,p}` in µs, plus `t_offset` | 640×480 |
| TUM-VIE | `events/{t,x,y,p}` in µs, `ms_to_idx` | 1280×720 |
| MVSEC | `davis/left/events` (N, 4): x, y, t in s, p | 346×260 |
| other | t, x, y, p (or ts, xs, ys, ps) at the root, in `events`, or in `?group=` | attributes |

Whole times are µs and times with a fraction seconds, unless `?time_unit=` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError, RuntimeUnavailable
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
from evface_edge.events.formats.hdf5_writer import ECF_FILTER, Writer
from evface_edge.events.guard import Guard
from evface_edge.geometry import SensorSize

__all__ = ["Writer", "read"]

CHUNK_EVENTS = 65536

_FIELDS = ("t", "x", "y", "p")
_PLURALS = ("ts", "xs", "ys", "ps")
_UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
# What h5py raises for files that are damaged, besides OSError.
_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)


@dataclass(frozen=True)
class _Place:
    """Where the events are: one table, or one dataset for each of t, x, y, p."""

    layout: str
    datasets: tuple[str, ...]
    offset_us: int = 0


def read(path: Path, options: ReadOptions) -> Contents:
    """Looks for the events.

    Raises:
        EventFormatError: the file is damaged, or there are none where expected.
        RuntimeUnavailable: h5py is not installed.
    """
    unit = options.choice("time_unit", (*_UNITS_US, "auto"), "auto")
    with _opened(path) as file:
        place = _place(file, path, options.values.get("group"))
        size = sensor_size(path, options.size, _stated_size(file, path, place))

    def packets(guard: Guard) -> Iterator[EventArray]:
        with _opened(path) as file:
            yield from _packets(file, place, unit, guard)

    return Contents(size, packets, {"layout": place.layout})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            f"{path.name}: reading HDF5 needs h5py: pip install 'evface-edge[hdf5]'"
        ) from None
    import contextlib

    with contextlib.suppress(ModuleNotFoundError):  # Blosc, which DSEC uses
        import hdf5plugin  # noqa: F401
    try:
        file = h5py.File(path, "r")
    except _ERRORS as error:
        raise EventFormatError(f"the HDF5 file is damaged: {reason(error)}", path=path) from None
    try:
        yield file
    except EventFormatError:
        raise
    except _ERRORS as error:
        raise EventFormatError(f"the HDF5 file is damaged: {reason(error)}", path=path) from None
    finally:
        file.close()


def _place(file: Any, path: Path, group: str | None) -> _Place:
    import h5py

    if group is None and isinstance(file.get("CD/events"), h5py.Dataset):
        return _Place("Metavision", ("CD/events",))
    if group is None and isinstance(file.get("davis/left/events"), h5py.Dataset):
        group = "davis/left"
    for prefix in (f"{group}/",) if group else ("events/", ""):
        for names in (_FIELDS, _PLURALS):
            datasets = tuple(prefix + name for name in names)
            if all(isinstance(file.get(name), h5py.Dataset) for name in datasets):
                return _columns_place(file, prefix, datasets)
    for name in (group, f"{group}/events") if group else ("events",):
        table = file.get(name)
        if isinstance(table, h5py.Dataset):
            if table.dtype.names and set(_FIELDS) <= set(table.dtype.names) and table.ndim == 1:
                return _Place("table", (name,))
            if table.ndim == 2 and table.shape[1] == 4:
                return _Place("MVSEC", (name,))
    found = quoted(", ".join(sorted(file)[:10])) or "nothing"
    raise EventFormatError(
        f"holds {found}{f' and no events in {group}' if group else ''}; expected t, x, y, p at the "
        "root or in events; name where they are with ?group=",
        path=path,
    )


def _columns_place(file: Any, prefix: str, datasets: tuple[str, ...]) -> _Place:
    if "t_offset" in file and prefix == "events/":
        return _Place("DSEC", datasets, int(file["t_offset"][()]))
    if "ms_to_idx" in file and prefix == "events/":
        return _Place("TUM-VIE", datasets)
    return _Place("columns", datasets)


def _stated_size(file: Any, path: Path, place: _Place) -> SensorSize | None:
    for holder in (file, file[place.datasets[0]], file[place.datasets[0]].parent):
        geometry = holder.attrs.get("geometry")
        match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", _text(geometry))
        if match:
            return header_size(path, int(match[1]), int(match[2]))
        if "width" in holder.attrs and "height" in holder.attrs:
            return header_size(path, int(holder.attrs["width"]), int(holder.attrs["height"]))
    sizes = {"DSEC": (640, 480), "TUM-VIE": (1280, 720), "MVSEC": (346, 260)}
    return SensorSize(*sizes[place.layout]) if place.layout in sizes else None


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _packets(file: Any, place: _Place, unit: str, guard: Guard) -> Iterator[EventArray]:
    datasets = [file[name] for name in place.datasets]
    lengths = {len(dataset) for dataset in datasets}
    total = min(lengths)
    done = 0
    try:
        for columns in _blocks(datasets, place, total, guard.path):
            t = _microseconds(columns[0], unit) + place.offset_us
            x, y, p = (_whole(column) for column in columns[1:])
            yield from guard.check((t, x, y, p))
            done += len(t)
            guard.fraction = done / total
        if len(lengths) > 1:
            raise EventFormatError(
                f"t, x, y, p have different lengths ({', '.join(map(str, sorted(lengths)))})",
                path=guard.path,
            )
    except EventFormatError as error:
        raise placed(error, _offset(datasets[0], done)) from None
    except _ERRORS as error:
        raise EventFormatError(
            f"the HDF5 file is damaged: {reason(error)}",
            path=guard.path,
            offset=_offset(datasets[0], done),
        ) from None


def _offset(dataset: Any, index: int) -> int | None:
    """Where the part of the file begins that holds a row; None where that is damaged too."""
    index = max(0, min(index, len(dataset) - 1))
    try:
        if dataset.chunks is None:
            start = dataset.id.get_offset()
            row_bytes = dataset.dtype.itemsize * (dataset.shape[1] if dataset.ndim > 1 else 1)
            return None if start is None else int(start) + index * row_bytes
        rows = dataset.chunks[0]
        corner = (index // rows * rows, *(0 for _ in dataset.shape[1:]))
        return int(dataset.id.get_chunk_info_by_coord(corner).byte_offset)
    except _ERRORS:
        return None


def _blocks(
    datasets: Sequence[Any], place: _Place, total: int, path: Path
) -> Iterator[list[NDArray[Any]]]:
    table = datasets[0]
    if len(datasets) == 1 and _has_ecf(table):
        from evface_edge.events.formats import ecf

        yield from ecf.blocks(table, path)
        return
    for start in range(0, total, CHUNK_EVENTS):
        stop = min(start + CHUNK_EVENTS, total)
        rows = table.chunks[0] if table.chunks else CHUNK_EVENTS
        try:
            block = _block(datasets, place, start, stop)
        except _ERRORS:
            # One of several chunks is damaged: those before it are not lost.
            for part in range(start, stop, rows):
                yield _block(datasets, place, part, min(part + rows, stop))
        else:
            yield block


def _block(datasets: Sequence[Any], place: _Place, start: int, stop: int) -> list[NDArray[Any]]:
    """Rows of t, x, y, p."""
    if len(datasets) == 4:
        return [dataset[start:stop] for dataset in datasets]
    block = datasets[0][start:stop]
    if place.layout == "MVSEC":
        return [block[:, column] for column in (2, 0, 1, 3)]
    return [block[field] for field in _FIELDS]


def _has_ecf(table: Any) -> bool:
    properties = table.id.get_create_plist()
    filters = range(properties.get_nfilters())
    return any(properties.get_filter(index)[0] == ECF_FILTER for index in filters)


def _microseconds(t: NDArray[Any], unit: str) -> NDArray[np.int64]:
    if t.dtype.kind == "f":
        scale = _UNITS_US["s" if unit == "auto" else unit]
        return _whole(np.rint(t.astype(np.float64) * scale))
    whole = np.minimum(t, np.uint64(2**62)).astype(np.int64) if t.dtype.kind == "u" else t
    if unit in ("auto", "us"):
        return whole.astype(np.int64)
    return _whole(np.rint(whole.astype(np.float64) * _UNITS_US[unit]))


def _whole(column: NDArray[Any]) -> NDArray[np.int64]:
    """Integers; what no integer of 62 bits can hold becomes -2^62, which the guard refuses."""
    if column.dtype.kind == "f":
        sound = np.abs(column) < 2.0**62
        return np.where(sound, column, -(2.0**62)).astype(np.int64)
    if column.dtype.kind not in "iub":
        raise TypeError(f"a column of {column.dtype}, expected numbers")
    return column.astype(np.int64)
