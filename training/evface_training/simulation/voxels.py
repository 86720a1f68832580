"""Threshold crossings → the voxel grid of a whole window, without a list of events."""

from __future__ import annotations

import torch
from torch import Tensor

from evface_training.simulation.noise import NoiseEvents
from evface_training.simulation.pixels import Firings


class Voxels:
    """Counts (B, 2, bins, H, W), OFF then ON, distributed bilinearly over bins of time.

    The window's start lies on bin 0, its end on bin B-1 (Zhu et al., CVPR 2019, eq. 1–2). The
    result equals that of the list of the same events. Time is a fraction of the window.
    """

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts

    def add(self, firings: Firings, start: float, end: float) -> None:
        """Add the crossings between two times."""
        bins = self.counts.shape[2]
        low, high = start * (bins - 1), end * (bins - 1)
        if int(low) + 1 >= high - 1e-9:
            # Within two neighbouring bins the weight is linear in time: the sum of the weights of
            # evenly spaced events is that of their mean time.
            middle = (firings.first + firings.last) / 2
            cell, on, weight = firings.cell, firings.on, firings.count
            position = low + middle * (high - low)
        else:
            cell, on, fraction = firings.events()
            position = (low + fraction * (high - low)).to(self.counts.dtype)
            weight = torch.ones_like(position)
        pixels = firings.shape[1] * firings.shape[2]
        clip = cell // pixels
        self._distribute(clip, on, position, cell - clip * pixels, weight)

    def add_noise(self, noise: NoiseEvents) -> None:
        """Add noise events of the whole window."""
        width, bins = self.counts.shape[-1], self.counts.shape[2]
        position = noise.time * (bins - 1)
        pixel = noise.y * width + noise.x
        self._distribute(noise.clip, noise.on, position, pixel, torch.ones_like(position))

    def _distribute(
        self, clip: Tensor, on: Tensor, position: Tensor, pixel: Tensor, weight: Tensor
    ) -> None:
        bins, height, width = self.counts.shape[2:]
        flat, plane = self.counts.view(-1), height * width
        first = position.long().clamp_(0, bins - 2)
        later = (position - first) * weight
        index = ((clip * 2 + on) * bins + first) * plane + pixel
        flat.index_add_(0, index, weight - later)
        flat.index_add_(0, index + plane, later)
