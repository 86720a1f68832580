"""The face detector: coarse grid of the whole sensor → places and sizes of faces.

CenterNet (Zhou et al., "Objects as Points", 2019): the centre of a face is a peak of a heat map,
its size is given at the peak. Plain convolutions, ReLU6 and additions, as in the student, so that
INT8 is fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_edge.tracking.detector_grid import GridShape
from evface_training.networks.student import ConvUnit

#: Cells of the input to one of the heat map, along one axis.
STRIDE = 4
#: Initial logit of the heat map: faces are rare.
_PRIOR_LOGIT = -4.0


@dataclass(frozen=True)
class DetectorConfig:
    """Size of a face detector.

    Attributes:
        grid: its input.
        channels: of the stages at 1/2, 1/4, 1/8 and 1/16 of the grid's resolution.
    """

    grid: GridShape = field(default_factory=GridShape)
    channels: tuple[int, ...] = (16, 24, 32, 32)

    def __post_init__(self) -> None:
        if len(self.channels) != 4 or any(c < 8 or c % 8 for c in self.channels):
            raise ConfigError("DetectorConfig.channels", self.channels, "4 multiples of 8")


class Detector(nn.Module):
    """Input (N, 6, height, width) in [0, 1]
    └─ backbone → (N, C, height/4, width/4)
        └─ heads → heat (N, 1, h, w) logit
                   place (N, 3, h, w): x and y of the middle from the cell's own, in cells of
                   the heat map; natural log of the side of the face box, in cells of the input
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = _Backbone(config)
        self.to_heat = nn.Conv2d(config.channels[1], 1, 1)
        self.to_place = nn.Conv2d(config.channels[1], 3, 1)
        nn.init.constant_(self.to_heat.bias, _PRIOR_LOGIT)  # type: ignore[arg-type]
        nn.init.constant_(self.to_place.bias[2:], 3.0)  # type: ignore[index]  # 20 cells

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(x)
        return self.to_heat(features), self.to_place(features)


class _Backbone(nn.Module):
    """Down to 1/16, for the largest faces, and up again to 1/4."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        first, fine, middle, coarse = config.channels
        self.stem = ConvUnit(config.grid.channels, first, 2)
        self.to_fine = nn.Sequential(ConvUnit(first, fine, 2), ConvUnit(fine, fine))
        self.to_middle = nn.Sequential(ConvUnit(fine, middle, 2), ConvUnit(middle, middle))
        self.to_coarse = ConvUnit(middle, coarse, 2)
        self.widen = ConvUnit(coarse, coarse)
        self.from_coarse = ConvUnit(coarse, middle, kernel=1, pad=0)
        self.from_middle = ConvUnit(middle, fine, kernel=1, pad=0)
        self.mix = ConvUnit(middle, middle)
        self.last = ConvUnit(fine, fine)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.to_fine(self.stem(x))
        middle = self.to_middle(fine)
        coarse = self.widen(self.to_coarse(middle))
        middle = self.mix(middle + _enlarge(self.from_coarse(coarse), middle))
        out: Tensor = self.last(fine + _enlarge(self.from_middle(middle), fine))
        return out


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Twice as wide and high; a grid of an odd number of cells loses the last."""
    large = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
    return large[:, :, : like.shape[2], : like.shape[3]]
