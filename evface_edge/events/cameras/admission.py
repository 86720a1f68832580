"""From what a camera sends to events that keep the promise of every source.

Events outside the sensor are rejected. One up to 1 ms earlier than its predecessor gets its time,
as in recordings. Any other step back, or a step forward that no clock can have made, means that
the clock of the camera was set anew: from there on a shift is added, so that time goes on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.cameras.driver import Batch
from evface_edge.events.limits import MAX_BACKWARD_US, MAX_GAP_US, MAX_TIME_US
from evface_edge.geometry import SensorSize

#: A batch in which the clock jumps more often than this holds no times.
_MAX_JUMPS = 16
#: Differences of two times within it fit into 64 bits, whatever their signs.
_BOUND_US = MAX_TIME_US - 1


class Admission:
    """Keeps the last time, and counts.

    Attributes:
        rejected: events outside the sensor, or in a batch whose times are nonsense.
        times_clamped: events that got the time of their predecessor.
        clock_resets: times at which the clock was set anew.
    """

    def __init__(self, size: SensorSize) -> None:
        self._size = size
        self._last_us: int | None = None
        self._shift_us = 0
        self.rejected = self.times_clamped = self.clock_resets = 0

    def admit(self, batch: Batch, elapsed_us: int) -> EventArray:
        """The sound events of a batch, in order of time, in an array of their own.

        Args:
            elapsed_us: since the last batch, by our own clock.
        """
        # Fields of a structured array: each further pass is cheaper over a copy.
        columns = [np.ascontiguousarray(column) for column in (batch.t, batch.x, batch.y, batch.p)]
        count = len(batch.t)
        _, x, y, _ = columns
        if count and not (_within(x, self._size.width) and _within(y, self._size.height)):
            inside = (x >= 0) & (x < self._size.width) & (y >= 0) & (y < self._size.height)
            columns = [column[inside] for column in columns]
        t = self._times(columns[0], elapsed_us)
        events = np.empty(len(t), EVENT_DTYPE)
        events["t"] = t
        events["x"], events["y"] = columns[1][: len(t)], columns[2][: len(t)]
        events["p"] = columns[3][: len(t)] > 0
        self.rejected += count - len(t)
        return events

    def _times(self, given: NDArray[np.integer], elapsed_us: int) -> NDArray[np.int64]:
        """Times (N,), or the first of them before the clock goes wild, as continuous ones."""
        if not len(given):
            return np.empty(0, np.int64)
        if given.dtype == np.uint64:
            given = np.minimum(given, np.uint64(MAX_TIME_US))
        t: NDArray[np.int64] = given.astype(np.int64)
        t += np.int64(self._shift_us)
        last = self._last_us
        if last is None:  # a camera whose first time is none starts at 0
            last = int(t[0]) if abs(int(t[0])) < MAX_TIME_US else 0
        first, end = int(t[0]), int(t[-1])
        if last <= first and end - last <= MAX_GAP_US and (t[1:] >= t[:-1]).all():
            self._last_us = end
            return t
        np.clip(t, -_BOUND_US, _BOUND_US, out=t)
        start = 0
        for _ in range(_MAX_JUMPS):
            running = np.maximum.accumulate(np.concatenate([[last], t[start:]]))
            back = running[:-1] - t[start:]
            # A camera may be still for hours; its clock and ours then agree about it.
            allowed_us = MAX_GAP_US + (elapsed_us if start == 0 else 0)
            jumps = (back > MAX_BACKWARD_US) | (-back > allowed_us)
            sound = len(t) - start if not jumps.any() else int(jumps.argmax())
            self.times_clamped += int((back[:sound] > 0).sum())
            if sound:
                t[start : start + sound] = running[1 : sound + 1]
                last = int(running[sound])
            start += sound
            if start == len(t):
                break
            shift = last + max(1, elapsed_us if start == 0 else 1) - int(t[start])
            # Modulo 2^64, where the sum comes out right though the shift may not fit.
            shift = (shift + 2**63) % 2**64 - 2**63
            t[start:] += np.int64(shift)
            np.clip(t[start:], -_BOUND_US, _BOUND_US, out=t[start:])
            self._shift_us = (self._shift_us + shift + 2**63) % 2**64 - 2**63
            self.clock_resets += 1
        self._last_us = last
        return t[:start]


def _within(places: NDArray[np.integer], length: int) -> bool:
    signed = places.dtype.kind != "u"
    return bool(places.max() < length and not (signed and places.min() < 0))
