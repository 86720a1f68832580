"""Validation of decoded events: coordinates, order of timestamps, polarity.

An event is valid when it lies on the sensor, not before the previous event, and no more than
MAX_STEP_FORWARD_US after it. A timestamp up to MAX_STEP_BACK_US too early (real cameras produce
them where two readout lines meet) is clamped to the previous one, so that timestamps never
decrease and the order of the file is kept. Anything else is damage, and reading stops there.

With the policy `skip` such an event is left out and counted instead. Its time is then judged by
`order.py`, because whether a step is damage shows only by the events that follow.

Readers of columns call `Validator.validate`. Compiled decoders call `check_event` with
`Validator.state`, and first test the common case themselves (`is_irregular`), for speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events import order
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.damage import KINDS
from evface_edge.events.limits import MAX_STEP_BACK_US, MAX_STEP_FORWARD_US, MAX_TIME_US
from evface_edge.events.order import Order, packets_in_order
from evface_edge.geometry import SensorSize

#: Outcomes of a check.
VALID, OUTSIDE, BACKWARD, GAP, POLARITY, SYNTAX, TIME = range(7)
#: With the policy `skip`: the event is invalid, and was counted.
DROPPED = -1
#: Faults and their kinds in `Counters.damaged`.
_KINDS = {
    OUTSIDE: "outside",
    BACKWARD: "late",
    GAP: "time",
    TIME: "time",
    POLARITY: "polarity",
    SYNTAX: "line",
}

#: Slots of `Validator.state`, which compiled decoders share.
WIDTH, HEIGHT, _STARTED, LAST, _CLAMPED, _BAD_T, _BAD_X, _BAD_Y, SKIPPED, SKIP = range(10)
#: The number of dropped events of each fault starts here.
_COUNTS = 16
_NEVER = -MAX_TIME_US // 2


@compiled
def reject(state: Any, fault: int) -> int:
    """Returns the fault; DROPPED, after counting it, if the policy is `skip`."""
    if state[SKIP]:
        state[_COUNTS + fault] += 1
        return DROPPED
    return fault


@compiled
def check_event(state: Any, t: Any, x: Any, y: Any) -> int:
    """Returns VALID, with the timestamp to use in state[LAST]; or the fault of the event.

    A fault is above VALID, or DROPPED.
    """
    fault = VALID
    if x < 0 or y < 0 or x >= state[WIDTH] or y >= state[HEIGHT]:
        fault = OUTSIDE
    elif t > MAX_TIME_US or t < -MAX_TIME_US:
        fault = TIME
    elif state[SKIP]:
        state[_STARTED] = 1
        state[LAST] = t
    elif state[_STARTED]:
        last = state[LAST]
        if t < last:
            if last - t > MAX_STEP_BACK_US:
                fault = BACKWARD
            else:
                state[_CLAMPED] += 1
        elif t - last > MAX_STEP_FORWARD_US:
            fault = GAP
        else:
            state[LAST] = t
    else:
        state[_STARTED] = 1
        state[LAST] = t
    if fault != VALID:
        state[_BAD_T] = t
        state[_BAD_X] = x
        state[_BAD_Y] = y
        fault = reject(state, fault)
    return fault


@compiled
def periods(step: Any, limit: Any, half: Any, state: Any) -> Any:
    """How many times a counter that starts again has done so, at a step of its value.

    A step back by more than `limit` means that it has. With the policy `skip` the shorter way
    counts (`half` is half of the period), so that a wrong value does no harm beyond itself.
    """
    if state[SKIP]:
        return np.int64(step < -half) - np.int64(step > half)
    return np.int64(-step > limit)


@compiled
def last_time(state: Any) -> Any:
    """The timestamp of the last event; before the first event one that makes it irregular."""
    return state[LAST] if state[_STARTED] else _NEVER


@compiled
def is_irregular(t: Any, last: Any) -> bool:
    """Whether an event at t that follows one at `last` needs `check_event`."""
    return bool(np.uint64(t - last) > np.uint64(MAX_STEP_FORWARD_US))


@compiled
def _check_columns(state: Any, t: Any, x: Any, y: Any, p: Any, out: Any) -> tuple[int, int]:
    """Copies valid events to `out`; returns their number and the fault of the next one."""
    width, height = np.uint64(state[WIDTH]), np.uint64(state[HEIGHT])
    last = last_time(state)
    for i in range(len(t)):
        now, column, row, sign = np.int64(t[i]), np.int64(x[i]), np.int64(y[i]), np.int64(p[i])
        out[i].t = now
        out[i].x = column
        out[i].y = row
        out[i].p = sign > 0
        # As unsigned numbers, negative ones are large.
        if (
            np.int64(np.uint64(column) >= width)
            | np.int64(np.uint64(row) >= height)
            | np.int64(np.uint64(sign + 1) > np.uint64(2))
            | np.int64(is_irregular(now, last))
        ):
            state[LAST] = last
            fault = check_event(state, now, column, row)
            if fault == VALID and (sign > 1 or sign < -1):
                fault = POLARITY
            if fault != VALID:
                return i, fault
            now = state[LAST]
            out[i].t = now
        last = now
    state[LAST] = last
    return len(t), VALID


@compiled
def _drop_invalid(state: Any, t: Any, x: Any, y: Any, p: Any, out: Any) -> tuple[int, int]:
    """The same with the policy `skip`: copies all valid events."""
    count = 0
    for i in range(len(t)):
        now, column, row, sign = np.int64(t[i]), np.int64(x[i]), np.int64(y[i]), np.int64(p[i])
        if sign > 1 or sign < -1:
            reject(state, POLARITY)
        elif check_event(state, now, column, row) == VALID:
            out[count].t = now
            out[count].x = column
            out[count].y = row
            out[count].p = sign > 0
            count += 1
    return count, VALID


class Validator:
    """Validates the events of one pass over one recording.

    Attributes:
        fraction: how much of the file was read, 0 to 1; set by the reader.
        state: (24,) int64, for compiled decoders.
        first_chunk: why the first damaged chunk was left out; None if none was.
        skip: whether the policy is `skip`; then `in_order` must see the events.
    """

    def __init__(self, path: Path, size: SensorSize, *, skip: bool = False) -> None:
        self.path, self.size, self.skip = path, size, skip
        self.fraction = 0.0
        self.state: NDArray[np.int64] = np.zeros(24, np.int64)
        self.state[WIDTH], self.state[HEIGHT], self.state[SKIP] = size.width, size.height, skip
        self._order = Order()
        self._chunks = 0
        self.first_chunk: EventFormatError | None = None

    def in_order(self, packets: Iterator[EventArray]) -> Iterator[EventArray]:
        """The packets; with the policy `skip` without the events that are not in order of time."""
        return packets_in_order(packets, self._order) if self.skip else packets

    def damaged_chunk(self, error: EventFormatError) -> None:
        """Counts a chunk that is left out; raises the error unless the policy is `skip`."""
        if not self.skip:
            raise error
        self._chunks += 1
        self.first_chunk = self.first_chunk or error

    @property
    def damaged(self) -> dict[str, int]:
        """What was left out, by the kinds of `damage.KINDS`."""
        found = {"chunk": self._chunks, "late": int(self._order.state[order.LATE])}
        found["time"] = int(self._order.state[order.GAPS])
        for fault, kind in _KINDS.items():
            found[kind] = found.get(kind, 0) + int(self.state[_COUNTS + fault])
        return {kind: found[kind] for kind in KINDS if found[kind]}

    @property
    def times_clamped(self) -> int:
        return int(self.state[_CLAMPED] + self._order.state[order.CLAMPED])

    @property
    def bytes_skipped(self) -> int:
        return int(self.state[SKIPPED])

    def validate(
        self,
        columns: Sequence[NDArray[Any]],
        *,
        offset: int | None = None,
        stride: int = 0,
        index: NDArray[np.intp] | None = None,
    ) -> Iterator[EventArray]:
        """Yields the valid events before the first fault, as one array.

        Args:
            columns: t, x, y, p (N,), integers; p is 0 or 1, or -1 and 1.
            offset: byte offset of record 0 in the file.
            stride: bytes from record to record.
            index: record of each event (N,); by default event i is record i.

        Raises:
            EventFormatError: at the first invalid event.
        """
        out = np.empty(len(columns[0]), EVENT_DTYPE)
        t, x, y, p = map(_native, columns)
        check = _drop_invalid if self.skip else _check_columns
        count, fault = check(self.state, t, x, y, p, out)
        if count:
            yield out[:count]
        if fault:
            record = count if index is None else int(index[count])
            raise self.error(fault, None if offset is None else offset + record * stride)

    def error(self, fault: int, offset: int | None) -> EventFormatError:
        """The error for the last fault that `check_event` returned."""
        t, x, y = (int(self.state[slot]) for slot in (_BAD_T, _BAD_X, _BAD_Y))
        last = int(self.state[LAST])
        field, value, reason = {
            OUTSIDE: (
                "x, y",
                (x, y),
                f"an event at ({x}, {y}) lies outside the {self.size} sensor",
            ),
            BACKWARD: ("t", t, f"the timestamps step back by {last - t} µs, from {last} to {t} µs"),
            GAP: (
                "t",
                t,
                f"the timestamps jump by {(t - last) / 1e6:.0f} s, from {last} to {t} µs",
            ),
            POLARITY: ("p", None, "the polarity of an event is neither 0 nor 1"),
            SYNTAX: (
                "line",
                None,
                "a line does not hold four numbers of the kind of the first ones",
            ),
            TIME: ("t", t, f"an event has the impossible timestamp {t} µs"),
        }[fault]
        return EventFormatError(
            f"{reason}: the file is damaged, or its name or header states the wrong format or size",
            path=self.path,
            offset=offset,
            field=field,
            value=value,
        )


def _native(column: NDArray[Any]) -> NDArray[Any]:
    """The column in native byte order, and signed if it has 64 bits, as compiled code needs it."""
    kind = column.dtype
    if kind.isnative and not (kind.kind == "u" and kind.itemsize == 8):
        return column
    kind = kind.newbyteorder("=")
    if kind == np.uint64:  # values above int64 are invalid anyway: clip them
        column, kind = np.minimum(column, np.uint64(2**63 - 1)), np.dtype(np.int64)
    return column.astype(kind)
