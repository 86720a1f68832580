"""A frame camera at the same place: the RGB image of the same instant.

It has motion blur by the exposure, shot noise of photons and read noise. In bright light the
exposure is shortened so that white just fits; in the dark it has its limit and the image is
amplified.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evface_training.simulation.ranges import check_positive, check_ranges, log_uniform


@dataclass(frozen=True)
class FrameCameraPrior:
    """Ranges from which frame cameras are drawn, (low, high), log-uniform.

    Attributes:
        exposure_us: longest exposure; 33,000 is usual for video indoors.
        electrons_per_lux_s: of a white pixel, per colour. 1,000 is a pixel of 3 µm behind an f/2
            lens: 1e4 photons per lux, second and µm², 9 µm², 1 ÷ (4 · 2²) through the lens, a
            fifth of them through the colour filter and converted.
        full_well_e: capacity of a pixel in electrons.
        read_noise_e: standard deviation of the readout in electrons.
        max_gain: largest amplification.
        samples: number of instants that are averaged for one exposure.
    """

    exposure_us: tuple[float, float] = (2_000, 33_000)
    electrons_per_lux_s: tuple[float, float] = (500, 2_000)
    full_well_e: float = 8_000.0
    read_noise_e: tuple[float, float] = (1.5, 6.0)
    max_gain: float = 64.0
    samples: int = 6

    def __post_init__(self) -> None:
        check_ranges(self, "exposure_us", "electrons_per_lux_s", "read_noise_e")
        check_positive(self, "full_well_e", "max_gain", "samples")

    def sample(self, lux: Tensor, generator: torch.Generator) -> FrameCameras:
        """Draw a camera for each clip, adjusted to the illuminance lux (B,) of its scene."""
        device, batch = lux.device, len(lux)

        def draw(bounds: tuple[float, float]) -> Tensor:
            return log_uniform(bounds, torch.rand(batch, generator=generator, device=device))

        rate = draw(self.electrons_per_lux_s) * lux
        exposure_s = torch.minimum(draw(self.exposure_us) * 1e-6, self.full_well_e / rate)
        white_e = rate * exposure_s
        return FrameCameras(
            exposure_s=exposure_s,
            white_e=white_e,
            shown_e=white_e.clamp_min(self.full_well_e / self.max_gain),
            read_noise_e=draw(self.read_noise_e),
            samples=self.samples,
        )


@dataclass(frozen=True)
class FrameCameras:
    """One camera per clip, adjusted to its light; (B,) each.

    Attributes:
        exposure_s: duration of the exposure.
        white_e: electrons of a white pixel.
        shown_e: electrons displayed as white; more than `white_e` where the gain has its limit.
        read_noise_e: standard deviation, electrons.
        samples: number of instants that are averaged.
    """

    exposure_s: Tensor
    white_e: Tensor
    shown_e: Tensor
    read_noise_e: Tensor
    samples: int

    def develop(self, light: Tensor, generator: torch.Generator) -> Tensor:
        """Convert mean linear light (B, C, H, W), 1 is white, to pixel values in [0, 1]."""
        shape = (-1, 1, 1, 1)
        electrons = torch.poisson(light.clamp_min(0) * self.white_e.view(shape), generator)
        noise = torch.randn(light.shape, generator=generator, device=light.device)
        electrons += noise * self.read_noise_e.view(shape)
        return electrons.div_(self.shown_e.view(shape)).clamp_(0, 1)
