"""The readout of a sensor: a bus of limited rate, a latency, and a clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray


@dataclass(frozen=True)
class Readout:
    """Events wait for the bus in order of time; the clock sets their timestamps after the wait.

    Attributes:
        max_rate_hz: events per second of the bus; inf is no limit.
        max_wait_us: an event that would wait longer is lost.
        latency_us: from the pixel to the clock, without waiting.
        tick_us: resolution of the clock; timestamps are multiples of it.
    """

    max_rate_hz: float = math.inf
    max_wait_us: float = 5_000.0
    latency_us: float = 0.0
    tick_us: int = 1

    def __post_init__(self) -> None:
        if not self.max_rate_hz > 0:
            raise ConfigError("Readout.max_rate_hz", self.max_rate_hz, "above 0")
        for name in ("max_wait_us", "latency_us"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"Readout.{name}", getattr(self, name), "0 or more")
        if self.tick_us < 1:
            raise ConfigError("Readout.tick_us", self.tick_us, "1 or more")


class Bus:
    """The readout of one recording; takes packets in order of time.

    Attributes:
        lost: number of lost events so far.
    """

    def __init__(self, readout: Readout) -> None:
        self._readout = readout
        self._free_us = -math.inf
        self.lost = 0

    def __call__(self, events: EventArray) -> EventArray:
        """Return the events that are read, with their timestamps; still sorted."""
        readout = self._readout
        result = events
        if len(events) and math.isfinite(readout.max_rate_hz):
            leaves, self._free_us = _queue()(
                events["t"].astype(np.float64),
                1e6 / readout.max_rate_hz,
                readout.max_wait_us,
                self._free_us,
            )
            kept = ~np.isnan(leaves)
            self.lost += int(np.count_nonzero(~kept))
            result = events[kept]
            result["t"] = np.ceil(leaves[kept])
        if readout.latency_us or readout.tick_us > 1:
            result = result.copy()
            stamped = result["t"] + round(readout.latency_us)
            result["t"] = stamped // readout.tick_us * readout.tick_us
        return result


_Floats = NDArray[np.float64]


@cache
def _queue() -> Callable[[_Floats, float, float, float], tuple[_Floats, float]]:
    from numba import njit

    @njit(cache=True)
    def queue(
        arrives: _Floats, service_us: float, max_wait_us: float, free_us: float
    ) -> tuple[_Floats, float]:
        """Return when each event is read (nan: lost), and when the bus is free again."""
        leaves = np.empty_like(arrives)
        for index in range(len(arrives)):
            start = max(arrives[index], free_us)
            if start - arrives[index] > max_wait_us:
                leaves[index] = np.nan
            else:
                free_us = start + service_us
                leaves[index] = free_us
        return leaves, free_us

    return queue
