"""Time surfaces: how fresh the newest event of each pixel is, on one scale or on several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation.base import (
    CropCells,
    Representation,
    last_us,
)

if TYPE_CHECKING:
    from evface_edge.representation.incremental import NewestEvents

_DECAYS = ("exponential", "linear")


@dataclass(frozen=True)
class TimeSurface(Representation):
    """(2, H, W) in [0, 1]: 1 at an event of the instant, falling with age; OFF, then ON.

    Exponential: exp(-age / tau) (Lagorce et al., PAMI 2017); linear: max(0, 1 - age / tau). A
    pixel without an event is 0. Needs no normalisation.

    Attributes:
        tau_us: the time constant.
        decay: "exponential" or "linear".
    """

    tau_us: float = 30_000.0
    decay: str = "exponential"

    sparse = True

    def __post_init__(self) -> None:
        if not 0 < self.tau_us < float("inf"):
            raise ConfigError("TimeSurface.tau_us", self.tau_us, "a time above 0 µs")
        if self.decay not in _DECAYS:
            raise ConfigError("TimeSurface.decay", self.decay, " or ".join(map(repr, _DECAYS)))

    @property
    def channels(self) -> int:
        return 2

    def _fill(
        self, events: EventArray, cells: NDArray[np.float32], t_us: int | None, clear: bool = True
    ) -> bool:
        from evface_edge.representation.kernels import fill_exponential, fill_linear

        now_us = last_us(events) if t_us is None else t_us
        if self.decay == "exponential":
            return fill_exponential(events, cells, now_us, float(self.tau_us), clear)
        scales = np.array([self.tau_us], np.float64)
        return fill_linear(events, cells[:, None], now_us, scales, clear)

    def _fill_crop(self, events: EventArray, crop: CropCells, t_us: int | None) -> bool:
        from evface_edge.representation.crop_kernels import crop_exponential

        now_us = last_us(events) if t_us is None else t_us
        if self.decay == "exponential":
            plane = len(crop.flat) // 2
            return crop_exponential(
                events, crop.box, crop.width, plane, now_us, float(self.tau_us), crop.flat
            )
        return _crop_linear(events, crop, now_us, (self.tau_us,))

    def _of_ages(self, ages_us: NDArray[np.float64]) -> NDArray[np.float32]:
        """Ages of the newest events (2, h, w), infinite where there is none → cells."""
        age = ages_us / self.tau_us
        value = np.exp(-age) if self.decay == "exponential" else np.maximum(1 - age, 0)
        cells: NDArray[np.float32] = value.astype(np.float32)
        return cells

    def incremental(
        self,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None = None,
        *,
        duration_us: int | None = None,
    ) -> NewestEvents:
        """Exact: the time of the newest event of each pixel is all that a surface depends on."""
        from evface_edge.representation.incremental import NewestEvents

        return NewestEvents(self, self._of_ages, area, output_size, duration_us)


@dataclass(frozen=True)
class MultiScaleSurface(Representation):
    """(2 × scales, H, W) in [0, 1]: the OFF surfaces from short to long, then the ON surfaces.

    max(0, (t - now + Δt) / Δt) of the newest event at t, for several Δt: the multi-channel time
    surface of SuperEvent (Burkhardt et al., 2025). A pixel without an event is 0. Needs no
    normalisation.

    Attributes:
        scales_us: the Δt, rising.
    """

    scales_us: tuple[float, ...] = (1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0)

    sparse = True

    def __post_init__(self) -> None:
        wanted = "one or more times above 0 µs, each longer than the one before"
        if not isinstance(self.scales_us, Sequence) or isinstance(self.scales_us, str):
            raise ConfigError("MultiScaleSurface.scales_us", self.scales_us, wanted)
        scales = tuple(float(scale) for scale in self.scales_us)
        steps = zip((0.0, *scales), (*scales, float("inf")), strict=True)
        if not scales or not all(short < long for short, long in steps):
            raise ConfigError("MultiScaleSurface.scales_us", self.scales_us, wanted)
        object.__setattr__(self, "scales_us", scales)  # a list in a model card

    @property
    def channels(self) -> int:
        return 2 * len(self.scales_us)

    def _fill(
        self, events: EventArray, cells: NDArray[np.float32], t_us: int | None, clear: bool = True
    ) -> bool:
        from evface_edge.representation.kernels import fill_linear

        now_us = last_us(events) if t_us is None else t_us
        volume = cells.reshape(2, len(self.scales_us), *cells.shape[1:])
        return fill_linear(events, volume, now_us, np.array(self.scales_us), clear)

    def _fill_crop(self, events: EventArray, crop: CropCells, t_us: int | None) -> bool:
        now_us = last_us(events) if t_us is None else t_us
        return _crop_linear(events, crop, now_us, self.scales_us)

    def _of_ages(self, ages_us: NDArray[np.float64]) -> NDArray[np.float32]:
        scales = np.array(self.scales_us)[:, None, None]
        value: NDArray[np.float64] = np.maximum(1 - ages_us[:, None] / scales, 0)
        return value.astype(np.float32).reshape(self.channels, *ages_us.shape[1:])

    def incremental(
        self,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None = None,
        *,
        duration_us: int | None = None,
    ) -> NewestEvents:
        """Exact: the time of the newest event of each pixel is all that a surface depends on."""
        from evface_edge.representation.incremental import NewestEvents

        return NewestEvents(self, self._of_ages, area, output_size, duration_us)


def _crop_linear(
    events: EventArray, crop: CropCells, now_us: int, scales_us: Sequence[float]
) -> bool:
    from evface_edge.representation.crop_kernels import crop_linear

    scales = np.array(scales_us, np.float64)
    plane = len(crop.flat) // (2 * len(scales))
    return crop_linear(events, crop.box, crop.width, plane, now_us, scales, crop.flat)
