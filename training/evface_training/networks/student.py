"""The student: a light network for events only, 3×3 convolutions and a landmark head.

Made for INT8: ReLU6 only, channels in multiples of 16, no depthwise convolution, and a head that
decodes in float inside the graph.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from evface_training.networks.heads import HEADS
from evface_training.networks.student_config import StudentConfig


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
    """Event tensor → 98 landmarks, their uncertainty, and the presence of a face.

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
