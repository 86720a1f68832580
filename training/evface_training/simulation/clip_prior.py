"""The distribution of training clips."""

from __future__ import annotations

from dataclasses import dataclass, field

from evface_edge.errors import ConfigError
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.motion import MotionPrior
from evface_training.simulation.ranges import check_fractions, check_ranges


@dataclass(frozen=True)
class ClipPrior:
    """The distribution of training clips.

    Attributes:
        motion, camera: the distributions of motions and of event cameras.
        duration_us: shortest and longest window; the motion determines the length.
        crop_scale: side of the crop ÷ longer side of the face box, (low, high).
        shift: standard deviation of the crop's centre, in sides of the face box.
        roll_deg: standard deviation of an added rotation.
        negative_fraction: of clips without a face in the crop.
        occlusion_fraction: of faces with an occluder that moves with the face.
        passing_fraction: of clips in which a hand or an object passes in front of the face.
        blink_fraction: of faces that blink at the end of the window, or have their eyes closed.
        bins: of time, in the voxel grid.
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
        check_ranges(self, "duration_us", "crop_scale")
        check_fractions(self)
        if self.bins < 2 or self.steps_per_bin < 1:
            raise ConfigError("ClipPrior.bins", self.bins, "2 or more, steps_per_bin 1 or more")
