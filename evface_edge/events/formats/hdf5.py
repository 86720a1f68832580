"""HDF5 of public data sets and of Metavision (extra: hdf5).

| layout | where | size |
|---|---|---|
| Metavision | `CD/events`, fields x, y, p, t in µs; with or without ECF | attribute `geometry` |
| DSEC | `events/{t,x,y,p}` in µs, plus `t_offset` | 640×480 |
| TUM-VIE | `events/{t,x,y,p}` in µs, `ms_to_idx` | 1280×720 |
| MVSEC | `davis/left/events` (N, 4): x, y, t in s, p | 346×260 |
| v2e | `events` (N, 4) uint32: t in µs, x, y, p | not stated |
| other | t, x, y, p (or ts, xs, ys, ps) at the root, in `events`, or elsewhere | attributes |

What is left open (unit of time, order of columns, which of two cameras) is found by `inference.py`.
"""

from __future__ import annotations

import dataclasses
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
from evface_edge.events.formats.base import Contents, header_size, with_offset
from evface_edge.events.formats.inference import (
    Fact,
    TimeSample,
    column_order,
    one_of,
    sensor_size,
    time_unit,
)
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import CHUNK_RECORDS, as_integers, microseconds
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

#: Number of the ECF filter in HDF5.
ECF_FILTER = 0x8ECF

_FIELDS = ("t", "x", "y", "p")
_PLURALS = ("ts", "xs", "ys", "ps")
#: Layout → its sensor, the unit of its times, and the order of its columns if they have no names.
_LAYOUTS = {
    "Metavision": (None, "us", None),
    "DSEC": (SensorSize(640, 480), "us", None),
    "TUM-VIE": (SensorSize(1280, 720), "us", None),
    "MVSEC": (SensorSize(346, 260), "s", "xytp"),
    "columns": (None, None, None),
    "table": (None, None, None),
}
#: Events at the start that show what a file leaves open.
_SAMPLED, _TAIL = 65536, 33
# What h5py raises for damaged files.
_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)


@dataclass(frozen=True)
class _Location:
    """One table, or one dataset for each of t, x, y, p."""

    layout: str
    datasets: tuple[str, ...]
    offset_us: int = 0
    group: str | None = None


@dataclass(frozen=True)
class _Reading:
    """How the datasets are read: the places of t, x, y, p in a table without names, and units."""

    location: _Location
    places: tuple[int, ...]
    unit: str


def read(path: Path, options: ReadOptions) -> Contents:
    with _opened(path) as file:
        location = _locate(file, path, options)
        sensor, stated_unit, stated_order = _LAYOUTS[location.layout]
        reason = f"the layout of {location.layout}"
        size = sensor_size(path, options, _stated_size(file, path, location) or sensor, reason)
        facts: list[Fact[Any]] = [size]
        if location.group is not None:
            how = "stated" if options.group is None else "given"
            facts.append(Fact("stream", location.group, how, "the group"))
        datasets = [file[name] for name in location.datasets]
        places: tuple[int, ...] = (0, 1, 2, 3)
        head, tail = _sample(datasets, stated_unit)
        if datasets[0].ndim == 2 and len(datasets) == 1:
            order = Fact("columns", stated_order or "", "stated", reason)
            if options.columns is not None or stated_order is None:
                known = dataclasses.replace(options, size=size.value)
                usual = "txyp" if head.dtype == np.uint32 else None  # as v2e writes it
                order = column_order(path, head, known, usual)
            facts.append(order)
            places = tuple(order.value.index(field) for field in _FIELDS)
            if head.dtype == np.uint32 and order.value == "txyp":
                stated_unit, reason = "us", "the layout of v2e"
            head, tail = head[:, places[0]], tail[:, places[0]]
        sample = TimeSample.of(head, tail, len(datasets[0]))
        unit = time_unit(path, sample, options, stated_unit, reason)
        reading = _Reading(location, places, unit.value)

    def packets(validator: Validator) -> Iterator[EventArray]:
        with _opened(path) as file:
            yield from _packets(file, reading, validator)

    return Contents((*facts, unit), packets, {"layout": location.layout})


def _sample(datasets: Sequence[Any], unit: str | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first and last times, or rows of a table without names; none if they are not needed."""
    dataset = datasets[0]
    parts = []
    for start, stop in ((0, _SAMPLED), (max(0, len(dataset) - _TAIL), None)):
        part = np.empty((0, *dataset.shape[1:]), np.int64)
        if unit is None:
            with suppress(*_ERRORS):  # found again, and reported, when the events are read
                part = dataset[start:stop]
        if part.dtype.names:
            part = part["t"]
        if len(datasets) > 1:
            part = part.reshape(-1)
        if part.dtype.kind not in "iubf":
            part = np.empty(0, np.int64)
        parts.append(part)
    return parts[0], parts[1]


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


def _locate(file: Any, path: Path, options: ReadOptions) -> _Location:
    """Where the events are: in the usual places, or else in the only group that has any.

    Raises:
        ConfigError: the given group has none.
        EventFormatError: several groups have events, or none.
    """
    import h5py

    if options.group is None:
        if isinstance(file.get("CD/events"), h5py.Dataset):
            return _Location("Metavision", ("CD/events",))
        for group in ("events", ""):
            location = _in_group(file, group)
            if location is not None:
                return location
    groups = dict(_groups(file))
    if not groups or (options.group is not None and options.group not in groups):
        found = printable(", ".join(sorted(file)[:10])) or "nothing"
        given = f" and no events in {options.group}" if options.group else ""
        raise EventFormatError(
            f"holds {found}{given}; expected t, x, y, p at the root or in events; give their group "
            "with ?group=",
            path=path,
        )
    choices = dict.fromkeys(groups, "")
    chosen = one_of(path, "stream", choices, options.group, "group").value
    return dataclasses.replace(groups[chosen], group=chosen)


def _groups(file: Any) -> Iterator[tuple[str, _Location]]:
    """All groups with events, and where these are."""
    import h5py

    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Group) else None)
    for name in names:
        location = _in_group(file, name)
        if location is not None:
            yield name, location


def _in_group(file: Any, group: str) -> _Location | None:
    """Events in a group, or in its table `events`; None if there are none."""
    import h5py

    prefix = f"{group}/" if group else ""
    for names in (_FIELDS, _PLURALS):
        datasets = tuple(prefix + name for name in names)
        if all(_is_column(file.get(name)) for name in datasets):
            return _column_location(file, prefix, datasets)
    name = f"{prefix}events" if group != "events" else "events"
    table = file.get(name)
    if isinstance(table, h5py.Dataset):
        if table.dtype.names and set(_FIELDS) <= set(table.dtype.names) and table.ndim == 1:
            return _Location("table", (name,))
        if table.ndim == 2 and table.shape[1] == 4:
            return _Location("MVSEC" if name.startswith("davis/") else "table", (name,))
    return None


def _is_column(item: Any) -> bool:
    """Whether it is a dataset (N,) or (N, 1)."""
    import h5py

    return isinstance(item, h5py.Dataset) and (item.ndim == 1 or item.shape[1:] == (1,))


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
    return None


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _packets(file: Any, reading: _Reading, validator: Validator) -> Iterator[EventArray]:
    location = reading.location
    datasets = [file[name] for name in location.datasets]
    lengths = {len(dataset) for dataset in datasets}
    total = min(lengths)
    done = 0
    with _format_errors(validator.path, lambda: _offset(datasets[0], done)):
        for columns in _blocks(datasets, reading, total, validator):
            t = microseconds(columns[0], reading.unit) + location.offset_us
            x, y, p = (as_integers(column) for column in columns[1:])
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
    datasets: Sequence[Any], reading: _Reading, total: int, validator: Validator
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
            block = _block(datasets, reading, start, stop)
        except _ERRORS:
            # One of several chunks is damaged: keep those before it.
            for part in range(start, stop, rows):
                try:
                    block = _block(datasets, reading, part, min(part + rows, stop))
                except _ERRORS as error:
                    reason = f"the HDF5 file is damaged: {first_line(error)}"
                    offset = _offset(table, part)
                    damage = EventFormatError(reason, path=validator.path, offset=offset)
                    validator.damaged_chunk(damage)
                else:
                    yield block
        else:
            yield block


def _block(datasets: Sequence[Any], reading: _Reading, start: int, stop: int) -> list[NDArray[Any]]:
    """Rows of t, x, y, p (N,)."""
    if len(datasets) == 4:
        return [dataset[start:stop].reshape(-1) for dataset in datasets]
    block = datasets[0][start:stop]
    if block.ndim == 2:
        return [block[:, place] for place in reading.places]
    return [block[field] for field in _FIELDS]


def _has_ecf(table: Any) -> bool:
    properties = table.id.get_create_plist()
    filters = range(properties.get_nfilters())
    return any(properties.get_filter(index)[0] == ECF_FILTER for index in filters)
