"""The time surface: how fresh the newest event of each pixel is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_edge.representation.base import Representation

_DECAYS = ("exponential", "linear")


@dataclass(frozen=True)
class TimeSurface(Representation):
    """(2, H, W) in [0, 1]: 1 at the newest event of the window, falling with age; OFF, then ON.

    Exponential: exp(-age / tau) (Lagorce et al., PAMI 2017); linear: max(0, 1 - age / tau). A
    pixel without an event is 0.

    Attributes:
        tau_us: the time constant.
        decay: "exponential" or "linear".
    """

    tau_us: float = 30_000.0
    decay: str = "exponential"

    def __post_init__(self) -> None:
        if not self.tau_us > 0:
            raise ConfigError("TimeSurface.tau_us", self.tau_us, "a time above 0 µs")
        if self.decay not in _DECAYS:
            raise ConfigError("TimeSurface.decay", self.decay, " or ".join(map(repr, _DECAYS)))

    @property
    def channels(self) -> int:
        return 2

    def _fill(self, events: EventArray, box: Box, cells: NDArray[np.float32]) -> None:
        from evface_edge.representation.kernels import fill_newest

        if not len(events):
            return
        never = np.iinfo(np.int64).min
        newest = np.full(cells.shape, never)
        fill_newest(events, box.x, box.y, box.width, box.height, newest)
        filled = newest != never
        age = (events["t"][-1] - newest[filled]) / self.tau_us
        cells[filled] = np.exp(-age) if self.decay == "exponential" else np.maximum(0, 1 - age)
