"""Gamma-coded pictures and the light that they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Weights of red, green and blue in the grey of gamma-coded pictures (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Tone:
    """How B coded pictures become light: gamma and stray light, (B, 1, 1, 1) each.

    Stray light reaches every pixel and bounds the contrast of black; 1 is the light of white.
    """

    gamma: Tensor
    stray: Tensor

    def __getitem__(self, chosen: Tensor) -> Tone:
        return Tone(self.gamma[chosen], self.stray[chosen])

    def light(self, pictures: Tensor) -> Tensor:
        """Gamma-coded (B, C, H, W) in [0, 1] → linear light."""
        return pictures.clamp_min(1e-4).pow(self.gamma).add_(self.stray)

    def log_light(self, pictures: Tensor) -> Tensor:
        return self.light(pictures).log_()


def grey(pictures: Tensor) -> Tensor:
    """Gamma-coded (B, 1 or 3, H, W) → (B, 1, H, W)."""
    if pictures.shape[1] == 1:
        return pictures
    weights = torch.tensor(_LUMA, device=pictures.device).view(1, 3, 1, 1)
    return (pictures * weights).sum(1, keepdim=True)
