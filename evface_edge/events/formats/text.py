"""Text: an event a line, columns t, x, y, p between commas, semicolons, tabs or blanks.

Lines that begin with # or % are comments; one may state the size (`# width=640 height=480`,
`%geometry:640,480`). A first line of column names decides on their order; a first line of two
numbers is width and height. `?columns=xypt` names the order (txyp without a line of names), and
`?time_unit=s`, ms, us or ns the unit of the times. Without it, a name such as `t_ns` or `t [s]`
tells; or else times with a fraction are seconds, and whole ones microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numba import njit

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.contents import (
    PACKET_EVENTS,
    Contents,
    ReadOptions,
    header_size,
    sensor_size,
)
from evface_edge.events.guard import SOUND, SYNTAX, Guard, admit
from evface_edge.geometry import SensorSize

HEAD_BYTES = 65536
CHUNK_BYTES = 1 << 20
_LONGEST_LINE = 1024
_UNIT_EXPONENTS = {"s": 6, "ms": 3, "us": 0, "ns": -3}
_NAMES = {
    "t": ("t", "ts", "time", "timestamp", "timestamps"),
    "x": ("x", "column", "col"),
    "y": ("y", "row"),
    "p": ("p", "pol", "polarity", "on", "polarities"),
}
_LAST = 3  # slot of the guard
_NEWLINE, _RETURN, _POINT, _MINUS, _PLUS, _ZERO, _NINE = 10, 13, 46, 45, 43, 48, 57


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_separator(byte: int) -> bool:
    return byte == 32 or byte == 9 or byte == 44 or byte == 59 or byte == _RETURN


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number(data: Any, i: int, end: int) -> tuple[int, int, int]:
    """Reads a decimal number: (next byte, digits as an integer, power of ten); -1 if none."""
    negative = False
    if i < end and (data[i] == _MINUS or data[i] == _PLUS):
        negative = data[i] == _MINUS
        i += 1
    value, exponent, digits, fraction = np.int64(0), np.int64(0), 0, False
    while i < end:
        byte = data[i]
        if byte == _POINT and not fraction:
            fraction = True
        elif _ZERO <= byte <= _NINE:
            digits += 1
            if value < 900_000_000_000_000_000:  # further digits only count as a power
                value = value * 10 + (np.int64(byte) - _ZERO)
                if fraction:
                    exponent -= 1
            elif not fraction:
                exponent += 1
        else:
            break
        i += 1
    if digits == 0:
        return -1, 0, 0
    if i < end and (data[i] == 101 or data[i] == 69):  # e, E
        i += 1
        minus = False
        if i < end and (data[i] == _MINUS or data[i] == _PLUS):
            minus = data[i] == _MINUS
            i += 1
        power, digits = np.int64(0), 0
        while i < end and _ZERO <= data[i] <= _NINE:
            if power < 1000:
                power = power * 10 + (np.int64(data[i]) - _ZERO)
            digits += 1
            i += 1
        if digits == 0:
            return -1, 0, 0
        exponent += -power if minus else power
    return i, -value if negative else value, exponent


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scale(value: int, exponent: int) -> tuple[int, bool]:
    """value × 10^exponent, rounded to the nearest integer, and whether that was exact."""
    if value == 0:
        return 0, True
    while exponent > 0:
        if value > 900_000_000_000_000_000 or value < -900_000_000_000_000_000:
            return 2**63 - 1, False  # more than any clock shows: the guard refuses it
        value *= 10
        exponent -= 1
    if exponent == 0:
        return value, True
    if exponent < -18:
        return 0, False
    divisor = np.int64(1)
    for _ in range(-exponent):
        divisor *= 10
    whole = value // divisor
    rest = value - whole * divisor
    return (whole + 1 if 2 * rest >= divisor else whole), rest == 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decode(
    data: Any, first: int, places: Any, t_exponent: int, guard: Any, out: Any
) -> tuple[int, int, int]:
    """Whole lines only. `places` has the columns of t, x, y, p."""
    count, i = 0, first
    values = np.zeros(4, np.int64)
    while i < len(data) and count < len(out):
        start = i
        end = i
        while end < len(data) and data[end] != _NEWLINE:
            end += 1
        while i < end and _is_separator(data[i]):
            i += 1
        if i == end or data[i] == 35 or data[i] == 37:  # nothing, # or %
            i = end + 1
            continue
        column, found, sound = 0, 0, True
        while i < end and sound:
            if column == places[3] and (data[i] | 32 == 116 or data[i] | 32 == 102):  # t, f
                values[3] = 1 if data[i] | 32 == 116 else 0
                found += 1
                while i < end and not _is_separator(data[i]):
                    i += 1
            else:
                after, value, exponent = _number(data, i, end)
                known = False
                for field in range(4):
                    if column == places[field]:
                        known = True
                        if after < 0:
                            sound = False
                        else:
                            shift = t_exponent if field == 0 else 0
                            values[field], exact = _scale(value, exponent + shift)
                            if field > 0 and not exact:
                                sound = False
                            found += 1
                if after < 0 and not known:  # a column that is not ours may hold anything
                    after = i
                    while after < end and not _is_separator(data[after]):
                        after += 1
                i = after
            if sound and i < end and not _is_separator(data[i]):
                sound = False
            while sound and i < end and _is_separator(data[i]):
                i += 1
            column += 1
        if not sound or found < 4 or values[3] > 1 or values[3] < -1:
            return start, count, SYNTAX
        fault = admit(guard, values[0], values[1], values[2])
        if fault != SOUND:
            return start, count, fault
        out[count].t = guard[_LAST]
        out[count].x = values[1]
        out[count].y = values[2]
        out[count].p = 1 if values[3] > 0 else 0
        count += 1
        i = end + 1
    return min(i, len(data)), count, SOUND


@dataclass(frozen=True)
class _Layout:
    """Where the lines of events begin, the columns of t, x, y, p, the unit of t, the size."""

    start: int
    places: tuple[int, ...]
    unit: str
    size: SensorSize | None


def read(path: Path, options: ReadOptions) -> Contents:
    """Looks at the first lines.

    Raises:
        EventFormatError: there are no lines of numbers, or a column is missing.
        ConfigError: an option that cannot be.
    """
    layout = _layout(path, options)
    size = sensor_size(path, options.size, layout.size)

    def packets(guard: Guard) -> Iterator[EventArray]:
        yield from _packets(path, layout, guard)

    return Contents(size, packets, {"time unit": layout.unit})


def _packets(path: Path, layout: _Layout, guard: Guard) -> Iterator[EventArray]:
    places = np.array(layout.places, np.int64)
    exponent = _UNIT_EXPONENTS[layout.unit]
    end = path.stat().st_size
    with path.open("rb") as file:
        file.seek(layout.start)
        offset, rest = layout.start, b""
        while True:
            chunk = file.read(CHUNK_BYTES)
            text = rest + chunk
            if not text:
                return
            # What follows the last end of a line waits, unless it is the last.
            cut = len(text) if not chunk else text.rfind(b"\n") + 1
            data = np.frombuffer(text, np.uint8, cut)
            position = 0
            while position < cut:
                out = np.empty(PACKET_EVENTS, EVENT_DTYPE)
                position, count, fault = _decode(
                    data, position, places, exponent, guard.state, out
                )
                guard.fraction = (offset + position) / end
                if count:
                    yield out[:count]
                if fault:
                    raise guard.error(fault, offset + position)
            rest = text[cut:]
            offset += cut
            if len(rest) > _LONGEST_LINE:
                raise EventFormatError(
                    f"a line of more than {_LONGEST_LINE} bytes", path=path, offset=offset
                )


def _layout(path: Path, options: ReadOptions) -> _Layout:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if b"\0" in head:
        raise EventFormatError("holds null bytes: this is no text", path=path)
    lines = head.splitlines(keepends=True)
    if len(head) == HEAD_BYTES:
        lines = lines[:-1]
    start, size, names, order = 0, None, None, "txyp"
    rows: list[list[str]] = []
    for line in lines:
        text = line.decode("latin-1").strip()
        cells = [cell.strip("\"'") for cell in re.split(r"[,;\t]\s*|\s+", text.strip(",; \t"))]
        if text[:1] in ("#", "%"):
            found = _comment_size(path, text)
            size = size or found
            if found and text.startswith("%geometry"):
                order = "xypt"  # as Metavision writes it
        elif text and not rows:
            if len(cells) == 2 and all(cell.isdigit() for cell in cells) and not names:
                size, start = header_size(path, int(cells[0]), int(cells[1])), start + len(line)
                continue
            if re.match(r"[A-Za-z_]", text) and not names:
                names = [cell.strip() for cell in re.split(r"[,;\t]", text) if cell.strip()]
                names = cells if len(names) < 4 else names
                start += len(line)
                continue
            rows.append(cells)
        elif text:
            rows.append(cells)
        if not rows:
            start += len(line)
        if len(rows) >= 1000:
            break
    if names is None and not rows:
        raise EventFormatError("holds no lines of numbers t, x, y, p", path=path)
    order = options.values.get("columns", order)
    places, unit = _columns(path, order, names if "columns" not in options.values else None)
    if rows and not all(re.match(r"[-+.0-9]", cell) for cell in rows[0][:1]):
        raise EventFormatError(
            f"the first line is {' '.join(rows[0])[:60]!r}, expected numbers t, x, y, p", path=path
        )
    stated = options.values.get("time_unit", unit)
    if stated is None:
        t_cells = [row[places[0]] for row in rows if len(row) > places[0]]
        stated = "s" if any(_has_fraction(cell) for cell in t_cells) else "us"
    if stated not in _UNIT_EXPONENTS:
        raise ConfigError("time_unit", stated, ", ".join(_UNIT_EXPONENTS))
    return _Layout(start, places, stated, size)


def _comment_size(path: Path, text: str) -> SensorSize | None:
    geometry = re.search(r"geometry\s*[:=]?\s*([0-9]{1,6})\s*[x,× ]\s*([0-9]{1,6})", text)
    if geometry:
        return header_size(path, int(geometry[1]), int(geometry[2]))
    width = re.search(r"width\s*[:=]?\s*([0-9]{1,6})", text, re.IGNORECASE)
    height = re.search(r"height\s*[:=]?\s*([0-9]{1,6})", text, re.IGNORECASE)
    if width and height:
        return header_size(path, int(width[1]), int(height[1]))
    return None


def _columns(
    path: Path, order: str, names: list[str] | None
) -> tuple[tuple[int, ...], str | None]:
    """The columns of t, x, y, p, and the unit of t that its name tells."""
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
        if name.lower() in _NAMES["t"]:  # "ts" is no t in seconds
            plain[-1], unit = name.lower(), None
    places = []
    for field, known in _NAMES.items():
        where = [i for i, name in enumerate(plain) if name in known]
        if len(where) != 1:
            raise EventFormatError(
                f"the columns are {', '.join(names)}, expected one named {' or '.join(known[:4])}; "
                f"name their order with {path.name}?columns=txyp",
                path=path,
            )
        places.append(where[0])
    return tuple(places), unit


def _has_fraction(cell: str) -> bool:
    """Whether a number has digits other than 0 after its point, or a power of ten."""
    return re.search(r"\.[0-9]*[1-9]|[eE]", cell) is not None


class Writer:
    """Writes `t,x,y,p` with t in µs, after a comment with the size; `?time_unit=s` for seconds."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Mapping[str, str]) -> None:
        choice = ReadOptions(values=options)
        self._unit = choice.choice("time_unit", ("us", "s"), "us")
        self._order = options.get("columns", "txyp")
        if sorted(self._order) != sorted("txyp"):
            raise ConfigError("columns", self._order, "each of t, x, y, p once, such as xypt")
        self._file = file
        names = [f"t_{self._unit}" if field == "t" else field for field in self._order]
        header = f"# width={size.width} height={size.height}\n{','.join(names)}\n"
        file.write(header.encode())

    def write(self, events: EventArray) -> None:
        columns = [events[field].tolist() for field in self._order]
        if self._unit == "s":
            at = self._order.index("t")
            columns[at] = [_seconds(t) for t in columns[at]]
        lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
        self._file.write(("\n".join(lines) + "\n").encode())

    def close(self) -> None:
        """The file needs no end."""


def _seconds(t_us: int) -> str:
    sign = "-" if t_us < 0 else ""
    return f"{sign}{abs(t_us) // 10**6}.{abs(t_us) % 10**6:06d}"
