"""Size of a teacher, and how it fuses events with RGB."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evface_edge.errors import ConfigError
from evface_training.networks.hrnet import HRNetConfig

#: cmfa: queries first attend to frozen RGB tokens (the paper). efnet: channel attention fuses the
#: maps before patches are sampled (EICA). events, rgb: one modality, no fusion (SLPT).
Fusion = Literal["cmfa", "efnet", "events", "rgb"]
FUSIONS = ("cmfa", "efnet", "events", "rgb")


@dataclass(frozen=True)
class TeacherConfig:
    """Size and kind of a teacher.

    Attributes:
        fusion: "cmfa", "efnet", "events" or "rgb".
        event_channels: of the event representation.
        side: of the square inputs, in pixels; a multiple of 32.
        backbone: of either modality; its `in_channels` follow from the modality.
        crop_scale: side of the crop ÷ longer side of the landmarks' box, for the mean face that
            the first stage starts with. The paper's crops have 1.2, our clips 1.4 on average.
        coarse_cells: cells per side of the pooled map from which the first stage's points are
            predicted; 0: the first stage starts with the mean face, as in the paper.
        windows: half the side of the patches' window in each stage, in fractions of the crop.
        stage_weights: weight of each stage in the loss.
        grid: samples of a patch along either side.
        layers, heads, feed_forward, dropout: of the transformer; all stages share its weights.
        rgb_dropout: probability that a clip has no RGB in training, so that the network also works
            on events alone; 0 in the paper.
    """

    fusion: Fusion = "cmfa"
    event_channels: int = 10
    side: int = 256
    crop_scale: float = 1.4
    coarse_cells: int = 0
    backbone: HRNetConfig = field(default_factory=HRNetConfig)
    windows: tuple[float, ...] = (1 / 8, 1 / 16, 1 / 32)
    stage_weights: tuple[float, ...] = (0.2, 0.3, 0.5)
    grid: int = 7
    layers: int = 6
    heads: int = 8
    feed_forward: int = 1024
    dropout: float = 0.1
    rgb_dropout: float = 0.25

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise ConfigError("TeacherConfig.fusion", self.fusion, " or ".join(FUSIONS))
        if self.side < 32 or self.side % 32:
            raise ConfigError("TeacherConfig.side", self.side, "a multiple of 32, 32 or more")
        for name in ("event_channels", "layers", "heads", "feed_forward"):
            if getattr(self, name) < 1:
                raise ConfigError(f"TeacherConfig.{name}", getattr(self, name), "1 or more")
        if self.crop_scale < 1:
            raise ConfigError("TeacherConfig.crop_scale", self.crop_scale, "1 or more")
        if not 0 <= self.coarse_cells <= self.side // 4:
            raise ConfigError(
                "TeacherConfig.coarse_cells", self.coarse_cells, f"0 to {self.side // 4}"
            )
        if self.grid < 2:
            raise ConfigError("TeacherConfig.grid", self.grid, "2 or more")
        if self.backbone.out_channels % self.heads:
            raise ConfigError(
                "TeacherConfig.heads", self.heads, f"a divisor of {self.backbone.out_channels}"
            )
        if not self.windows or any(not 0 < window < 1 for window in self.windows):
            raise ConfigError("TeacherConfig.windows", self.windows, "fractions of the crop")
        if len(self.stage_weights) != len(self.windows) or any(w < 0 for w in self.stage_weights):
            raise ConfigError(
                "TeacherConfig.stage_weights", self.stage_weights, f"{len(self.windows)} weights"
            )
        for name in ("dropout", "rgb_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"TeacherConfig.{name}", getattr(self, name), "0 to below 1")

    @property
    def width(self) -> int:
        """Channels of maps and tokens."""
        return self.backbone.out_channels

    @property
    def uses_events(self) -> bool:
        return self.fusion != "rgb"

    @property
    def uses_rgb(self) -> bool:
        return self.fusion != "events"
