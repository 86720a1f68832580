"""One face at one instant."""

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
    """How the landmarks of a face came about."""

    FOUND = "found"
    """The face detector has just pointed at this face."""

    FOLLOWING = "following"
    """Predicted from new events, in the box of the landmarks before (or in the box given)."""

    HELD = "held"
    """Too few new events: the landmarks of before, with σ growing."""


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """The landmarks of one face at one instant. Immutable; equal only to itself.

    Attributes:
        t_us: time of the newest event that was used, µs.
        landmarks: (98, 2) float32, x then y in sensor pixels, in the order of WFLW.
        sigma: (98,) float32, standard deviation of each point along x and along y, pixels.
        presence: probability that this is a face, 0 to 1.
        box: the tight face box, sensor pixels.
        state: how the landmarks came about.
        face_id: stays with a face for as long as it is followed.

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
            # A copy: what the caller does with its array afterwards is not seen here.
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
        """Right and left eye: about 0.3 open, below 0.1 closed (`results.openness`)."""
        return eye_aspect_ratio(self.landmarks)

    @property
    def mouth_aspect_ratio(self) -> float:
        """Gap of the inner lips ÷ width of the mouth: 0 closed, about 1 wide open."""
        return mouth_aspect_ratio(self.landmarks)

    def head_pose(self, intrinsics: Intrinsics | None = None) -> HeadPose:
        """How the head is turned, where it is, and its landmarks in 3-D.

        With the camera's `intrinsics` the angles are relative to the camera and there is a place in
        mm; without, the angles are relative to the line of sight and size stands for distance.
        """
        return fit_head_pose(self.landmarks, self.sigma, intrinsics=intrinsics)
