"""Events that carry their number, and the times at which they were sent."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from evface_edge.events import EventArray, make_events
from evface_edge.geometry import SensorSize

SIZE = SensorSize(1280, 720)
#: Each number of an event is one pixel and polarity, so they repeat after so many.
CODES = SIZE.width * SIZE.height * 2
#: Packets of the network; the times at which so many of this size were sent are remembered.
PACKET_EVENTS = 20_000
REMEMBERED = 1 << 16


def numbered(first: int, count: int, rate_hz: float) -> EventArray:
    """Events with the numbers from `first` on, at an even rate."""
    index = np.arange(first, first + count, dtype=np.int64)
    code = index % CODES
    pixel = code % (CODES // 2)
    t = (index * (1e6 / rate_hz)).astype(np.int64)
    return make_events(t, pixel % SIZE.width, pixel // SIZE.width, code // (CODES // 2))


def codes(events: EventArray) -> np.ndarray:
    """The numbers of events, modulo CODES."""
    p, y, x = (events[name].astype(np.int64) for name in ("p", "y", "x"))
    return (p * SIZE.height + y) * SIZE.width + x


class Clock:
    """When events were sent, by their number; the last REMEMBERED × PACKET_EVENTS of them."""

    def __init__(self, times_s: NDArray[np.float64]) -> None:
        self._times_s = times_s

    def note(self, first: int, count: int) -> None:
        """So many events, with the numbers from `first` on, are sent now."""
        now_s = time.monotonic()
        for bucket in range(first // PACKET_EVENTS, (first + count - 1) // PACKET_EVENTS + 1):
            self._times_s[bucket % REMEMBERED] = now_s

    def sent_s(self, number: int) -> float | None:
        """To a bucket of PACKET_EVENTS exactly."""
        return float(self._times_s[number // PACKET_EVENTS % REMEMBERED]) or None
