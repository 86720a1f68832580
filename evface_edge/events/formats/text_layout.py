"""Layout of a text: columns, unit of time, sensor size, first line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.formats.base import Options, header_size
from evface_edge.geometry import SensorSize

_HEAD_BYTES = 65536
UNIT_EXPONENTS = {"s": 6, "ms": 3, "us": 0, "ns": -3}
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
        size: of the sensor, if it is stated.
    """

    start: int
    places: tuple[int, ...]
    unit: str
    size: SensorSize | None


def find_layout(path: Path, options: Options) -> Layout:
    """Finds the layout from the first 64 KiB.

    Raises:
        EventFormatError: there are no lines of numbers, or a column is missing.
        ConfigError: an option has an impossible value.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if b"\0" in head:
        raise EventFormatError("holds null bytes: this is not text", path=path)
    lines = head.splitlines(keepends=True)
    if len(head) == _HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]
    start, size, names, order = 0, None, None, "txyp"
    rows: list[list[str]] = []
    for line in lines:
        text = line.decode("latin-1").strip()
        cells = _cells(text)
        if text[:1] in ("#", "%"):
            found = _comment_size(path, text)
            size = size or found
            if found and text.startswith("%geometry"):
                order = "xypt"  # as Metavision writes it
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
    order = options.get("columns", order)
    places, unit = _columns(path, order, names if "columns" not in options else None)
    times = [row[places[0]] for row in rows if len(row) > places[0]]
    if rows and not (times and _NUMBER.fullmatch(times[0])):
        raise EventFormatError(
            f"the first line is {' '.join(rows[0])[:60]!r}, expected numbers t, x, y, p", path=path
        )
    unit = options.get("time_unit", unit or ("s" if any(map(_has_fraction, times)) else "us"))
    if unit not in UNIT_EXPONENTS:
        raise ConfigError("time_unit", unit, ", ".join(UNIT_EXPONENTS))
    return Layout(start, places, unit, size)


def _cells(text: str) -> list[str]:
    parts = re.split(r"[,;\t]", text) if re.search(r"[,;\t]", text) else text.split()
    return [part.strip().strip("\"'").strip() for part in parts]


def _has_fraction(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell)) and Decimal(cell) % 1 != 0


def _comment_size(path: Path, text: str) -> SensorSize | None:
    geometry = re.search(r"geometry\s*[:=]?\s*([0-9]{1,6})\s*[x,× ]\s*([0-9]{1,6})", text)
    if geometry:
        return header_size(path, int(geometry[1]), int(geometry[2]))
    width = re.search(r"width\s*[:=]?\s*([0-9]{1,6})", text, re.IGNORECASE)
    height = re.search(r"height\s*[:=]?\s*([0-9]{1,6})", text, re.IGNORECASE)
    if width and height:
        return header_size(path, int(width[1]), int(height[1]))
    return None


def _columns(path: Path, order: str, names: list[str] | None) -> tuple[tuple[int, ...], str | None]:
    """The columns of t, x, y, p, and the unit of t if the name of its column has one."""
    if names is None:
        if any(order.count(field) != 1 for field in "txyp"):
            raise ConfigError("columns", order, "each of t, x, y, p once, such as xypt")
        return tuple(order.index(field) for field in "txyp"), None
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
