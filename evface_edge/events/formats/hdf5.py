"""HDF5 of public data sets and of Metavision (extra: hdf5).

| layout | where | size |
|---|---|---|
| Metavision | `CD/events`, fields x, y, p, t in µs; with or without ECF | attribute `geometry` |
| DSEC | `events/{t,x,y,p}` in µs, plus `t_offset` | 640×480 |
| TUM-VIE | `events/{t,x,y,p}` in µs, `ms_to_idx` | 1280×720 |
| MVSEC | `davis/left/events` (N, 4): x, y, t in s, p | 346×260 |
| other | t, x, y, p (or ts, xs, ys, ps) at the root, in `events`, or in `?group=` | attributes |

Integer timestamps are in µs and floating-point ones in s, unless `?time_unit=` is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError, RuntimeUnavailable, first_line, printable
from evface_edge.events.array import EventArray
from evface_edge.events.formats.base import (
    Contents,
    Options,
    choose,
    header_size,
    sensor_size,
    with_offset,
)
from evface_edge.events.formats.reading import CHUNK_RECORDS
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

#: Number of the ECF filter in HDF5.
ECF_FILTER = 0x8ECF

_FIELDS = ("t", "x", "y", "p")
_PLURALS = ("ts", "xs", "ys", "ps")
_UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
# What h5py raises for damaged files.
_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)


@dataclass(frozen=True)
class _Location:
    """One table, or one dataset for each of t, x, y, p."""

    layout: str
    datasets: tuple[str, ...]
    offset_us: int = 0


def read(path: Path, size: SensorSize | None, options: Options) -> Contents:
    unit = choose(options, "time_unit", (*_UNITS_US, "auto"), "auto")
    with _opened(path) as file:
        location = _locate(file, path, options.get("group"))
        size = sensor_size(path, size, _stated_size(file, path, location))

    def packets(validator: Validator) -> Iterator[EventArray]:
        with _opened(path) as file:
            yield from _packets(file, location, unit, validator)

    return Contents(size, packets, {"layout": location.layout})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            f"{path.name}: reading HDF5 needs h5py: pip install 'evface-edge[hdf5]'"
        ) from None
    with suppress(ModuleNotFoundError):  # Blosc, which DSEC uses
        import hdf5plugin  # noqa: F401
    with _format_errors(path), h5py.File(path, "r") as file:
        yield file


@contextmanager
def _format_errors(path: Path, offset: Callable[[], int | None] = lambda: None) -> Iterator[None]:
    """Converts errors of h5py to EventFormatError; adds the offset to every error."""
    try:
        yield
    except EventFormatError as error:
        raise with_offset(error, offset()) from None
    except _ERRORS as error:
        reason = f"the HDF5 file is damaged: {first_line(error)}"
        raise EventFormatError(reason, path=path, offset=offset()) from None


def _locate(file: Any, path: Path, group: str | None) -> _Location:
    import h5py

    if group is None and isinstance(file.get("CD/events"), h5py.Dataset):
        return _Location("Metavision", ("CD/events",))
    if group is None and isinstance(file.get("davis/left/events"), h5py.Dataset):
        group = "davis/left"
    for prefix in (f"{group}/",) if group else ("events/", ""):
        for names in (_FIELDS, _PLURALS):
            datasets = tuple(prefix + name for name in names)
            if all(isinstance(file.get(name), h5py.Dataset) for name in datasets):
                return _column_location(file, prefix, datasets)
    for name in (group, f"{group}/events") if group else ("events",):
        table = file.get(name)
        if isinstance(table, h5py.Dataset):
            if table.dtype.names and set(_FIELDS) <= set(table.dtype.names) and table.ndim == 1:
                return _Location("table", (name,))
            if table.ndim == 2 and table.shape[1] == 4:
                return _Location("MVSEC", (name,))
    found = printable(", ".join(sorted(file)[:10])) or "nothing"
    raise EventFormatError(
        f"holds {found}{f' and no events in {group}' if group else ''}; expected t, x, y, p at the "
        "root or in events; give their group with ?group=",
        path=path,
    )


def _column_location(file: Any, prefix: str, datasets: tuple[str, ...]) -> _Location:
    if "t_offset" in file and prefix == "events/":
        return _Location("DSEC", datasets, int(file["t_offset"][()]))
    if "ms_to_idx" in file and prefix == "events/":
        return _Location("TUM-VIE", datasets)
    return _Location("columns", datasets)


def _stated_size(file: Any, path: Path, location: _Location) -> SensorSize | None:
    for holder in (file, file[location.datasets[0]], file[location.datasets[0]].parent):
        geometry = holder.attrs.get("geometry")
        match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", _text(geometry))
        if match:
            return header_size(path, int(match[1]), int(match[2]))
        if "width" in holder.attrs and "height" in holder.attrs:
            return header_size(path, int(holder.attrs["width"]), int(holder.attrs["height"]))
    sizes = {"DSEC": (640, 480), "TUM-VIE": (1280, 720), "MVSEC": (346, 260)}
    return SensorSize(*sizes[location.layout]) if location.layout in sizes else None


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _packets(
    file: Any, location: _Location, unit: str, validator: Validator
) -> Iterator[EventArray]:
    datasets = [file[name] for name in location.datasets]
    lengths = {len(dataset) for dataset in datasets}
    total = min(lengths)
    done = 0
    with _format_errors(validator.path, lambda: _offset(datasets[0], done)):
        for columns in _blocks(datasets, location, total, validator):
            t = _microseconds(columns[0], unit) + location.offset_us
            x, y, p = (_as_integers(column) for column in columns[1:])
            yield from validator.validate((t, x, y, p))
            done += len(t)
            validator.fraction = done / total
        if len(lengths) > 1:
            raise EventFormatError(
                f"t, x, y, p have different lengths ({', '.join(map(str, sorted(lengths)))})",
                path=validator.path,
            )


def _offset(dataset: Any, index: int) -> int | None:
    """Byte offset of the chunk with a row; None if it is not known."""
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
    datasets: Sequence[Any], location: _Location, total: int, validator: Validator
) -> Iterator[list[NDArray[Any]]]:
    table = datasets[0]
    if len(datasets) == 1 and _has_ecf(table):
        from evface_edge.events.formats import ecf

        yield from ecf.blocks(table, validator)
        return
    for start in range(0, total, CHUNK_RECORDS):
        stop = min(start + CHUNK_RECORDS, total)
        rows = table.chunks[0] if table.chunks else CHUNK_RECORDS
        try:
            block = _block(datasets, location, start, stop)
        except _ERRORS:
            # One of several chunks is damaged: keep those before it.
            for part in range(start, stop, rows):
                try:
                    block = _block(datasets, location, part, min(part + rows, stop))
                except _ERRORS as error:
                    reason = f"the HDF5 file is damaged: {first_line(error)}"
                    offset = _offset(table, part)
                    damage = EventFormatError(reason, path=validator.path, offset=offset)
                    validator.damaged_chunk(damage)
                else:
                    yield block
        else:
            yield block


def _block(
    datasets: Sequence[Any], location: _Location, start: int, stop: int
) -> list[NDArray[Any]]:
    """Rows of t, x, y, p (N,)."""
    if len(datasets) == 4:
        return [dataset[start:stop] for dataset in datasets]
    block = datasets[0][start:stop]
    if location.layout == "MVSEC":
        return [block[:, column] for column in (2, 0, 1, 3)]
    return [block[field] for field in _FIELDS]


def _has_ecf(table: Any) -> bool:
    properties = table.id.get_create_plist()
    filters = range(properties.get_nfilters())
    return any(properties.get_filter(index)[0] == ECF_FILTER for index in filters)


def _microseconds(t: NDArray[Any], unit: str) -> NDArray[np.int64]:
    if t.dtype.kind == "f":
        scale = _UNITS_US["s" if unit == "auto" else unit]
        return _as_integers(np.rint(t.astype(np.float64) * scale))
    whole = np.minimum(t, np.uint64(2**62)).astype(np.int64) if t.dtype.kind == "u" else t
    if unit in ("auto", "us"):
        return whole.astype(np.int64)
    return _as_integers(np.rint(whole.astype(np.float64) * _UNITS_US[unit]))


def _as_integers(column: NDArray[Any]) -> NDArray[np.int64]:
    """Integers; values beyond 62 bits become -2^62, which fails validation."""
    if column.dtype.kind == "f":
        fits = np.abs(column) < 2.0**62
        return np.where(fits, column, -(2.0**62)).astype(np.int64)
    if column.dtype.kind not in "iub":
        raise TypeError(f"a column of {column.dtype}, expected numbers")
    return column.astype(np.int64)
