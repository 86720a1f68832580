"""The array type of events, and its validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError, InputTypeError
from evface_edge.geometry import SensorSize

#: t: µs, of any epoch; x, y: pixels from the top left; p: 1 brighter, 0 darker.
EVENT_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])

EventArray = NDArray[np.void]


def make_events(t: Any, x: Any, y: Any, p: Any) -> EventArray:
    """Columns t, x, y, p (N,) → events (N,) of EVENT_DTYPE.

    Args:
        t, x, y, p: lists, arrays, tensors on the CPU or columns of a data frame, of whole numbers;
            t also of datetime64 or timedelta64, which are converted to µs.

    Raises:
        InputTypeError: a column that is not one of numbers.
        EventFormatError: columns of different lengths, a number that EVENT_DTYPE cannot hold, or
            p other than 0 and 1.
    """
    columns = {
        name: _column(name, values) for name, values in (("t", t), ("x", x), ("y", y), ("p", p))
    }
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise EventFormatError(
            f"columns of different lengths {lengths}", value=lengths, expected="equal lengths"
        )
    events = np.empty(lengths["t"], EVENT_DTYPE)
    for name, column in columns.items():
        events[name] = column
    return events


def as_events(value: Any) -> EventArray:
    """An array of EVENT_DTYPE as it is; another array of records, or a data frame, converted.

    Raises:
        InputTypeError: anything else, or columns t, x, y, p that are not of integers.
        EventFormatError: see `make_events`.
    """
    names: Any = value.dtype.names if isinstance(value, np.ndarray) else None
    if isinstance(value, np.ndarray) and value.dtype == EVENT_DTYPE:
        return value
    if names is None:
        names = getattr(value, "column_names", getattr(value, "columns", None))
    if names is None or not {*"txyp"} <= {*names}:
        raise InputTypeError(
            "events",
            value,
            "an array of EVENT_DTYPE, a data frame with columns t, x, y, p, a path or a source",
            fix="make_events(t, x, y, p) builds an array from columns",
        )
    columns = {name: np.asarray(value[name]) for name in "txyp"}
    for name, column in columns.items():
        if column.dtype.kind not in ("iubmM" if name == "t" else "iub"):
            expected = "integers in µs" if name == "t" else "integers"
            raise InputTypeError(
                f"events[{name!r}]",
                column.dtype,
                expected,
                reason=f"events[{name!r}] has dtype {column.dtype}, expected {expected}",
            )
    return make_events(**columns)


def _column(name: str, values: Any) -> NDArray[Any]:
    """Numbers (N,) of the type of a field of EVENT_DTYPE."""
    try:
        column = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, a tensor on a GPU
        column = np.empty(1, object)
    if name == "t" and column.dtype.kind in "mM":
        column = _in_us(column)
    if column.ndim != 1 or column.dtype.kind not in "iubf":
        raise InputTypeError(name, values, "numbers (N,), such as a NumPy array")
    limits = np.iinfo(EVENT_DTYPE[name])
    low, high = (0, 1) if name == "p" else (limits.min, limits.max)
    if column.dtype == limits.dtype and (name != "p" or column.max(initial=0) <= high):
        return column
    valid = (column >= low) & (column <= high)
    if column.dtype.kind == "f":
        valid &= column == np.rint(column)
    if not valid.all():
        index = int(valid.argmin())
        value = column[index].item()
        raise EventFormatError(
            f"{name} of event {index} is {column[index]}",
            field=name,
            value=value,
            expected=f"a whole number from {low} to {high}",
            fix=_fix(name, value, low, high),
        )
    return column.astype(limits.dtype)


def _in_us(column: NDArray[Any]) -> NDArray[Any]:
    """datetime64 or timedelta64 (N,) of any unit → µs, rounded; not-a-time becomes NaN."""
    unit = np.datetime_data(column.dtype)[0]
    kind = f"{column.dtype.kind}8"
    if unit in ("ns", "ps", "fs", "as"):
        us = (column.astype(f"{kind}[ns]").astype(np.int64) + 500) // 1000
    else:
        us = column.astype(f"{kind}[us]").astype(np.int64)
    return np.where(np.isnat(column), np.nan, us) if np.isnat(column).any() else us


def _fix(name: str, value: float, low: int, high: int) -> str:
    if name == "p":
        signed = "; for -1/+1 use (p > 0)" if value == -1 else ", 1 for brighter"
        return f"p must be 0 or 1{signed}"
    if name == "t":
        return "convert to microseconds and round"
    return "round to whole pixels" if low < value < high else f"expected {low} to {high}"


def raw(records: NDArray[Any]) -> NDArray[np.void]:
    """A view of records (N,) as plain bytes, which NumPy copies about 30 times as fast."""
    return records.view(np.dtype((np.void, records.dtype.itemsize)))


def copied(events: EventArray) -> EventArray:
    """A copy of events (N,)."""
    return raw(events).copy().view(EVENT_DTYPE)


def joined(parts: Sequence[EventArray]) -> EventArray:
    """The events of all parts, one after the other, as a new array."""
    if not parts:
        return np.empty(0, EVENT_DTYPE)
    return np.concatenate([raw(part) for part in parts]).view(EVENT_DTYPE)


def check_events(events: Any, size: SensorSize) -> EventArray:
    """Returns the events (N,) unchanged if they are valid.

    Raises:
        EventFormatError: they are not of EVENT_DTYPE, outside the sensor, or not in order of time;
            with the index of the first invalid event.
    """
    if not isinstance(events, np.ndarray) or events.dtype != EVENT_DTYPE or events.ndim != 1:
        found = getattr(events, "dtype", type(events).__name__)
        raise EventFormatError(
            f"expected a 1-D array of evface_edge.EVENT_DTYPE, found {found}",
            field="events",
            value=found,
            expected="a 1-D array of evface_edge.EVENT_DTYPE",
            fix="make_events(t, x, y, p) builds one",
        )
    if not len(events):
        return events
    outside = (events["x"] >= size.width) | (events["y"] >= size.height)
    if outside.any():
        index = int(outside.argmax())
        x, y = int(events["x"][index]), int(events["y"][index])
        raise EventFormatError(
            f"event {index} at ({x}, {y}) lies outside the {size} sensor",
            field="x, y",
            value=(x, y),
            fix="give the size of the sensor that recorded it",
        )
    backward = np.diff(events["t"]) < 0
    if backward.any():
        index = int(backward.argmax()) + 1
        before, t = (int(value) for value in events["t"][index - 1 : index + 1])
        raise EventFormatError(
            f"event {index} at {t} µs is earlier than the previous one at {before} µs",
            field="t",
            value=t,
            fix="sort the events by t first",
        )
    if events["p"].max() > 1:
        index = int((events["p"] > 1).argmax())
        p = int(events["p"][index])
        raise EventFormatError(
            f"event {index} has polarity {p}, expected 0 (darker) or 1 (brighter)",
            field="p",
            value=p,
            expected="0 or 1",
        )
    return events
