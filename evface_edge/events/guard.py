"""The one place that decides whether a decoded event can be true.

An event is sound when it lies on the sensor, no more than MAX_GAP_US after the event before it,
and not before it. One that lies up to MAX_BACKWARD_US before it (real cameras do that when two
readout lines meet) gets the time of its predecessor, so that times never decrease and the order
of the file stays. Anything else is damage, and reading stops there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.limits import MAX_BACKWARD_US, MAX_GAP_US, MAX_TIME_US
from evface_edge.geometry import SensorSize

SOUND, OUTSIDE, BACKWARD, GAP, POLARITY, SYNTAX, EPOCH = range(7)

# Slots of the state that the compiled decoders fraction.
WIDTH, HEIGHT, _STARTED, LAST, _CLAMPED, _BAD_T, _BAD_X, _BAD_Y, SKIPPED = range(9)
_NEVER = -MAX_TIME_US // 2


@compiled
def admit(state: Any, t: Any, x: Any, y: Any) -> int:
    """SOUND, with the time to use in state[3], or the fault of an event."""
    fault = SOUND
    if x < 0 or y < 0 or x >= state[WIDTH] or y >= state[HEIGHT]:
        fault = OUTSIDE
    elif t > MAX_TIME_US or t < -MAX_TIME_US:
        fault = EPOCH
    elif state[_STARTED]:
        last = state[LAST]
        if t < last:
            if last - t > MAX_BACKWARD_US:
                fault = BACKWARD
            else:
                state[_CLAMPED] += 1
        elif t - last > MAX_GAP_US:
            fault = GAP
        else:
            state[LAST] = t
    else:
        state[_STARTED] = 1
        state[LAST] = t
    if fault != SOUND:
        state[_BAD_T] = t
        state[_BAD_X] = x
        state[_BAD_Y] = y
    return fault


@compiled
def latest(state: Any) -> Any:
    """The time of the last event, or one that makes the next event unusual."""
    return state[LAST] if state[_STARTED] else _NEVER


@compiled
def unusual(t: Any, last: Any) -> bool:
    """Whether an event at t after one at `last` is for `admit` to judge; else it may be used."""
    return bool(np.uint64(t - last) > np.uint64(MAX_GAP_US))


@compiled
def admit_columns(state: Any, t: Any, x: Any, y: Any, p: Any, out: Any) -> tuple[int, int]:
    """Copies sound events into `out`; returns their number and the fault that ended it."""
    width, height = np.uint64(state[WIDTH]), np.uint64(state[HEIGHT])
    last = latest(state)
    for i in range(len(t)):
        now, column, row, sign = np.int64(t[i]), np.int64(x[i]), np.int64(y[i]), np.int64(p[i])
        out[i].t = now
        out[i].x = column
        out[i].y = row
        out[i].p = sign > 0
        # Seen as unsigned numbers, negative ones are large.
        if (
            np.int64(np.uint64(column) >= width)
            | np.int64(np.uint64(row) >= height)
            | np.int64(np.uint64(sign + 1) > np.uint64(2))
            | np.int64(unusual(now, last))
        ):
            state[LAST] = last
            fault = admit(state, now, column, row)
            if fault == SOUND and (sign > 1 or sign < -1):
                fault = POLARITY
            if fault != SOUND:
                return i, fault
            now = state[LAST]
            out[i].t = now
        last = now
    state[LAST] = last
    return len(t), SOUND


class Guard:
    """The state of one pass over one recording."""

    def __init__(self, path: Path, size: SensorSize) -> None:
        self.path = path
        self.size = size
        #: How much of the file was read, 0 to 1; readers keep it.
        self.fraction = 0.0
        self.state: NDArray[np.int64] = np.zeros(16, np.int64)
        self.state[WIDTH], self.state[HEIGHT] = size.width, size.height

    @property
    def times_clamped(self) -> int:
        return int(self.state[_CLAMPED])

    @property
    def bytes_skipped(self) -> int:
        return int(self.state[SKIPPED])

    def skip(self, size_bytes: int) -> None:
        """Counts bytes that hold nothing known."""
        self.state[SKIPPED] += size_bytes

    def check(
        self,
        columns: Sequence[NDArray[Any]],
        *,
        offset: int | None = None,
        stride: int = 0,
        index: NDArray[np.intp] | None = None,
    ) -> Iterator[EventArray]:
        """Columns t, x, y, p (N,) of integers → one array of the sound events before a fault.

        Args:
            columns: p is 0 or 1, or -1 and 1.
            offset: byte offset of record 0, where `stride` bytes lead from record to record.
            index: of the record of each event (N,); by default the events are all records.

        Raises:
            EventFormatError: at the first event that is not sound, after yielding those before it.
        """
        out = np.empty(len(columns[0]), EVENT_DTYPE)
        t, x, y, p = map(_machine, columns)
        count, fault = admit_columns(self.state, t, x, y, p, out)
        if count:
            yield out[:count]
        if fault:
            record = count if index is None else int(index[count])
            raise self.error(fault, None if offset is None else offset + record * stride)

    def error(self, fault: int, offset: int | None) -> EventFormatError:
        """The error for the fault that `admit` found last."""
        t, x, y = (int(self.state[slot]) for slot in (_BAD_T, _BAD_X, _BAD_Y))
        last = int(self.state[LAST])
        reason = {
            OUTSIDE: f"an event at ({x}, {y}) lies outside the {self.size} sensor",
            BACKWARD: f"the time goes back by {last - t} µs, from {last} to {t} µs",
            GAP: f"the time jumps by {(t - last) / 1e6:.0f} s, from {last} to {t} µs",
            POLARITY: "an event has a polarity that is neither 0 nor 1",
            SYNTAX: "a line does not hold four numbers as expected",
            EPOCH: f"an event has the time {t} µs, which no clock shows",
        }[fault]
        return EventFormatError(
            f"{reason}: the file is damaged, or is not what its name or header says",
            path=self.path,
            offset=offset,
        )


def _machine(column: NDArray[Any]) -> NDArray[Any]:
    """A column of a type that compiled code reads as it is."""
    kind = column.dtype
    if kind.isnative and not (kind.kind == "u" and kind.itemsize == 8):
        return column
    kind = kind.newbyteorder("=")
    if kind == np.uint64:  # beyond int64 is beyond any clock and sensor: keep it there
        column, kind = np.minimum(column, np.uint64(2**63 - 1)), np.dtype(np.int64)
    return column.astype(kind)
