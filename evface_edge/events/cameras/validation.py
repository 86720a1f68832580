"""Validation of the events of a camera: coordinates, and timestamps that never decrease.

What cannot be true is left out and counted, as in recordings with the policy `skip`: events outside
the sensor, and times that are not in order (`order.py`). A packet that comes late, by at most one
second, is left out too. A longer step back, one after a reconnection, or an impossible step forward
means that the clock of the camera was reset: from then on a shift is added, so that timestamps
continue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events import order
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.cameras.driver import Batch
from evface_edge.events.limits import MAX_STEP_BACK_US, MAX_STEP_FORWARD_US, MAX_TIME_US
from evface_edge.geometry import SensorSize

#: A step back between batches by more than this is a reset of the clock.
MAX_LATE_US = 1_000_000
#: The difference of two timestamps within ± this fits into 64 bits.
_BOUND_US = MAX_TIME_US - 1


class BatchValidator:
    """Validates the batches of one camera, in order.

    Attributes:
        damaged: what was left out, by the kinds of `damage.KINDS`.
        times_clamped: timestamps that were raised to that of the previous event.
        clock_resets: of the camera.
    """

    def __init__(self, size: SensorSize) -> None:
        self._size = size
        self._last_us: int | None = None
        self._shift_us = 0
        self._max_late_us = MAX_LATE_US
        self.damaged: dict[str, int] = {}
        self.times_clamped = self.clock_resets = 0

    def expect_reset(self) -> None:
        """After a reconnection: any step back of the next batch is a reset of the clock."""
        self._max_late_us = MAX_STEP_BACK_US

    def validate(self, batch: Batch, elapsed_us: int) -> EventArray:
        """The valid events of a batch, in order of time, as a new array.

        Args:
            elapsed_us: since the last batch, by the clock of the host.
        """
        # Columns may be fields of a structured array: copies make the following passes faster.
        columns = [np.ascontiguousarray(column) for column in (batch.t, batch.x, batch.y, batch.p)]
        count = len(batch.t)
        _, x, y, _ = columns
        if count and not (_within(x, self._size.width) and _within(y, self._size.height)):
            inside = (x >= 0) & (x < self._size.width) & (y >= 0) & (y < self._size.height)
            columns = [column[inside] for column in columns]
            self._leave_out("outside", count - len(columns[0]))
        t, kept = self._continuous(columns[0], elapsed_us)
        if kept is not None:
            columns = [column[kept] for column in columns]
        events = np.empty(len(t), EVENT_DTYPE)
        events["t"] = t
        events["x"], events["y"], events["p"] = columns[1], columns[2], columns[3] > 0
        return events

    def _leave_out(self, kind: str, count: int) -> None:
        if count:
            # A new dictionary, because another thread may read the old one.
            self.damaged = {**self.damaged, kind: self.damaged.get(kind, 0) + count}

    def _continuous(
        self, codes: NDArray[np.integer], elapsed_us: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Timestamps (N,) → continuous ones (M,), and which are kept (N,); None if all are."""
        if not len(codes):
            return np.empty(0, np.int64), None
        if codes.dtype == np.uint64:
            codes = np.minimum(codes, np.uint64(MAX_TIME_US))
        t: NDArray[np.int64] = codes.astype(np.int64)
        t += np.int64(self._shift_us)
        last = self._last_us
        if last is None:  # an impossible first timestamp becomes 0
            last = int(t[0]) if abs(int(t[0])) < MAX_TIME_US else 0
        first, end = int(t[0]), int(t[-1])
        if last <= first and end - last <= MAX_STEP_FORWARD_US and (t[1:] >= t[:-1]).all():
            self._last_us, self._max_late_us = end, MAX_LATE_US
            return t, None
        np.clip(t, -_BOUND_US, _BOUND_US, out=t)
        kept = self._in_order(t)
        first = int(t[kept][0])
        # A camera may see no event for hours; then the clock of the host agrees.
        allowed_us = MAX_STEP_FORWARD_US + elapsed_us
        if last - first > self._max_late_us or first - last > allowed_us:
            self._shift(t, last + max(1, elapsed_us) - first)
            self.clock_resets += 1
        self._max_late_us = MAX_LATE_US
        late = kept & (t < last - MAX_STEP_BACK_US)
        self._leave_out("late", int(late.sum()))
        kept &= ~late
        self.times_clamped += int((t[kept] < last).sum())
        t = np.maximum(t[kept], last)
        self._last_us = int(t[-1]) if len(t) else last
        return t, kept

    def _in_order(self, t: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which events of a batch are in order; clamps their times."""
        state, kept = np.zeros(5, np.int64), np.zeros(len(t), np.bool_)
        order.keep_in_order(t, len(t), state, kept)
        self._leave_out("late", int(state[order.LATE]))
        self._leave_out("time", int(state[order.GAPS]))
        self.times_clamped += int(state[order.CLAMPED])
        return kept

    def _shift(self, t: NDArray[np.int64], shift_us: int) -> None:
        """Adds a shift to these and all later timestamps."""
        # Modulo 2^64: the sum is correct even if the shift does not fit into 64 bits.
        shift_us = (shift_us + 2**63) % 2**64 - 2**63
        t += np.int64(shift_us)
        np.clip(t, -_BOUND_US, _BOUND_US, out=t)
        self._shift_us = (self._shift_us + shift_us + 2**63) % 2**64 - 2**63


def _within(column: NDArray[np.integer], length: int) -> bool:
    signed = column.dtype.kind != "u"
    return bool(column.max() < length and not (signed and column.min() < 0))
