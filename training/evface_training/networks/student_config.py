"""Size of a student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from evface_edge.errors import ConfigError

HeadName = Literal["simcc", "regression", "heatmap"]
StemName = Literal["conv", "patch"]


@dataclass(frozen=True)
class StudentConfig:
    """Size of a student.

    Attributes:
        in_channels: of the representation.
        side: of the square input, in pixels; a multiple of 16.
        stem: "conv" halves the resolution by a 3×3 convolution, and the first stage halves it
            again; "patch" quarters it at once by a 4×4 convolution without overlap. In INT8 the
            whole network takes 20 % less time with "patch" (ONNX Runtime, AVX-512).
        channels: of the conv stem and the three stages; with a patch stem, of the stages only.
        blocks: residual blocks in each stage.
        head: "simcc", "regression" or "heatmap".
        hidden: width of the head.
        relations: layers of a SimCC head that exchange information between points.
        coordinate_bins: of each coordinate's distribution.
        margin: reach of the distributions beyond the crop's edges, in fractions of the crop.
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
        if self.head not in get_args(HeadName):
            allowed = f"one of {', '.join(get_args(HeadName))}"
            raise ConfigError("StudentConfig.head", self.head, allowed)
        if self.relations < 0 or (self.relations and self.head != "simcc"):
            raise ConfigError(
                "StudentConfig.relations", self.relations, "0 or more, with head 'simcc' only"
            )
