"""Firings → representations of whole windows, without a list of events in between.

Each accumulator is told what fired in each step of a window, in order; time is a fraction of the
window, 0 at its start, 1 at its end. The result equals that of the list of the same events.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from evface_training.simulation.noise import NoiseEvents
from evface_training.simulation.pixels import Firings


class Accumulator(Protocol):
    """Gathers one window of B clips."""

    def add(self, firings: Firings, start: float, end: float) -> None:
        """What fired from `start` to `end`."""

    def add_noise(self, noise: NoiseEvents) -> None:
        """Events of the whole window."""


class Voxels:
    """Counts (B, 2, bins, H, W), OFF then ON, shared out bilinearly between bins of time.

    The window's start lies on bin 0, its end on bin B-1 (Zhu et al., CVPR 2019, eq. 1–2).
    """

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts

    def add(self, firings: Firings, start: float, end: float) -> None:
        bins = self.counts.shape[2]
        low, high = start * (bins - 1), end * (bins - 1)
        if int(low) + 1 >= high - 1e-9:
            # Within two neighbouring bins the weight is linear in time, and so is the sum of
            # weights in the mean time.
            middle = (firings.first + firings.last) / 2
            self._put(firings, firings.cell, firings.on, low + middle * (high - low), firings.count)
        else:
            cell, on, fraction = firings.events()
            position = (low + fraction * (high - low)).to(self.counts.dtype)
            self._put(firings, cell, on, position, torch.ones_like(position))

    def _put(
        self, firings: Firings, cell: Tensor, on: Tensor, position: Tensor, weight: Tensor
    ) -> None:
        pixels = firings.shape[1] * firings.shape[2]
        clip = cell // pixels
        self._distribute(clip, on, position, cell - clip * pixels, weight)

    def add_noise(self, noise: NoiseEvents) -> None:
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


class Counts:
    """Counts (B, 2, H, W): OFF events, then ON events."""

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts

    def add(self, firings: Firings, start: float, end: float) -> None:
        self._put(firings.cell, firings.on, firings.count)

    def add_noise(self, noise: NoiseEvents) -> None:
        height, width = self.counts.shape[2:]
        cell = (noise.clip * height + noise.y) * width + noise.x
        self._put(cell, noise.on, torch.ones(len(cell), device=cell.device))

    def _put(self, cell: Tensor, on: Tensor, weight: Tensor) -> None:
        plane = self.counts[0, 0].numel()
        clip = cell // plane
        self.counts.view(-1).index_add_(0, cell + (clip + on) * plane, weight)


class Newest:
    """Time (B, 2, H, W) of the newest event of each pixel, OFF then ON; -inf where none came.

    Args:
        newest: filled with -inf.
    """

    def __init__(self, newest: Tensor) -> None:
        self.newest = newest

    def add(self, firings: Firings, start: float, end: float) -> None:
        self._put(firings.cell, firings.on, start + firings.last * (end - start))

    def add_noise(self, noise: NoiseEvents) -> None:
        height, width = self.newest.shape[2:]
        self._put((noise.clip * height + noise.y) * width + noise.x, noise.on, noise.time)

    def _put(self, cell: Tensor, on: Tensor, time: Tensor) -> None:
        plane = self.newest[0, 0].numel()
        clip = cell // plane
        self.newest.view(-1).scatter_reduce_(0, cell + (clip + on) * plane, time, "amax")
