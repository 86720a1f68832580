"""Validation of the events of a camera: coordinates, and timestamps that never decrease.

Events outside the sensor are rejected. A timestamp up to 1 ms too early is clamped to that of the
previous event, as in recordings. Any other step back, or an impossible step forward, means that
the clock of the camera was reset: from then on a shift is added, so that timestamps continue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.cameras.driver import Batch
from evface_edge.events.limits import MAX_STEP_BACK_US, MAX_STEP_FORWARD_US, MAX_TIME_US
from evface_edge.geometry import SensorSize

#: A batch with more clock resets than this has no usable timestamps.
_MAX_RESETS = 16
#: The difference of two timestamps within ± this fits into 64 bits.
_BOUND_US = MAX_TIME_US - 1


class BatchValidator:
    """Validates the batches of one camera, in order.

    Attributes:
        rejected: events outside the sensor, or with unusable timestamps.
        times_clamped: timestamps that were raised to that of the previous event.
        clock_resets: of the camera.
    """

    def __init__(self, size: SensorSize) -> None:
        self._size = size
        self._last_us: int | None = None
        self._shift_us = 0
        self.rejected = self.times_clamped = self.clock_resets = 0

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
        t = self._continuous(columns[0], elapsed_us)
        events = np.empty(len(t), EVENT_DTYPE)
        events["t"] = t
        events["x"], events["y"] = columns[1][: len(t)], columns[2][: len(t)]
        events["p"] = columns[3][: len(t)] > 0
        self.rejected += count - len(t)
        return events

    def _continuous(self, codes: NDArray[np.integer], elapsed_us: int) -> NDArray[np.int64]:
        """Timestamps (N,) → continuous ones (M,); M < N after too many clock resets."""
        if not len(codes):
            return np.empty(0, np.int64)
        if codes.dtype == np.uint64:
            codes = np.minimum(codes, np.uint64(MAX_TIME_US))
        t: NDArray[np.int64] = codes.astype(np.int64)
        t += np.int64(self._shift_us)
        last = self._last_us
        if last is None:  # an impossible first timestamp becomes 0
            last = int(t[0]) if abs(int(t[0])) < MAX_TIME_US else 0
        first, end = int(t[0]), int(t[-1])
        if last <= first and end - last <= MAX_STEP_FORWARD_US and (t[1:] >= t[:-1]).all():
            self._last_us = end
            return t
        np.clip(t, -_BOUND_US, _BOUND_US, out=t)
        start = 0
        for _ in range(_MAX_RESETS):
            running = np.maximum.accumulate(np.concatenate([[last], t[start:]]))
            back = running[:-1] - t[start:]
            # A camera may see no event for hours; then the clock of the host agrees.
            allowed_us = MAX_STEP_FORWARD_US + (elapsed_us if start == 0 else 0)
            resets = (back > MAX_STEP_BACK_US) | (-back > allowed_us)
            valid = len(t) - start if not resets.any() else int(resets.argmax())
            self.times_clamped += int((back[:valid] > 0).sum())
            if valid:
                t[start : start + valid] = running[1 : valid + 1]
                last = int(running[valid])
            start += valid
            if start == len(t):
                break
            shift = last + max(1, elapsed_us if start == 0 else 1) - int(t[start])
            # Modulo 2^64: the sum is correct even if the shift does not fit into 64 bits.
            shift = (shift + 2**63) % 2**64 - 2**63
            t[start:] += np.int64(shift)
            np.clip(t[start:], -_BOUND_US, _BOUND_US, out=t[start:])
            self._shift_us = (self._shift_us + shift + 2**63) % 2**64 - 2**63
            self.clock_resets += 1
        self._last_us = last
        return t[:start]


def _within(column: NDArray[np.integer], length: int) -> bool:
    signed = column.dtype.kind != "u"
    return bool(column.max() < length and not (signed and column.min() < 0))
