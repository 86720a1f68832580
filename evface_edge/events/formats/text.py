"""Text: one event per line, with columns t, x, y, p between commas, semicolons, tabs or spaces.

Lines that start with # or % are comments; one may state the size (`# width=640 height=480`,
`%geometry:640,480`). A first line of column names defines their order; a first line of two numbers
is width and height. A column name such as `t_ns` or `t [s]` states the unit of t. What is left open
is found by `inference.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.formats import base
from evface_edge.events.formats.base import Contents, Options, choose
from evface_edge.events.formats.options import UNIT_EXPONENTS, ReadOptions
from evface_edge.events.formats.reading import decode_file
from evface_edge.events.formats.text_layout import MAX_COLUMNS, find_layout
from evface_edge.events.limits import MAX_PACKET_EVENTS
from evface_edge.events.validation import (
    DROPPED,
    LAST,
    SYNTAX,
    VALID,
    Validator,
    check_event,
    reject,
)
from evface_edge.geometry import SensorSize

_OTHER, _BLANK, _COMMA, _LINE = range(4)
#: Byte → blank (space, tab, carriage return), comma (or semicolon), end of line, or other.
_KINDS = np.zeros(256, np.uint8)
_KINDS[[32, 9, 13]] = _BLANK
_KINDS[[44, 59]] = _COMMA
_KINDS[10] = _LINE
_NEWLINE, _POINT, _MINUS, _PLUS, _ZERO, _NINE = 10, 46, 45, 43, 48, 57


@compiled
def _number(data: Any, i: int, end: int) -> tuple[int, Any, Any]:
    """Parses a decimal number: (next byte, digits as an integer, power of ten); -1 if none."""
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


@compiled
def _scale(value: Any, exponent: Any) -> tuple[Any, bool]:
    """value × 10^exponent, rounded to the nearest integer, and whether that was exact."""
    if value == 0:
        return 0, True
    while exponent > 0:
        if value > 900_000_000_000_000_000 or value < -900_000_000_000_000_000:
            return 2**63 - 1, False  # an impossible timestamp, which fails validation
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


@compiled
def _split(data: Any, i: int, starts: Any, stops: Any, plain: Any) -> tuple[int, int]:
    """Finds the cells of a line, and the value of those of 1 to 18 digits alone (else -1).

    Returns:
        The end of the line, and the number of cells, which may be above MAX_COLUMNS.
    """
    column = 0
    while i < len(data) and data[i] != _NEWLINE:
        while i < len(data) and _KINDS[data[i]] == _BLANK:
            i += 1
        first, value, digits = i, np.int64(0), True
        while i < len(data) and _KINDS[data[i]] == _OTHER:
            digit = np.int64(data[i]) - _ZERO
            digits = digits and bool(0 <= digit <= 9)
            value = value * 10 + digit
            i += 1
        if column < len(starts):
            starts[column], stops[column] = first, i
            plain[column] = value if digits and 0 < i - first <= 18 else -1
        column += 1
        while i < len(data) and _KINDS[data[i]] == _BLANK:
            i += 1
        if i < len(data) and _KINDS[data[i]] == _COMMA:
            i += 1
    return i, column


@compiled
def _boolean(data: Any, start: int, stop: int) -> int:
    """1 for t or true, 0 for f or false, in any case; -1 for anything else."""
    length, letter = stop - start, data[start] | 32 if stop > start else 0
    if letter == 116 and (length == 1 or length == 4):
        return 1
    if letter == 102 and (length == 1 or length == 5):
        return 0
    return -1


@compiled
def _cell(data: Any, start: int, stop: int, exponent: int, rounded: bool) -> tuple[Any, bool]:
    """The number in a cell, and whether it is one; only timestamps may be rounded."""
    after, value, power = _number(data, start, stop)
    if after != stop:
        return 0, False
    scaled, exact = _scale(value, power + exponent)
    return scaled, exact or rounded


@compiled
def _parse_plain(data: Any, i: int, fields: Any, t_exponent: int, values: Any) -> int:
    """Parses a plain line: four numbers without sign, exponent or spaces around them.

    Nearly all lines are plain. `fields` has the field of each column.

    Returns:
        The start of the next line; -1 if the line is not plain.
    """
    for column in range(4):
        field = fields[column]
        first, value = i, np.int64(0)
        while i < len(data) and _ZERO <= data[i] <= _NINE:
            value = value * 10 + (np.int64(data[i]) - _ZERO)
            i += 1
        digits = i - first
        if field == 0 and t_exponent != 0:
            power = t_exponent
            if i < len(data) and data[i] == _POINT:
                i += 1
                while power > 0 and i < len(data) and _ZERO <= data[i] <= _NINE:
                    value = value * 10 + (np.int64(data[i]) - _ZERO)
                    i += 1
                    power -= 1
            digits += t_exponent
            if power < 0:
                return -1
            for _ in range(power):
                value *= 10
        if i == first or digits > 18:
            return -1
        values[field] = value
        if column < 3:
            if i >= len(data) or not (_KINDS[data[i]] == _COMMA or _KINDS[data[i]] == _BLANK):
                return -1
        else:
            if i < len(data) and data[i] == 13:
                i += 1
            if i < len(data) and data[i] != _NEWLINE:
                return -1
        i += 1
    return i


@compiled
def _parse_cells(
    data: Any,
    starts: Any,
    stops: Any,
    plain: Any,
    places: Any,
    t_exponent: int,
    whole: bool,
    values: Any,
) -> bool:
    """Parses the cells of a line that is not plain; returns whether they are four numbers."""
    for field in range(4):
        place = places[field]
        if plain[place] >= 0 and (field > 0 or t_exponent == 0):
            values[field] = plain[place]
        elif field == 3 and _boolean(data, starts[place], stops[place]) >= 0:
            values[field] = _boolean(data, starts[place], stops[place])
        else:
            exponent = t_exponent if field == 0 else 0
            values[field], known = _cell(
                data, starts[place], stops[place], exponent, field == 0 and not whole
            )
            if not known:
                return False
    return True


@compiled
def _decode(
    data: Any,
    first: int,
    places: Any,
    fields: Any,
    t_exponent: int,
    whole: bool,
    check: Any,
    out: Any,
) -> tuple[int, int, int]:
    """Decodes whole lines.

    `places` has the columns of t, x, y, p; `fields` the field of each column if there are exactly
    these four, or else -1.
    """
    count, line, last_place = 0, first, max(places)
    starts, stops = np.zeros(MAX_COLUMNS, np.int64), np.zeros(MAX_COLUMNS, np.int64)
    plain = np.zeros(MAX_COLUMNS, np.int64)
    values = np.zeros(4, np.int64)
    while line < len(data) and count < len(out):
        after = _parse_plain(data, line, fields, t_exponent, values) if fields[0] >= 0 else -1
        if after < 0:
            end, columns = _split(data, line, starts, stops, plain)
            after = end + 1
            # An empty line, or a comment: # or %.
            if columns == 0 or stops[0] == starts[0] or data[starts[0]] in (35, 37):
                line = after
                continue
            if last_place >= columns or not _parse_cells(
                data, starts, stops, plain, places, t_exponent, whole, values
            ):
                fault = reject(check, SYNTAX)
                if fault != DROPPED:
                    return line, count, fault
                line = after
                continue
        if values[3] > 1 or values[3] < -1:
            fault = reject(check, SYNTAX)
        else:
            fault = check_event(check, values[0], values[1], values[2])
        if fault == DROPPED:
            line = after
            continue
        if fault != VALID:
            return line, count, fault
        out[count].t = check[LAST]
        out[count].x = values[1]
        out[count].y = values[2]
        out[count].p = 1 if values[3] > 0 else 0
        count += 1
        line = after
    return min(line, len(data)), count, VALID


def read(path: Path, options: ReadOptions) -> Contents:
    layout = find_layout(path, options)
    places = np.array(layout.places, np.int64)
    four = sorted(layout.places) == [0, 1, 2, 3]
    fields = np.argsort(places) if four else np.full(4, -1, np.int64)
    exponent = UNIT_EXPONENTS[layout.unit]

    def decode(data: Any, first: int, state: Any, check: Any, out: Any) -> tuple[int, int, int]:
        return _decode(data, first, places, fields, exponent, layout.whole, check, out)

    def packets(validator: Validator) -> Iterator[EventArray]:
        state: NDArray[np.int64] = np.zeros(0, np.int64)  # lines are independent
        return decode_file(
            path, layout.start, np.dtype(np.uint8), decode, state, validator, separator=b"\n"
        )

    return Contents(layout.facts, packets)


@compiled
def _put(out: Any, at: int, value: Any, digits: int) -> int:
    """Writes an integer with at least that many digits; returns the position after it."""
    length, rest = 0, value
    while rest > 0 or length < digits:
        length += 1
        rest //= 10
    for k in range(at + length - 1, at - 1, -1):
        out[k] = _ZERO + value % 10
        value //= 10
    return at + length


@compiled
def _encode(events: Any, order: Any, seconds: bool, out: Any) -> int:
    """Writes lines; `order` has 0 for t, 1 for x, 2 for y, 3 for p. Returns their length."""
    at = 0
    for i in range(len(events)):
        for column in range(4):
            field = order[column]
            if field == 0:
                t = np.int64(events[i].t)
                if t < 0:
                    out[at] = _MINUS
                    at += 1
                    t = -t
                if seconds:
                    at = _put(out, at, t // 1_000_000, 1)
                    out[at] = _POINT
                    at = _put(out, at + 1, t % 1_000_000, 6)
                else:
                    at = _put(out, at, t, 1)
            elif field == 1:
                at = _put(out, at, np.int64(events[i].x), 1)
            elif field == 2:
                at = _put(out, at, np.int64(events[i].y), 1)
            else:
                at = _put(out, at, np.int64(events[i].p), 1)
            out[at] = 44 if column < 3 else _NEWLINE
            at += 1
    return at


class Writer(base.Writer):
    """Writes a comment with the size, then `t,x,y,p` with t in µs, or s with `?time_unit=s`."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
        unit = choose(options, "time_unit", ("us", "s"), "us")
        order = options.get("columns", "txyp")
        if sorted(order) != sorted("txyp"):
            raise ConfigError("columns", order, "each of t, x, y, p once, such as xypt")
        self._file, self._seconds = file, unit == "s"
        self._order = np.array(["txyp".index(field) for field in order], np.int64)
        names = ",".join(f"t_{unit}" if field == "t" else field for field in order)
        file.write(f"# width={size.width} height={size.height}\n{names}\n".encode())

    def write(self, events: EventArray) -> None:
        for start in range(0, len(events), MAX_PACKET_EVENTS):
            part = events[start : start + MAX_PACKET_EVENTS]
            # 20 digits, sign and point of t, 5 of x and y, 1 of p, and 4 separators.
            out = np.empty(40 * len(part), np.uint8)
            self._file.write(out[: _encode(part, self._order, self._seconds, out)].tobytes())
