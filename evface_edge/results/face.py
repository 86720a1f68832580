"""Landmarks of one face at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.geometry import Box
from evface_edge.head_pose import HeadPose, Intrinsics, fit_head_pose
from evface_edge.landmarks import NUM_LANDMARKS, to_5, to_68
from evface_edge.results.aspect_ratios import eye_aspect_ratio, mouth_aspect_ratio


class FaceState(Enum):
    """Where the landmarks of a face come from."""

    FOUND = "found"
    """New events, in a box from the face detector."""

    FOLLOWING = "following"
    """New events, in the box of the previous landmarks or in the given box."""

    HELD = "held"
    """Too few new events: the previous landmarks, with a growing σ."""


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """The landmarks of one face at one instant. Immutable; equal only to itself.

    Attributes:
        t_us: time of the newest event that was used, µs; held landmarks keep theirs.
        landmarks: (98, 2) float32, x then y in sensor pixels, in the order of WFLW.
        sigma: (98,) float32, standard deviation of each point along x and along y, pixels.
        presence: probability that this is a face, 0 to 1.
        box: the tight face box, sensor pixels.
        state: where the landmarks come from.
        face_id: constant while a face is followed.

    Raises:
        ConfigError: an array of another shape or not finite, a negative σ, a presence outside
            0 to 1.
    """

    t_us: int
    landmarks: NDArray[np.float32]
    sigma: NDArray[np.float32]
    presence: float
    box: Box
    state: FaceState
    face_id: int = 0

    def __post_init__(self) -> None:
        for field, shape in (("landmarks", (NUM_LANDMARKS, 2)), ("sigma", (NUM_LANDMARKS,))):
            # A copy, so that later changes to the caller's array have no effect.
            values = np.array(getattr(self, field), np.float32)
            if values.shape != shape:
                raise ConfigError(f"FaceLandmarks.{field}", values.shape, f"the shape {shape}")
            if not np.isfinite(values).all():
                raise ConfigError(f"FaceLandmarks.{field}", "NaN or infinity", "finite pixels")
            values.setflags(write=False)
            object.__setattr__(self, field, values)
        if self.sigma.min() < 0:
            raise ConfigError("FaceLandmarks.sigma", float(self.sigma.min()), "0 pixels or more")
        if not 0 <= self.presence <= 1:
            raise ConfigError("FaceLandmarks.presence", self.presence, "0 to 1")

    @property
    def points68(self) -> NDArray[np.floating]:
        """(68, 2) the 68 points of iBUG 300-W, sensor pixels."""
        return to_68(self.landmarks)

    @property
    def points5(self) -> NDArray[np.floating]:
        """(5, 2) right pupil, left pupil, nose tip, right and left mouth corner, sensor pixels."""
        return to_5(self.landmarks)

    @property
    def eye_aspect_ratio(self) -> tuple[float, float]:
        """EAR of the right and left eye: about 0.3 open, below 0.1 closed."""
        return eye_aspect_ratio(self.landmarks)

    @property
    def mouth_aspect_ratio(self) -> float:
        """MAR: 0 for a closed mouth, about 1 for one that is wide open."""
        return mouth_aspect_ratio(self.landmarks)

    def head_pose(self, intrinsics: Intrinsics | None = None) -> HeadPose:
        """Attitude, position and 3-D landmarks of the head; takes about 1 ms.

        Args:
            intrinsics: of the camera. With them, angles are relative to the optical axis and there
                is a position in mm; without, angles are relative to the line of sight and the
                distance is unknown.
        """
        return fit_head_pose(self.landmarks, self.sigma, intrinsics=intrinsics)
