"""Layers in motion → the events of a camera, counted on the face detector's grid.

layers ─▶ light over time ─▶ pixels ─▶ events and noise ─▶ counts in cells
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_edge.tracking.detector_grid import FRACTIONS, GridShape
from evface_training.detector.layers import Layer
from evface_training.simulation.camera import CameraBatch
from evface_training.simulation.noise import draw_noise
from evface_training.simulation.pixels import PixelArray
from evface_training.simulation.tone import Tone

PIXELS_PER_CELL = 2
#: Frames of light within each window of time, from the longest to the latest.
_FRAMES = (4, 3, 2)
_WARM_UP = 1


@dataclass(frozen=True)
class Recorded:
    """The events of B scenes.

    Attributes:
        counts: (B, windows, 2, height, width) all events.
        moved: (B, height, width) events without noise, of the longest window.
        covers: of each layer (B, 1, height, width), its coverage at the end.
    """

    counts: Tensor
    moved: Tensor
    covers: list[Tensor]


class Recorder:
    """A camera in front of scenes.

    Args:
        shape: of the face detector's grid; a cell is two pixels wide and high.
        generator: of the noise; its device is that of the computation.

    Attributes:
        times_s: (T,) instants at which light is computed; the last is 0.
    """

    def __init__(self, shape: GridShape, generator: torch.Generator) -> None:
        self.shape = shape
        self._generator = generator
        times_s, self._windows = _times(shape)
        self.times_s = times_s.to(generator.device)

    def __call__(self, layers: list[Layer], camera: CameraBatch, tone: Tone) -> Recorded:
        """Record layers, the farthest first, of as many scenes as there are cameras."""
        batch = len(camera.lux)
        shape = (self.shape.height * PIXELS_PER_CELL, self.shape.width * PIXELS_PER_CELL)
        counts = torch.zeros(batch, len(FRACTIONS), 2, *shape, device=self.times_s.device)
        pixels: PixelArray | None = None
        filled = [torch.nonzero(layer.texture[:, 1].amax((1, 2)))[:, 0] for layer in layers]
        present = [
            (rows, layer.only(rows))
            for rows, layer in zip(filled[1:], layers[1:], strict=True)
            if len(rows)
        ]
        for index, t_s in enumerate(self.times_s.tolist()):
            light = layers[0].show(t_s, shape, PIXELS_PER_CELL)[:, :1]
            for rows, layer in present:
                shown = layer.show(t_s, shape, PIXELS_PER_CELL)
                light[rows] = torch.lerp(light[rows], shown[:, :1], shown[:, 1:])
            log_light = tone.log_light(light)[:, 0]
            if pixels is None:
                pixels = PixelArray(log_light, camera, self._generator)
                continue
            step_s = float(self.times_s[index] - self.times_s[index - 1])
            fired = pixels.step(log_light, torch.full((batch,), step_s, device=self.times_s.device))
            if index <= _WARM_UP:
                continue
            window = self._windows[index - _WARM_UP - 1]
            area = shape[0] * shape[1]
            clip = fired.cell // area
            plane = (clip * len(FRACTIONS) + window) * 2 + fired.on
            counts.view(-1).index_add_(0, plane * area + fired.cell % area, fired.count)
        moved = _in_cells(counts.sum((1, 2)))
        self._add_noise(counts, camera, log_light)
        counts = counts.cumsum(1)  # each window contains the next, the shortest first
        covers = [layer.show(0.0, shape, PIXELS_PER_CELL)[:, 1:] for layer in layers]
        covers = [F.avg_pool2d(cover, PIXELS_PER_CELL) for cover in covers]
        return Recorded(_in_cells(counts), moved, covers)

    def _add_noise(self, counts: Tensor, camera: CameraBatch, light: Tensor) -> None:
        batch, _, _, height, width = counts.shape
        lookback_s = self.shape.lookback_us * 1e-6
        duration_s = torch.full((batch,), lookback_s, device=self.times_s.device)
        noise = draw_noise(camera, (height, width), duration_s, self._generator, light)
        age = 1 - noise.time
        window = sum((age > fraction).long() for fraction in FRACTIONS[:-1])
        plane = (noise.clip * len(FRACTIONS) + window) * 2 + noise.on
        index = (plane * height + noise.y) * width + noise.x
        counts.view(-1).index_add_(0, index, torch.ones_like(age))


def _times(shape: GridShape) -> tuple[Tensor, list[int]]:
    """Return instants in seconds, the last one 0, and the window of the step before each."""
    edges = [-fraction * shape.lookback_us * 1e-6 for fraction in reversed(FRACTIONS)] + [0.0]
    parts, windows = [], []
    for number, (begin, end) in enumerate(pairwise(edges)):
        count = _FRAMES[number]
        parts.append(torch.linspace(begin, end, count + 1)[:-1])
        windows += [len(FRACTIONS) - 1 - number] * count
    first = parts[0][1] - parts[0][0]
    before = edges[0] - first * torch.arange(_WARM_UP, 0, -1)
    return torch.cat([before, *parts, torch.zeros(1)]), windows


def _in_cells(counts: Tensor) -> Tensor:
    """Sum counts of pixels (..., H, W) over cells."""
    pooled = F.avg_pool2d(counts.reshape(-1, 1, *counts.shape[-2:]), PIXELS_PER_CELL)
    return pooled.reshape(*counts.shape[:-2], *pooled.shape[-2:]) * PIXELS_PER_CELL**2
