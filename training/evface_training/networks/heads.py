"""Heads: feature map → 98 landmarks, their uncertainty, and presence.

All three decode in float inside the graph: quantisation ends with the last linear layer or 1×1
convolution before `logits` returns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.networks.student_config import HeadName, StudentConfig

#: Standard deviation of a target distribution, in bins of SimCC and in cells of a heatmap.
SIMCC_SPREAD, HEATMAP_SPREAD = 1.5, 1.0
_LOG_SIGMA_RANGE = (-7.0, 1.0)
#: Smallest variance, in squared bins or cells; float16 holds it without denormal numbers.
_SMALLEST_VARIANCE = 1e-4


class LandmarkHead(nn.Module, ABC):
    """The head of a student.

    Attributes:
        reach: (lowest, highest) coordinate that it can predict, in fractions of the crop.
        sigma_gain: factor on σ, fitted by `finalize` after training.
    """

    reach: tuple[float, float]

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.to_presence = nn.Linear(config.channels[-1], 1)
        self.register_buffer("sigma_gain", torch.ones(()))
        self.sigma_gain: Tensor

    def logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C, h, w) → input of `decode` (N, 98, …), presence logit (N, 1)."""
        return self.raw(features), self.to_presence(features.mean((2, 3)))

    @abstractmethod
    def raw(self, features: Tensor) -> Tensor:
        """Features (N, C, h, w) → (N, 98, …)."""

    @abstractmethod
    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """→ landmarks (N, 98, 2), log σ (N, 98): fractions of the crop, σ along one axis."""

    @abstractmethod
    def divergence(self, raw: Tensor, points: Tensor) -> Tensor:
        """Loss (N, 98) of each point's distribution for labels (N, 98, 2)."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw, presence = self.logits(features)
        return *self.decode(raw), presence


class PointwiseLinear(nn.Conv2d):
    """One linear layer for all columns: (N, in, 1, columns) → (N, out, 1, columns).

    It is a convolution, because INT8 runtimes fuse a convolution with bias, activation and
    rounding; after a matrix product these are three separate steps.
    """

    def __init__(self, size_in: int, size_out: int) -> None:
        super().__init__(size_in, size_out, 1)


class Relation(nn.Module):
    """Exchange between points, (N, width, 1, points) → the same shape (MLP-Mixer, 2021).

    Where a point's own map is ambiguous, its neighbours help: the jaw shows where the chin is. Both
    layers start as the identity, so that a relation can be added to a trained head.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.across = PointwiseLinear(NUM_LANDMARKS, NUM_LANDMARKS)
        self.within = PointwiseLinear(width, width)
        for layer in (self.across, self.within):
            for weights in layer.parameters():
                nn.init.zeros_(weights)
            nn.init.dirac_(layer.weight)

    def forward(self, points: Tensor) -> Tensor:
        mixed = F.relu6(self.across(points.transpose(1, 3))).transpose(1, 3)
        output: Tensor = F.relu6(self.within(mixed))
        return output


class _Moments(nn.Module):
    """Mean and spread of distributions over equally wide bins.

    Bins are counted from the middle, and the variance is taken around the mean: E[x²] − E[x]² loses
    all its digits in float16 and bfloat16, and its logarithm becomes −∞.
    """

    def __init__(self, centers: Tensor) -> None:
        super().__init__()
        count = len(centers)
        self._width = float(centers[-1] - centers[0]) / (count - 1)
        self._middle = float(centers[0] + centers[-1]) / 2
        self.register_buffer("offsets", torch.arange(count) - (count - 1) / 2, persistent=False)
        self.offsets: Tensor

    def forward(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 98, 2, bins) → means (N, 98, 2), log standard deviations (N, 98) of both axes."""
        mean = probabilities @ self.offsets[:, None]
        distance = self.offsets - mean
        variance = (probabilities * (distance * distance)).sum((-2, -1)) / 2
        log_variance = variance.clamp_min(_SMALLEST_VARIANCE).log() + 2 * math.log(self._width)
        return mean.squeeze(-1) * self._width + self._middle, 0.5 * log_variance


class SimCCHead(LandmarkHead):
    """One distribution along x and one along y for each point (Li et al., ECCV 2022).

    A point's position is the expectation of its distributions; their spread is its uncertainty.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        cells = (config.side // 16) ** 2
        self.to_points = nn.Conv2d(config.channels[-1], NUM_LANDMARKS, 1)
        self.mix = PointwiseLinear(cells, config.hidden)
        self.relations = nn.Sequential(*(Relation(config.hidden) for _ in range(config.relations)))
        self.to_bins = nn.Linear(config.hidden, 2 * config.coordinate_bins)
        centers = _centers(-config.margin, 1 + config.margin, config.coordinate_bins)
        self.register_buffer("bin_centers", centers)
        self.bin_centers: Tensor
        self.moments = _Moments(centers)
        self.reach = (float(centers[0]), float(centers[-1]))

    def raw(self, features: Tensor) -> Tensor:
        """Bins (N, 98, 2, bins)."""
        cells = self.to_points(features).flatten(2).transpose(1, 2)[:, :, None]
        points = self.relations(F.relu6(self.mix(cells))).flatten(2).transpose(1, 2)
        bins: Tensor = self.to_bins(points).unflatten(-1, (2, -1))
        return bins

    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        landmarks, log_spread = self.moments(raw.softmax(-1))
        return landmarks, log_spread + self.sigma_gain.log()

    def divergence(self, raw: Tensor, points: Tensor) -> Tensor:
        target = _gaussian(self.bin_centers, points, SIMCC_SPREAD)
        entropy = torch.special.entr(target).sum(-1)
        cross: Tensor = -(target * raw.log_softmax(-1)).sum(-1)
        divergence: Tensor = (cross - entropy).mean(-1)
        return divergence


class HeatmapHead(LandmarkHead):
    """A heatmap for each point, at four times the features' resolution; decoded as its expectation.

    The features are padded with zeros by the margin, so that points beyond the crop have cells too
    (integral regression, Sun et al., ECCV 2018).
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        cells = config.side // 16
        self.edge = max(1, round(config.margin * cells))
        width = max(32, config.hidden // 2)
        # Most convolutions run at the features' own resolution: the head costs a quarter of the
        # network instead of as much as the rest.
        self.enlarge = nn.Sequential(
            *_conv_unit(config.channels[-1], width),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_conv_unit(width, width // 2),
        )
        self.to_cells = nn.Conv2d(width // 2, 4 * NUM_LANDMARKS, 1)
        self.unfold = nn.PixelShuffle(2)
        margin = self.edge / cells
        centers = _centers(-margin, 1 + margin, 4 * (cells + 2 * self.edge))
        self.register_buffer("cell_centers", centers)
        self.cell_centers: Tensor
        self.moments = _Moments(centers)
        self.reach = (float(centers[0]), float(centers[-1]))

    def raw(self, features: Tensor) -> Tensor:
        """Heat (N, 98, rows, columns)."""
        heat: Tensor = self.unfold(self.to_cells(self.enlarge(F.pad(features, (self.edge,) * 4))))
        return heat

    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        heat = raw.flatten(2).softmax(-1).reshape(raw.shape)
        along = torch.stack([heat.sum(2), heat.sum(3)], 2)  # (N, 98, 2, cells): x, then y
        landmarks, log_spread = self.moments(along)
        return landmarks, log_spread + self.sigma_gain.log()

    def divergence(self, raw: Tensor, points: Tensor) -> Tensor:
        x, y = _gaussian(self.cell_centers, points, HEATMAP_SPREAD).unbind(2)
        target = (y[..., :, None] * x[..., None, :]).flatten(2)
        entropy = torch.special.entr(target).sum(-1)
        cross: Tensor = -(target * raw.flatten(2).log_softmax(-1)).sum(-1)
        divergence: Tensor = cross - entropy
        return divergence


class RegressionHead(LandmarkHead):
    """Coordinates from a linear layer, σ from another one.

    With a single layer, coordinates and log σ would share one quantisation step.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        self.reduce = nn.Conv2d(config.channels[-1], 8, 1)
        self.mix = nn.Linear(8 * (config.side // 16) ** 2, config.hidden)
        self.to_places = nn.Linear(config.hidden, 2 * NUM_LANDMARKS)
        self.to_spread = nn.Linear(config.hidden, NUM_LANDMARKS)
        self.reach = (-config.margin, 1 + config.margin)

    def raw(self, features: Tensor) -> Tensor:
        """(N, 98, 3): x and y relative to the centre of the crop, log σ."""
        mixed = F.relu6(self.mix(F.relu6(self.reduce(features)).flatten(1)))
        places = self.to_places(mixed).unflatten(-1, (NUM_LANDMARKS, 2))
        return torch.cat([places, self.to_spread(mixed)[..., None]], -1)

    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        log_sigma = raw[..., 2].clamp(*_LOG_SIGMA_RANGE)
        return raw[..., :2] + 0.5, log_sigma + self.sigma_gain.log()

    def divergence(self, raw: Tensor, points: Tensor) -> Tensor:
        """Negative log-likelihood of a Laplace distribution (mean of both axes, no constant)."""
        log_sigma = raw[..., 2].clamp(*_LOG_SIGMA_RANGE)
        distance = (raw[..., :2] + 0.5 - points).abs().mean(-1)
        return log_sigma + 2**0.5 * distance * torch.exp(-log_sigma)


HEADS: dict[HeadName, type[LandmarkHead]] = {
    "simcc": SimCCHead,
    "regression": RegressionHead,
    "heatmap": HeatmapHead,
}


def _centers(low: float, high: float, count: int) -> Tensor:
    return low + (high - low) / count * (torch.arange(count) + 0.5)


def _gaussian(centers: Tensor, points: Tensor, spread: float) -> Tensor:
    """Points (N, 98, 2) → distributions (N, 98, 2, bins), `spread` bins wide."""
    width = centers[1] - centers[0]
    return torch.softmax(-0.5 * ((centers - points[..., None]) / (spread * width)) ** 2, -1)


def _conv_unit(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, 1, 1, bias=False)
    return convolution, nn.BatchNorm2d(channels_out), nn.ReLU6()
