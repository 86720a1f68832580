"""Layout of a text: columns, unit of time, sensor size, first line."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.formats.base import header_size
from evface_edge.events.formats.inference import (
    Fact,
    TimeSample,
    column_order,
    sensor_size,
    time_unit,
)
from evface_edge.events.formats.options import ReadOptions
from evface_edge.geometry import SensorSize

_HEAD_BYTES = 65536
MAX_COLUMNS = 32

_NAMES = {
    "t": ("t", "ts", "time", "timestamp", "timestamps"),
    "x": ("x", "column", "col"),
    "y": ("y", "row"),
    "p": ("p", "pol", "polarity", "on", "polarities"),
}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Layout:
    """Layout of a text.

    Attributes:
        start: byte offset of the first line of events.
        places: column numbers of t, x, y, p.
        unit: of t.
        whole: whether the unit is µs only because no time that was looked at has a fraction.
        facts: size of the sensor, order of the columns, unit of time.
    """

    start: int
    places: tuple[int, ...]
    unit: str
    whole: bool
    facts: tuple[Fact[Any], ...]


def find_layout(path: Path, options: ReadOptions) -> Layout:
    """Finds the layout from the first and the last 64 KiB.

    Raises:
        EventFormatError: there are no lines of numbers, a column is missing, or several layouts
            are possible.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _HEAD_BYTES))
        tail = file.read()
    if b"\0" in head:
        raise EventFormatError("holds null bytes: this is not text", path=path)
    lines = head.splitlines(keepends=True)
    if len(head) == _HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]
    start, size, names, usual = 0, None, None, "txyp"
    unit = None
    rows: list[list[str]] = []
    for line in lines:
        text = line.decode("latin-1").strip()
        cells = _cells(text)
        if text[:1] in ("#", "%"):
            found = _comment_size(path, text)
            size = size or found
            if found and text.startswith("%geometry"):
                usual, unit = "xypt", "us"  # as Metavision writes it
        elif names is None and not rows and re.fullmatch(r"[0-9]{1,6}\s+[0-9]{1,6}", text):
            size = header_size(path, int(cells[0]), int(cells[1]))
        elif names is None and not rows and re.match(r"[\"'A-Za-z_]", text):
            names = cells
        elif text:
            rows.append(cells)
        if not rows:
            start += len(line)
    if names is None and not rows:
        raise EventFormatError("holds no lines of numbers t, x, y, p", path=path)
    if names is None or options.columns is not None:
        known = dataclasses.replace(options, size=options.size or size)
        order = column_order(path, _table(rows), known, usual)
        places = tuple(order.value.index(field) for field in "txyp")
    else:
        places, named = _named_columns(path, names)
        unit = unit or named
        order = Fact("columns", ",".join(names), "stated", "the line of names")
    times = [row[places[0]] for row in rows if len(row) > places[0]]
    if rows and not (times and _NUMBER.fullmatch(times[0])):
        raise EventFormatError(
            f"the first line is {' '.join(rows[0])[:60]!r}, expected numbers t, x, y, p", path=path
        )
    sample = TimeSample.none()
    if unit is None and options.time_unit is None:
        last = [_cells(line.decode("latin-1").strip()) for line in tail.splitlines()[1:]]
        last_times = [row[places[0]] for row in last if len(row) > places[0]] or times
        events = round((end - start) / max(len(head) - start, 1) * len(rows))
        sample = _sample(times, last_times, events)
    fact = time_unit(path, sample, options, unit, "the first lines")
    whole = fact.source in ("inferred", "assumed") and fact.value == "us"
    sensor = sensor_size(path, options, size, "the first lines")
    return Layout(start, places, fact.value, whole, (sensor, order, fact))


def _table(rows: list[list[str]]) -> NDArray[np.float64]:
    """The first four cells of the lines of numbers (N, 4)."""
    numbers = [row[:4] for row in rows[:2000] if len(row) >= 4 and all(map(_is_number, row[:4]))]
    return np.array(numbers, np.float64).reshape(-1, 4)


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell))


def _sample(head: list[str], tail: list[str], events: int) -> TimeSample:
    """The times in these cells; they are floating-point numbers if one has a point."""
    cells = [[cell for cell in part if _is_number(cell)] for part in (head, tail)]
    is_float = any(not cell.lstrip("+-").isdigit() for part in cells for cell in part)
    kind = np.float64 if is_float else np.int64
    first, last = ([float(cell) for cell in part] for part in cells)
    # Integers beyond 64 bits are damage.
    bound = 2.0**62
    starts, ends = (np.clip(np.array(part, float), -bound, bound) for part in (first, last))
    return TimeSample.of(starts.astype(kind), ends.astype(kind), events)


def _cells(text: str) -> list[str]:
    parts = re.split(r"[,;\t]", text) if re.search(r"[,;\t]", text) else text.split()
    return [part.strip().strip("\"'").strip() for part in parts]


def _comment_size(path: Path, text: str) -> SensorSize | None:
    geometry = re.search(r"geometry\s*[:=]?\s*([0-9]{1,6})\s*[x,× ]\s*([0-9]{1,6})", text)
    if geometry:
        return header_size(path, int(geometry[1]), int(geometry[2]))
    width = re.search(r"width\s*[:=]?\s*([0-9]{1,6})", text, re.IGNORECASE)
    height = re.search(r"height\s*[:=]?\s*([0-9]{1,6})", text, re.IGNORECASE)
    if width and height:
        return header_size(path, int(width[1]), int(height[1]))
    return None


def _named_columns(path: Path, names: list[str]) -> tuple[tuple[int, ...], str | None]:
    """The columns of t, x, y, p, and the unit of t if the name of its column has one."""
    unit = None
    plain = []
    for name in names:
        match = re.fullmatch(r"(\w+?)(?:[ _]?[\[(]?(s|ms|us|µs|ns)[\])]?)?", name.strip().lower())
        plain.append(match[1] if match else name.lower())
        if match and match[1] in _NAMES["t"] and match[2]:
            unit = match[2].replace("µ", "u")
        if name.lower() in _NAMES["t"]:  # "ts" is not t in seconds
            plain[-1], unit = name.lower(), None
    places = []
    for known in _NAMES.values():
        where = [i for i, name in enumerate(plain) if name in known]
        if len(where) != 1:
            raise EventFormatError(
                f"the columns are {', '.join(names)}, expected one named {' or '.join(known[:4])}; "
                f"give the order with {path.name}?columns=txyp",
                path=path,
            )
        places.append(where[0])
    if max(places) >= MAX_COLUMNS:
        raise EventFormatError(f"more than {MAX_COLUMNS} columns", path=path)
    return tuple(places), unit
