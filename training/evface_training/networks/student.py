"""The light, events-only student: plain 3×3 convolutions and a head of landmarks.

Built for INT8: ReLU6 throughout, channels in multiples of 16, no depthwise convolution, and a head
whose decode stays in float inside the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_training.networks.heads import HEADS, HeadName

StemName = Literal["conv", "patch"]


@dataclass(frozen=True)
class StudentConfig:
    """Size of a student.

    Attributes:
        in_channels: of the representation.
        side: of the square input, in pixels; a multiple of 16.
        stem: "conv" halves the resolution by a 3×3 convolution before the first stage halves it
            again; "patch" quarters it at once, by one 4×4 convolution whose patches do not overlap,
            and the first stage begins there. In INT8 a patch is one contiguous stretch of bytes in
            each of its rows: 20 % less time for the whole network (ONNX Runtime, AVX-512).
        channels: of the conv stem and the three stages; with a patch stem, of the stages only.
        blocks: residual blocks in each stage.
        head: "simcc", "regression" or "heatmap".
        hidden: width of the head.
        relations: of a SimCC head: how often every point is told of all others.
        coordinate_bins: of each coordinate's distribution.
        margin: how far beyond the crop's edges the distributions reach, in fractions of the crop.
    """

    in_channels: int = 10
    side: int = 128
    channels: tuple[int, ...] = (32, 48, 96, 160)
    blocks: tuple[int, int, int] = (1, 1, 1)
    head: HeadName = "simcc"
    hidden: int = 128
    relations: int = 0
    coordinate_bins: int = 128
    margin: float = 0.125
    stem: StemName = "conv"

    def __post_init__(self) -> None:
        if self.side < 32 or self.side % 16:
            raise ConfigError("StudentConfig.side", self.side, "a multiple of 16, 32 or more")
        if self.stem not in ("conv", "patch"):
            raise ConfigError("StudentConfig.stem", self.stem, "conv or patch")
        count = 4 if self.stem == "conv" else 3
        if len(self.channels) != count or any(c < 16 or c % 16 for c in self.channels):
            raise ConfigError("StudentConfig.channels", self.channels, f"{count} multiples of 16")
        if len(self.blocks) != 3 or any(b < 0 for b in self.blocks):
            raise ConfigError("StudentConfig.blocks", self.blocks, "3 numbers, 0 or above")
        if self.head not in HEADS:
            raise ConfigError("StudentConfig.head", self.head, f"one of {', '.join(HEADS)}")
        if self.relations < 0 or (self.relations and self.head != "simcc"):
            raise ConfigError(
                "StudentConfig.relations", self.relations, "0 or more, and 0 but for a simcc head"
            )


class ConvUnit(nn.Sequential):
    """Convolution, BatchNorm, ReLU6."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, kernel: int = 3, pad: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, pad, bias=False),
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
        stages = list(config.channels)
        if config.stem == "conv":
            before = stages.pop(0)
            layers: list[nn.Module] = [ConvUnit(config.in_channels, before, 2)]
            entries = [ConvUnit(b, c, 2) for b, c in pairwise([before, *stages])]
        else:
            layers = []
            entries = [ConvUnit(config.in_channels, stages[0], 4, kernel=4, pad=0)]
            entries += [ConvUnit(b, c, 2) for b, c in pairwise(stages)]
        for entry, channels, blocks in zip(entries, stages, config.blocks, strict=True):
            layers += [entry, *(ResidualBlock(channels) for _ in range(blocks))]
        self.backbone = nn.Sequential(*layers)
        self.head = HEADS[config.head](config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        landmarks, log_sigma, presence = self.head(self.backbone(x))
        return landmarks, log_sigma, presence
