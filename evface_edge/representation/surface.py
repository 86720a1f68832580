"""Time surfaces: the age of the newest event of each pixel, on one time scale or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.representation.base import Cells, Representation

_DECAYS = ("exponential", "linear")


@dataclass(frozen=True)
class TimeSurface(Representation):
    """(2, H, W) in [0, 1]: 1 for an event at `t_us`, decreasing with age; OFF, then ON.

    Exponential: exp(-age / tau) (Lagorce et al., PAMI 2017); linear: max(0, 1 - age / tau). A
    pixel without an event is 0. Needs no normalisation.

    Attributes:
        tau_us: the time constant.
        decay: "exponential" or "linear".
    """

    tau_us: float = 30_000.0
    decay: str = "exponential"

    def __post_init__(self) -> None:
        if not 0 < self.tau_us < float("inf"):
            raise ConfigError("TimeSurface.tau_us", self.tau_us, "a time above 0 µs")
        if self.decay not in _DECAYS:
            raise ConfigError("TimeSurface.decay", self.decay, " or ".join(map(repr, _DECAYS)))

    @property
    def channels(self) -> int:
        return 2

    def _fill(self, events: EventArray, cells: Cells, t_us: int | None) -> bool:
        from evface_edge.representation.event_kernels import fill_exponential

        if self.decay == "linear":
            return _fill_linear(events, cells, t_us, (self.tau_us,))
        return fill_exponential(events, *cells, _now_us(events, t_us), float(self.tau_us))


@dataclass(frozen=True)
class MultiScaleSurface(Representation):
    """(2 × scales, H, W) in [0, 1]: the OFF surfaces from short to long, then the ON surfaces.

    max(0, (t - t_us + Δt) / Δt) for the newest event at time t and each Δt: the multi-channel time
    surface of SuperEvent (Burkhardt et al., 2025). A pixel without an event is 0. Needs no
    normalisation.

    Attributes:
        scales_us: the Δt, ascending.
    """

    scales_us: tuple[float, ...] = (1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0)

    def __post_init__(self) -> None:
        expected = "one or more ascending times above 0 µs"
        if not isinstance(self.scales_us, Sequence) or isinstance(self.scales_us, str):
            raise ConfigError("MultiScaleSurface.scales_us", self.scales_us, expected)
        scales = tuple(float(scale) for scale in self.scales_us)
        steps = zip((0.0, *scales), (*scales, float("inf")), strict=True)
        if not scales or not all(short < long for short, long in steps):
            raise ConfigError("MultiScaleSurface.scales_us", self.scales_us, expected)
        object.__setattr__(self, "scales_us", scales)  # it is a list in a model card

    @property
    def channels(self) -> int:
        return 2 * len(self.scales_us)

    def _fill(self, events: EventArray, cells: Cells, t_us: int | None) -> bool:
        return _fill_linear(events, cells, t_us, self.scales_us)


def _now_us(events: EventArray, t_us: int | None) -> int:
    return int(events["t"][-1]) if t_us is None else t_us


def _fill_linear(
    events: EventArray, cells: Cells, t_us: int | None, scales_us: Sequence[float]
) -> bool:
    from evface_edge.representation.event_kernels import fill_linear

    return fill_linear(events, *cells, _now_us(events, t_us), np.array(scales_us, np.float64))
