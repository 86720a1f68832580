"""The scene in front of the camera: expression, head pose, camera and light."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize

_ANGLES = ("gaze_yaw_deg", "gaze_pitch_deg")


@dataclass(frozen=True)
class Expression:
    """The expression of a face. "Right" is the subject's own. All zero is neutral, eyes open.

    Weights lie in [0, 1], but for the brows and `smile`, which go from -1 (lowered; corners
    down) to 1. Gaze is relative to the head: yaw above 0 looks to the subject's left (right in
    the image), pitch above 0 looks up; at most 45 degrees each.

    Raises:
        ConfigError: a value outside its range.
    """

    jaw_open: float = 0.0
    smile: float = 0.0
    pucker: float = 0.0
    lips_apart: float = 0.0  # lips part over closed teeth
    brow_right: float = 0.0
    brow_left: float = 0.0
    frown: float = 0.0  # inner brows together and down
    blink_right: float = 0.0
    blink_left: float = 0.0
    gaze_yaw_deg: float = 0.0
    gaze_pitch_deg: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = 0.0, 1.0
            if field.name in _ANGLES:
                low, high = -45.0, 45.0
            elif field.name in ("smile", "brow_right", "brow_left"):
                low = -1.0
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise ConfigError(f"Expression.{field.name}", value, f"{low:g} to {high:g}")

    @property
    def gaze(self) -> NDArray[np.float64]:
        """(3,) unit vector in head coordinates."""
        yaw, pitch = np.radians([self.gaze_yaw_deg, self.gaze_pitch_deg])
        return np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])


@dataclass(frozen=True)
class Pose:
    """The pose of the head. The default faces the camera, on its optical axis.

    Angles in degrees about the middle of the head, applied roll · pitch · yaw: yaw above 0 turns
    the face to the subject's left (the nose moves right in the image), pitch above 0 looks up,
    roll above 0 turns clockwise in the image. Position of the point between the eyes' plane and
    the ears (the origin of head coordinates) in mm: x right, y down in the image, and `distance`
    along the optical axis.

    Raises:
        ConfigError: a value that is not finite, or a distance under 150 mm.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    x_mm: float = 0.0
    y_mm: float = 0.0
    distance_mm: float = 650.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not math.isfinite(getattr(self, field.name)):
                raise ConfigError(
                    f"Pose.{field.name}", getattr(self, field.name), "a finite number"
                )
        if self.distance_mm < 150:
            raise ConfigError("Pose.distance_mm", self.distance_mm, "150 mm or more")

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3), head coordinates (x to the subject's left, y up, z forward) → camera
        coordinates (x right, y down, z away from the camera)."""
        return _rotation(self.yaw_deg, self.pitch_deg, self.roll_deg)

    @property
    def translation(self) -> NDArray[np.float64]:
        """(3,) mm, camera coordinates of the origin of the head."""
        return np.array([self.x_mm, self.y_mm, self.distance_mm])

    def to_camera(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (..., 3) in head coordinates → camera coordinates, mm."""
        result: NDArray[np.float64] = points @ self.rotation.T + self.translation
        return result


def _rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    turn = np.array(
        [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]],
    )
    nod = np.array(
        [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    )
    tilt = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    head_to_camera = np.diag([1.0, -1.0, -1.0])
    result: NDArray[np.float64] = head_to_camera @ tilt @ nod @ turn
    return result


@dataclass(frozen=True)
class PinholeCamera:
    """A camera without distortion; the principal point is the middle of the image.

    Raises:
        ConfigError: a focal length that is not above 0.
    """

    size: SensorSize = SensorSize(346, 260)  # noqa: RUF009 - frozen
    focal_px: float = 480.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focal_px) and self.focal_px > 0):
            raise ConfigError("PinholeCamera.focal_px", self.focal_px, "above 0")

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (..., 3) in camera coordinates, mm → pixels (..., 2), centres at integers."""
        middle = (np.array([self.size.width, self.size.height]) - 1) / 2
        result: NDArray[np.float64] = self.focal_px * points[..., :2] / points[..., 2:] + middle
        return result


Background = Literal["plain", "gradient", "clutter"]
BACKGROUNDS: tuple[Background, ...] = ("plain", "gradient", "clutter")


@dataclass(frozen=True)
class Light:
    """A lamp at infinity, ambient light, and the background.

    Directions are the camera's: azimuth above 0 comes from the right of the image, elevation
    above 0 from above. A white surface facing the lamp reflects `key + ambient`; the image is
    clipped to [0, 1].

    Raises:
        ConfigError: a value outside its range.
    """

    azimuth_deg: float = -30.0
    elevation_deg: float = 35.0
    key: float = 0.9
    ambient: float = 0.35
    background: Background = "plain"
    background_level: float = 0.25
    background_seed: int = 0

    def __post_init__(self) -> None:
        for name, high in (("key", 10.0), ("ambient", 10.0), ("background_level", 1.0)):
            if not 0 <= getattr(self, name) <= high:
                raise ConfigError(f"Light.{name}", getattr(self, name), f"0 to {high:g}")
        for name, bound in (("azimuth_deg", 180), ("elevation_deg", 90)):
            if not -bound <= getattr(self, name) <= bound:
                raise ConfigError(f"Light.{name}", getattr(self, name), f"-{bound} to {bound}")
        if self.background not in BACKGROUNDS:
            raise ConfigError("Light.background", self.background, ", ".join(BACKGROUNDS))

    @property
    def direction(self) -> NDArray[np.float64]:
        """(3,) unit vector towards the lamp, camera coordinates."""
        azimuth, elevation = np.radians([self.azimuth_deg, self.elevation_deg])
        return np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                -np.sin(elevation),
                -np.cos(azimuth) * np.cos(elevation),
            ]
        )

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Light:
        """Draw a lamp at the front, the sides or above, and any background."""
        ambient = float(rng.uniform(0.2, 0.7))
        return cls(
            azimuth_deg=float(np.clip(40 * rng.standard_normal(), -110, 110)),
            elevation_deg=float(np.clip(30 + 20 * rng.standard_normal(), -20, 80)),
            key=float(rng.uniform(0.3, 1.1)),
            ambient=ambient,
            background=BACKGROUNDS[int(rng.integers(3))],
            background_level=float(rng.uniform(0.03, 0.7)),
            background_seed=int(rng.integers(2**31)),
        )
