"""From which training clips are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from evface_edge.errors import ConfigError
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.motion import MotionPrior


@dataclass(frozen=True)
class ClipPrior:
    """From which training clips are drawn.

    Attributes:
        duration_us: shortest and longest window; speed and displacement of the motion decide.
        crop_scale: side of the crop ÷ longer side of the face box, (low, high).
        shift: standard deviation of the crop's centre, in sides of the face box.
        roll_deg: standard deviation of an added rotation.
        negative_fraction: of clips that show no face, or not where the crop is.
        occlusion_fraction: of faces that something hides a part of, and moves with.
        passing_fraction: of clips in which a hand or an object passes before the face.
        blink_fraction: of faces that blink about the end of the window, or have their eyes closed.
        steps_per_bin: simulation steps between two time bins.
    """

    motion: MotionPrior = field(default_factory=MotionPrior)
    camera: CameraPrior = field(default_factory=CameraPrior)
    duration_us: tuple[float, float] = (3_000, 200_000)
    crop_scale: tuple[float, float] = (1.05, 1.8)
    shift: float = 0.06
    roll_deg: float = 14.0
    negative_fraction: float = 0.12
    occlusion_fraction: float = 0.2
    passing_fraction: float = 0.12
    blink_fraction: float = 0.3
    bins: int = 5
    steps_per_bin: int = 2

    def __post_init__(self) -> None:
        for name in ("duration_us", "crop_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"ClipPrior.{name}", (low, high), "0 < low <= high")
        for name in (
            "negative_fraction",
            "occlusion_fraction",
            "passing_fraction",
            "blink_fraction",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"ClipPrior.{name}", getattr(self, name), "0 to 1")
        if self.bins < 2 or self.steps_per_bin < 1:
            raise ConfigError("ClipPrior.bins", self.bins, "2 or more, steps_per_bin 1 or more")
