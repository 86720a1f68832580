"""Event cameras: the prior, and a batch of cameras drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evface_training.simulation.ranges import check_fractions, check_ranges
from evface_training.simulation.readout import Readout

#: Illuminance at which photoreceptors have half of their bandwidth.
DARK_LUX = 2.0
#: Noise rate in the dark ÷ in bright light (v2e: 4, within one image).
DARK_NOISE = 3.0


@dataclass(frozen=True)
class CameraPrior:
    """Ranges from which a camera is drawn for each clip: (low, high), log-uniform; (0, 0) is off.

    The widths follow Stoffregen et al. 2020 and the settings of v2e (Hu et al. 2021).

    Attributes:
        threshold: contrast threshold of ON events, in natural log units.
        asymmetry: OFF threshold ÷ ON threshold.
        mismatch: relative standard deviation of thresholds from pixel to pixel.
        lux: illuminance of the scene. In the dark, bandwidth falls as lux ÷ (lux + DARK_LUX) and
            shot noise grows up to DARK_NOISE times.
        cutoff_hz: bandwidth of the photoreceptor of a white pixel in bright light.
        shot_hz: noise events per pixel and second in bright light, both polarities.
        leak_hz: ON events per pixel and second caused by leak.
        refractory_us: dead time of a pixel after an event.
        hot_fraction: fraction of hot pixels.
        hot_hz: events per second of a hot pixel.
        flicker_fraction: fraction of clips under flickering lamps.
        flicker_depth: amplitude of the flicker in log intensity.
        readout: used by recordings only.
    """

    threshold: tuple[float, float] = (0.1, 0.8)
    asymmetry: tuple[float, float] = (0.75, 1.33)
    mismatch: tuple[float, float] = (0.02, 0.08)
    lux: tuple[float, float] = (0.3, 1000.0)
    cutoff_hz: tuple[float, float] = (40.0, 1000.0)
    shot_hz: tuple[float, float] = (0.01, 12.0)
    leak_hz: tuple[float, float] = (0.01, 0.3)
    refractory_us: tuple[float, float] = (10.0, 1500.0)
    hot_fraction: tuple[float, float] = (1e-5, 1e-3)
    hot_hz: tuple[float, float] = (20.0, 800.0)
    flicker_fraction: float = 0.04
    flicker_depth: tuple[float, float] = (0.02, 0.4)
    readout: Readout = field(default_factory=Readout)

    def __post_init__(self) -> None:
        ranges = [name for name, value in vars(self).items() if isinstance(value, tuple)]
        check_ranges(self, *ranges, zero=True)
        check_ranges(self, "threshold", "asymmetry", "lux", "cutoff_hz")
        check_fractions(self)

    def sample(self, batch: int, generator: torch.Generator, device: torch.device) -> CameraBatch:
        """Draw one camera for each of `batch` clips."""

        def draw(bounds: tuple[float, float]) -> Tensor:
            if bounds[1] == 0:
                return torch.zeros(batch, device=device)
            low, high = (math.log(max(bound, 1e-9)) for bound in bounds)
            u = torch.rand(batch, generator=generator, device=device)
            return torch.exp(low + (high - low) * u)

        on, lux = draw(self.threshold), draw(self.lux)
        bright = lux / (lux + DARK_LUX)
        flickers = torch.rand(batch, generator=generator, device=device) < self.flicker_fraction
        mains_60 = torch.rand(batch, generator=generator, device=device) < 0.4
        return CameraBatch(
            threshold_on=on,
            threshold_off=on * draw(self.asymmetry),
            mismatch=draw(self.mismatch),
            lux=lux,
            cutoff_hz=draw(self.cutoff_hz) * bright,
            shot_hz=draw(self.shot_hz) * (DARK_NOISE - (DARK_NOISE - 1) * bright),
            leak_hz=draw(self.leak_hz),
            refractory_us=draw(self.refractory_us),
            hot_fraction=draw(self.hot_fraction),
            hot_hz=draw(self.hot_hz),
            flicker=draw(self.flicker_depth) * flickers,
            flicker_hz=100.0 + 20.0 * mains_60,
        )


@dataclass(frozen=True)
class CameraBatch:
    """One drawn camera per clip; each attribute (B,), named as in CameraPrior.

    Bandwidth and shot noise are those in the light of the clip, `lux`. `flicker` is the depth of
    the lamps' flicker in log intensity, 0 in steady light, at `flicker_hz`.
    """

    threshold_on: Tensor
    threshold_off: Tensor
    mismatch: Tensor
    lux: Tensor
    cutoff_hz: Tensor
    shot_hz: Tensor
    leak_hz: Tensor
    refractory_us: Tensor
    hot_fraction: Tensor
    hot_hz: Tensor
    flicker: Tensor
    flicker_hz: Tensor

    def __getitem__(self, part: slice) -> CameraBatch:
        return CameraBatch(**{name: value[part] for name, value in vars(self).items()})
