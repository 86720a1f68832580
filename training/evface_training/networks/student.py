"""The light, events-only student: plain 3×3 convolutions and a SimCC head.

Built for INT8: ReLU6 throughout, channels in multiples of 16, no depthwise convolution, and a head
whose decode stays in float inside the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_edge.landmarks import NUM_LANDMARKS


@dataclass(frozen=True)
class StudentConfig:
    """Size of a student.

    Attributes:
        in_channels: of the representation.
        side: of the square input, in pixels; a multiple of 16.
        channels: after the stem and the three stages (each halves the resolution).
        blocks: residual blocks in each stage.
        hidden: width of the head.
        coordinate_bins: of each coordinate's distribution.
        margin: how far beyond the crop's edges the distributions reach, in fractions of the crop.
    """

    in_channels: int = 10
    side: int = 128
    channels: tuple[int, int, int, int] = (32, 48, 96, 160)
    blocks: tuple[int, int, int] = (1, 1, 1)
    hidden: int = 128
    coordinate_bins: int = 128
    margin: float = 0.125

    def __post_init__(self) -> None:
        if self.side < 32 or self.side % 16:
            raise ConfigError("StudentConfig.side", self.side, "a multiple of 16, 32 or more")
        if len(self.channels) != 4 or any(c < 16 or c % 16 for c in self.channels):
            raise ConfigError("StudentConfig.channels", self.channels, "4 multiples of 16")
        if len(self.blocks) != 3 or any(b < 0 for b in self.blocks):
            raise ConfigError("StudentConfig.blocks", self.blocks, "3 numbers, 0 or above")


class ConvUnit(nn.Sequential):
    """3×3 convolution, BatchNorm, ReLU6."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU6(),
        )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al., 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(x + self.norm(self.second(self.first(x))))
        return out


class SimCCHead(nn.Module):
    """Feature map → one distribution along x and one along y for each point (Li et al., ECCV 2022).

    A point's place is the expectation of its distributions, their spread its uncertainty.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        cells = (config.side // 16) ** 2
        self.to_points = nn.Conv2d(config.channels[-1], NUM_LANDMARKS, 1)
        self.mix = nn.Linear(cells, config.hidden)
        self.to_bins = nn.Linear(config.hidden, 2 * config.coordinate_bins)
        self.to_presence = nn.Linear(config.channels[-1], 1)
        # From the spread of a distribution to a standard deviation that holds; fitted afterwards.
        self.register_buffer("sigma_gain", torch.ones(()))
        low, high = -config.margin, 1 + config.margin
        width = (high - low) / config.coordinate_bins
        centers = low + width * (torch.arange(config.coordinate_bins) + 0.5)
        self.register_buffer("bin_centers", centers)
        self.bin_centers: Tensor
        self.sigma_gain: Tensor

    def logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C, h, w) → bins (N, 98, 2, bins), presence (N, 1)."""
        points = F.relu6(self.mix(self.to_points(features).flatten(2)))
        bins = self.to_bins(points).unflatten(-1, (2, -1))
        return bins, self.to_presence(features.mean((2, 3)))

    def decode(self, bins: Tensor) -> tuple[Tensor, Tensor]:
        """Bins (N, 98, 2, bins) → expectation (N, 98, 2) and log standard deviation (N, 98)."""
        probability = bins.softmax(-1)
        place = (probability * self.bin_centers).sum(-1)
        second = (probability * self.bin_centers**2).sum(-1)
        variance = (second - place**2).mean(-1).clamp_min(1e-8)
        return place, 0.5 * variance.log() + self.sigma_gain.log()


class Student(nn.Module):
    """Event tensor → 98 landmarks, their uncertainty, and whether there is a face at all.

    Input (N, in_channels, side, side), values in [0, 1]
      └─ backbone → (N, C, side/16, side/16)
          └─ head → landmarks (N, 98, 2) fractions of the crop
                    log_sigma (N, 98) natural log, same unit
                    presence (N, 1) logit
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        stem, *stages = config.channels
        layers: list[nn.Module] = [ConvUnit(config.in_channels, stem, stride=2)]
        before = stem
        for channels, blocks in zip(stages, config.blocks, strict=True):
            layers.append(ConvUnit(before, channels, stride=2))
            layers += [ResidualBlock(channels) for _ in range(blocks)]
            before = channels
        self.backbone = nn.Sequential(*layers)
        self.head = SimCCHead(config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bins, presence = self.head.logits(self.backbone(x))
        landmarks, log_sigma = self.head.decode(bins)
        return landmarks, log_sigma, presence
