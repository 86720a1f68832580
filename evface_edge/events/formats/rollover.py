"""Times of 32 bits that begin anew after 2^32 µs (71 minutes)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.limits import MAX_GAP_US

PERIOD_US = 1 << 32


class Unroll:
    """Gives the times of one stream, part by part, the periods that their code leaves out.

    A step back so long that, one period later, it is a step forward within what is possible, is
    a rollover; any other is left for the guard to judge.
    """

    def __init__(self, origin_us: int = 0) -> None:
        self._origin_us = origin_us
        self._last: int | None = None

    def __call__(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Codes (N,) of 32 bits, signed or not → times (N,), µs."""
        times = codes.astype(np.int64)
        if not len(times):
            return times
        last = int(times[0]) if self._last is None else self._last
        self._last = int(times[-1])
        rollovers = np.diff(times, prepend=last) < -(PERIOD_US - MAX_GAP_US)
        times += self._origin_us + PERIOD_US * np.cumsum(rollovers)
        self._origin_us += PERIOD_US * int(rollovers.sum())
        return times
