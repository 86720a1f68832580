"""HRNet: parallel branches of several resolutions (Wang et al., PAMI 2020).

Image (N, in_channels, H, W)
  └─ stem: two 3×3 convolutions of stride 2, bottlenecks → (N, ·, H/4, W/4)
      └─ stage k = 2, 3, …: k branches of width, 2·width, … channels at 1/4, 1/8, …
          └─ all enlarged to 1/4, concatenated, two 1×1 convolutions → (N, out_channels, H/4, W/4)

The published HRNet-W18 has 1, 4 and 3 modules (9.7 M parameters). SLPT, and so the CMFA paper, use
the "lite" one with one module for each stage (3.6 M), the default here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.errors import ConfigError


@dataclass(frozen=True)
class HRNetConfig:
    """Size of an HRNet.

    Attributes:
        in_channels: of the image.
        stem: channels of the stem.
        bottlenecks: residual blocks of the first stage, whose output has 4 × `stem` channels.
        width: channels of the finest branch; each coarser one has twice as many.
        modules: exchanges between branches in the second stage, the third, …
        blocks: residual blocks of each branch in each module.
        out_channels: of the fused map.
    """

    in_channels: int = 3
    stem: int = 64
    bottlenecks: int = 4
    width: int = 18
    modules: tuple[int, ...] = (1, 1, 1)
    blocks: int = 4
    out_channels: int = 256

    def __post_init__(self) -> None:
        for name in ("in_channels", "stem", "bottlenecks", "width", "blocks", "out_channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"HRNetConfig.{name}", getattr(self, name), "1 or more")
        if not self.modules or any(count < 1 for count in self.modules):
            raise ConfigError("HRNetConfig.modules", self.modules, "numbers of 1 or more")


class ConvNorm(nn.Sequential):
    """Convolution (padded to keep the size), BatchNorm, and optionally ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, *, relu: bool
    ) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
            *([nn.ReLU(inplace=True)] if relu else []),
        )


class Residual(nn.Module):
    """A body plus a shortcut, then ReLU; the shortcut is a 1×1 if the channels change."""

    def __init__(self, channels_in: int, channels_out: int, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        same = channels_in == channels_out
        self.shortcut: nn.Module = (
            nn.Identity() if same else ConvNorm(channels_in, channels_out, 1, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def bottleneck(channels_in: int, middle: int) -> Residual:
    return Residual(
        channels_in,
        4 * middle,
        ConvNorm(channels_in, middle, 1, relu=True),
        ConvNorm(middle, middle, 3, relu=True),
        ConvNorm(middle, 4 * middle, 1, relu=False),
    )


def basic_block(channels: int) -> Residual:
    first, second = (ConvNorm(channels, channels, 3, relu=relu) for relu in (True, False))
    return Residual(channels, channels, first, second)


def _down(channels_in: int, channels_out: int, times: int) -> nn.Sequential:
    """Halve the resolution `times` times; only the last convolution changes the channels."""
    between = [ConvNorm(channels_in, channels_in, 3, 2, relu=True) for _ in range(times - 1)]
    return nn.Sequential(*between, ConvNorm(channels_in, channels_out, 3, 2, relu=False))


class Exchange(nn.Module):
    """Parallel branches; afterwards each receives the sum of all."""

    def __init__(self, channels: list[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(basic_block(width) for _ in range(blocks))) for width in channels
        )
        self.paths = nn.ModuleList(
            nn.ModuleList(self._path(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    @staticmethod
    def _path(channels: list[int], source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        if source < target:
            return _down(channels[source], channels[target], target - source)
        return nn.Sequential(
            ConvNorm(channels[source], channels[target], 1, relu=False),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for paths in self.paths:
            assert isinstance(paths, nn.ModuleList)
            total = sum(path(x) for path, x in zip(paths, maps, strict=True))
            fused.append(F.relu(torch.as_tensor(total)))
        return fused


class HRNet(nn.Module):
    """The network; the sides of its input must be multiples of 4 × 2^(number of stages).

    Attributes:
        stride: input pixels per cell of the output.
    """

    stride = 4

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(
            ConvNorm(config.in_channels, config.stem, 3, 2, relu=True),
            ConvNorm(config.stem, config.stem, 3, 2, relu=True),
            bottleneck(config.stem, config.stem),
            *(bottleneck(4 * config.stem, config.stem) for _ in range(config.bottlenecks - 1)),
        )
        before = [4 * config.stem]
        self.openings = nn.ModuleList()
        self.stages = nn.ModuleList()
        for index, modules in enumerate(config.modules):
            channels = [config.width * 2**level for level in range(index + 2)]
            # The next branch starts from the coarsest one so far.
            opening = [
                ConvNorm(wide, width, 3, relu=True) if wide != width else nn.Identity()
                for wide, width in zip(before, channels, strict=False)
            ]
            opening.append(ConvNorm(before[-1], channels[-1], 3, 2, relu=True))
            self.openings.append(nn.ModuleList(opening))
            self.stages.append(
                nn.ModuleList(Exchange(channels, config.blocks) for _ in range(modules))
            )
            before = channels
        total = sum(before)
        self.fuse = nn.Sequential(
            ConvNorm(total, total, 1, relu=True), nn.Conv2d(total, config.out_channels, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, H/4, W/4)."""
        maps = [self.stem(image)]
        for opening, stage in zip(self.openings, self.stages, strict=True):
            assert isinstance(opening, nn.ModuleList)
            assert isinstance(stage, nn.ModuleList)
            sources = [*maps, maps[-1]]
            maps = [layer(x) for layer, x in zip(opening, sources, strict=True)]
            for exchange in stage:
                maps = exchange(maps)
        size = maps[0].shape[2:]
        enlarged = [F.interpolate(x, size, mode="bilinear", align_corners=False) for x in maps[1:]]
        fused: Tensor = self.fuse(torch.cat([maps[0], *enlarged], 1))
        return fused
