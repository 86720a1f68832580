"""The representations of `evface_edge.representation` in PyTorch, for many clips at once.

They run on any device, without a loop over clips or events. The classes of `evface_edge` define
the result; tests compare the two implementations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, check_events
from evface_edge.geometry import SensorSize
from evface_edge.representation import (
    SATURATION,
    AdaptiveSurface,
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
)
from evface_edge.representation.adaptive import (
    LOG_CENTRE,
    LOG_SLOPE,
    high_frequencies,
    log_kernel,
)

_NEVER = torch.iinfo(torch.int64).min


@dataclass(frozen=True, eq=False)
class EventBatch:
    """The events of several clips, one clip after the other, each in order of time.

    Attributes:
        t_us, x, y, p: (N,) int64.
        clip: (N,) int64, ascending: the clip of each event, 0 to clips - 1.
        clips: number of clips; some may have no events.
        size: size of the sensor, or of the crop that the events were moved into.
    """

    t_us: Tensor
    x: Tensor
    y: Tensor
    p: Tensor
    clip: Tensor
    clips: int
    size: SensorSize

    @classmethod
    def of(
        cls, clips: Sequence[EventArray], size: SensorSize, device: torch.device | str = "cpu"
    ) -> EventBatch:
        """Copy event arrays into a batch.

        Raises:
            EventFormatError: invalid events.
        """
        for events in clips:
            check_events(events, size)

        def column(name: str) -> Tensor:
            parts = [events[name].astype(np.int64) for events in clips]
            return torch.from_numpy(np.concatenate([*parts, np.empty(0, np.int64)])).to(device)

        counts = torch.tensor([len(events) for events in clips], dtype=torch.int64)
        clip = torch.arange(len(clips)).repeat_interleave(counts).to(device)
        t_us, x, y, p = (column(name) for name in ("t", "x", "y", "p"))
        return cls(t_us, x, y, p, clip, len(clips), size)

    def cell(self, planes: int, plane: Tensor | int) -> Tensor:
        """Return the flat index of each event into (clips, planes, height, width), (N,)."""
        row = (self.clip * planes + plane) * self.size.height + self.y
        return row * self.size.width + self.x

    def shape(self, planes: int) -> tuple[int, int, int, int]:
        """Return (clips, planes, height, width)."""
        return self.clips, planes, self.size.height, self.size.width

    def first_us(self) -> Tensor:
        """Return the time of the first event (clips,); the largest integer without events."""
        empty = self.t_us.new_full((self.clips,), torch.iinfo(torch.int64).max)
        return empty.scatter_reduce_(0, self.clip, self.t_us, "amin")

    def last_us(self) -> Tensor:
        """Return the time of the last event (clips,); the smallest integer without events."""
        return self.t_us.new_full((self.clips,), _NEVER).scatter_reduce_(
            0, self.clip, self.t_us, "amax"
        )


def represent(
    representation: Representation, batch: EventBatch, *, t_us: Tensor | None = None
) -> Tensor:
    """Return `representation(events, batch.size)` of each clip: (clips, C, height, width).

    Args:
        t_us: (clips,) int64, the instants that ages are counted from; by default, and where it
            is earlier, the last event of each clip.

    Raises:
        ConfigError: a representation without an implementation in PyTorch.
    """
    function = _FUNCTIONS.get(type(representation))
    if function is None:
        known = ", ".join(kind.__name__ for kind in _FUNCTIONS)
        raise ConfigError("representation", type(representation).__name__, f"one of {known}")
    now_us = batch.last_us() if t_us is None else torch.maximum(batch.last_us(), t_us)
    return function(representation, batch, now_us)


def normalise_counts_(counts: Tensor) -> Tensor:
    """Normalise counts (B, C, H, W) to [0, 1] in place, independent of the number of events.

    Each sample is divided by SATURATION × the mean of its non-zero cells, and clipped.
    """
    nonzero = counts.sign().sum((1, 2, 3)).clamp_min_(1)
    mean = counts.sum((1, 2, 3)) / nonzero
    scale = 1 / (SATURATION * mean.clamp_min_(1e-6))
    return counts.mul_(scale[:, None, None, None]).clamp_(max=1.0)


def _add(batch: EventBatch, planes: int, *parts: tuple[Tensor | int, Tensor]) -> Tensor:
    """Sum weights into planes; a part is the plane and the weight of each event."""
    total = torch.zeros(math.prod(batch.shape(planes)), device=batch.t_us.device)
    for plane, weight in parts:
        total.index_add_(0, batch.cell(planes, plane), weight)
    return total.reshape(batch.shape(planes))


def _frame(frame: EventFrame, batch: EventBatch, now_us: Tensor) -> Tensor:
    counts = _add(batch, 2, (batch.p, torch.ones_like(batch.p, dtype=torch.float32)))
    return normalise_counts_(counts) if frame.normalisation == "mean" else counts


def _voxels(grid: VoxelGrid, batch: EventBatch, now_us: Tensor) -> Tensor:
    first_us = batch.first_us()
    span = (batch.last_us() - first_us).clamp_min(1).double()
    position = (batch.t_us - first_us[batch.clip]) * ((grid.bins - 1) / span)[batch.clip]
    pair = position.long().clamp_(max=grid.bins - 2)
    fraction = (position - pair).float()
    plane = batch.p * grid.bins + pair
    volume = _add(batch, grid.channels, (plane, 1 - fraction), (plane + 1, fraction))
    return normalise_counts_(volume) if grid.normalisation == "mean" else volume


def _ages_us(batch: EventBatch, now_us: Tensor) -> Tensor:
    """Return the age of the newest event, (clips, 2, height, width) float64; inf without events."""
    newest = batch.t_us.new_full((math.prod(batch.shape(2)),), _NEVER)
    newest.scatter_reduce_(0, batch.cell(2, batch.p), batch.t_us, "amax")
    newest = newest.reshape(batch.shape(2))
    ages = (now_us[:, None, None, None] - newest).double()
    return ages.masked_fill_(newest == _NEVER, math.inf)


def _surface(surface: TimeSurface, batch: EventBatch, now_us: Tensor) -> Tensor:
    ages = _ages_us(batch, now_us).div_(surface.tau_us)
    if surface.decay == "exponential":
        return ages.neg_().exp_().float()
    return (1 - ages).clamp_min_(0).float()


def _surfaces(surface: MultiScaleSurface, batch: EventBatch, now_us: Tensor) -> Tensor:
    ages = _ages_us(batch, now_us)
    scales = ages.new_tensor(surface.scales_us)[:, None, None]
    return (1 - ages[:, :, None] / scales).clamp_min_(0).float().flatten(1, 2)


def _statistics(statistics: EventStatistics, batch: EventBatch, now_us: Tensor) -> Tensor:
    ones = torch.ones_like(batch.p, dtype=torch.float32)
    counts = _add(batch, 2, (0, ones), (1, 2 * batch.p.float() - 1))
    pixel = batch.cell(1, 0)
    order = torch.sort(pixel, stable=True).indices  # by pixel, within a pixel by time
    pixel, t_us = pixel[order], batch.t_us[order]
    same = pixel[1:] == pixel[:-1]
    gap, at = (t_us[1:] - t_us[:-1])[same].double(), pixel[1:][same]
    number, total, squares = (
        gap.new_zeros(math.prod(batch.shape(1))).index_add_(0, at, values)
        for values in (torch.ones_like(gap), gap, gap.square())
    )
    number.clamp_min_(1)
    variance = (squares / number - (total / number).square()).clamp_min_(0)
    deviation = variance.sqrt_().float().reshape(batch.shape(1))
    deviation *= counts[:, :1] > 2  # 0 with fewer than two gaps
    if statistics.normalisation == "mean":
        count = counts[:, :1].clone()
        nonzero = count.sign().sum((1, 2, 3), keepdim=True).clamp_min_(1)
        mean = (count.sum((1, 2, 3), keepdim=True) / nonzero).clamp_min_(1e-6)
        counts = (counts / (SATURATION * mean)).clamp_(-1, 1)
        deviation = normalise_counts_(deviation)
    return torch.cat([counts, deviation], 1)


def _adaptive(surface: AdaptiveSurface, batch: EventBatch, now_us: Tensor) -> Tensor:
    """Compute slice by slice (each depends on the one before), all clips at once."""
    number = (batch.t_us - batch.first_us()[batch.clip]) // surface.slice_us
    state = torch.zeros(batch.shape(1), device=batch.t_us.device)
    for index in torch.unique(number).tolist():
        part = number == index
        counts = torch.zeros(math.prod(batch.shape(2)), device=state.device)
        cell = batch.cell(2, batch.p)[part]
        counts.index_add_(0, cell, torch.ones_like(cell, dtype=torch.float32))
        counts = counts.reshape(batch.shape(2))
        signed = counts[:, 1:] - counts[:, :1]
        state = signed + _factors(surface, signed, counts.sum(1, keepdim=True)) * state
    return (state / surface.clip).clamp_(-1, 1)


def _factors(surface: AdaptiveSurface, signed: Tensor, counts: Tensor) -> Tensor:
    """Return the decay factors (B, 1, H, W) from the signed image and the counts of a slice."""
    patch = surface.patch
    height, width = signed.shape[2:]
    down, across = -(-height // patch), -(-width // patch)

    def means(image: Tensor) -> Tensor:
        return F.avg_pool2d(image, patch, ceil_mode=True, count_include_pad=False)

    if surface.score == "rate":
        factors = (-means(counts) / surface.reference).exp()
    elif surface.score == "log":
        side, corner, centre = log_kernel()
        kernel = signed.new_tensor(
            [[corner, side, corner], [side, centre, side], [corner, side, corner]]
        )
        score = means(F.conv2d(signed, kernel[None, None], padding=1).abs())
        denominator = 1 + (LOG_SLOPE * (score - LOG_CENTRE)).exp()
        factors = (1 + math.exp(-LOG_SLOPE * LOG_CENTRE)) / denominator
    else:
        padded = F.pad(signed, (0, across * patch - width, 0, down * patch - height))
        patches = padded.reshape(-1, down, patch, across, patch).transpose(2, 3).double()
        power = torch.fft.fft2(patches).abs().square()
        high = torch.from_numpy(high_frequencies(patch, surface.high_frequency)).to(power)
        total = power.sum((3, 4))
        fraction = (power * high).sum((3, 4)) / total.clamp_min(1e-12)
        factors = fraction.where(total > 0, 1).float()[:, None]
    # Patch centres lie as in an image of whole patches.
    full_size = (down * patch, across * patch)
    enlarged = F.interpolate(factors, full_size, mode="bilinear", align_corners=False)
    return enlarged[:, :, :height, :width]


_Function = Callable[[Any, EventBatch, Tensor], Tensor]
_FUNCTIONS = cast(
    "dict[type[Representation], _Function]",
    {
        AdaptiveSurface: _adaptive,
        EventFrame: _frame,
        EventStatistics: _statistics,
        MultiScaleSurface: _surfaces,
        TimeSurface: _surface,
        VoxelGrid: _voxels,
    },
)
