"""Gamma-coded images and the light that they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Of ordinary images; and the light that reaches every pixel, relative to white.
GAMMA = 2.2
STRAY_LIGHT = 0.01
#: Weights of red, green and blue in the grey of gamma-coded images (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Tone:
    """Conversion of B coded images to light: gamma and stray light, (B, 1, 1, 1) each.

    Stray light reaches every pixel and bounds the contrast of black; 1 is the light of white.
    """

    gamma: Tensor
    stray: Tensor

    def __getitem__(self, chosen: Tensor) -> Tone:
        return Tone(self.gamma[chosen], self.stray[chosen])

    def light(self, images: Tensor) -> Tensor:
        """Convert gamma-coded (B, C, H, W) in [0, 1] to linear light."""
        return images.clamp_min(1e-4).pow(self.gamma).add_(self.stray)

    def log_light(self, images: Tensor) -> Tensor:
        return self.light(images).log_()


def grey(images: Tensor) -> Tensor:
    """Convert gamma-coded (B, 1 or 3, H, W) to (B, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def log_light(image: NDArray[np.float32]) -> Tensor:
    """Convert a gamma-coded grey image (H, W), 0 to 255, to log intensity."""
    return torch.from_numpy(np.log((image / 255) ** GAMMA + STRAY_LIGHT).astype(np.float32))
