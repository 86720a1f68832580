"""How the head is turned and where it is: a deformable face shape fitted to the 98 landmarks.

The shape is a mean and its principal modes of identity and expression, in millimetres, with the
axes of the head: x to the subject's left, y up, z forward, the origin behind the eyes
(`tools/make_face_shape.py` makes it). The fit is the most probable pose and shape, given the
landmarks and their σ: Gauss-Newton on the distances in the image, with a unit normal prior on
the modes (Blanz and Vetter, "A Morphable Model for the Synthesis of 3D Faces", 1999, section 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.landmarks import CONTOUR, NUM_LANDMARKS

Floats = NDArray[np.float64]

STEPS = 4
#: Without intrinsics the head is taken to be this far away, because perspective shows: a parallel
#: projection would turn heads at arm's length by 4° too much (mean over yaws up to 35°).
_USUAL_DISTANCE_MM = 650.0
#: What no shape knows: landmarks are drawn by people, and gaze moves the pupils.
_SPREAD_MM = 1.0
_PUPIL_SPREAD_MM = 3.0
#: The outline of an image is not a fixed place on the skin.
_CONTOUR_SPREAD_MM = 10.0


@dataclass(frozen=True)
class Intrinsics:
    """A camera without distortion: focal length and principal point (cx, cy), in pixels.

    Raises:
        ConfigError: a focal length that is not above 0, or a number that is not finite.
    """

    focal_px: float
    cx_px: float
    cy_px: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focal_px) and self.focal_px > 0):
            raise ConfigError("Intrinsics.focal_px", self.focal_px, "above 0")
        for name in ("cx_px", "cy_px"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"Intrinsics.{name}", getattr(self, name), "finite pixels")


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Attitude, place and 3-D shape of one head.

    Attributes:
        yaw_deg: above 0 when the face turns to the subject's left (the nose moves right in the
            image). pitch_deg: above 0 looking up. roll_deg: above 0 clockwise in the image.
        rotation: (3, 3), head coordinates → camera coordinates (x right, y down, z away).
        center_px: (2,) where the origin of the head is seen, x then y.
        scale_px_per_mm: of a length in the image plane at the origin of the head.
        translation_mm: (3,) of the origin of the head in camera coordinates; None without
            intrinsics, because size and distance cannot then be told apart.
        points_mm: (98, 3) the landmarks in head coordinates.
        residual_px: mean distance of the fitted landmarks from the given ones.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    rotation: Floats
    center_px: Floats
    scale_px_per_mm: float
    translation_mm: Floats | None
    points_mm: Floats
    residual_px: float


def fit_head_pose(
    landmarks: NDArray[np.floating],
    sigma: NDArray[np.floating] | float = 1.0,
    *,
    intrinsics: Intrinsics | None = None,
) -> HeadPose:
    """The pose of the head whose landmarks these are.

    Args:
        landmarks: (98, 2) in the order of WFLW, pixels; sigma: (98,) or one number, pixels.
        intrinsics: of the camera; without them the head is taken to be at arm's length and in
            the middle of the image, and there is no distance.

    Raises:
        ConfigError: arrays of another shape, or not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (NUM_LANDMARKS, 2) or not np.isfinite(points).all():
        raise ConfigError("landmarks", points.shape, f"({NUM_LANDMARKS}, 2) finite pixels")
    shape = _face_shape()
    rotation, scale, middle = _parallel_start(points, shape)
    spread = np.hypot(np.broadcast_to(sigma, NUM_LANDMARKS), scale * shape.spread_mm)
    weight = 1.0 / np.maximum(spread, 1e-6)
    focal = scale * _USUAL_DISTANCE_MM if intrinsics is None else intrinsics.focal_px
    principal = middle if intrinsics is None else np.array([intrinsics.cx_px, intrinsics.cy_px])
    depth = focal / scale
    place = np.array([*((middle - principal) / scale), depth])
    amounts = np.zeros(len(shape.modes_mm))
    for _ in range(STEPS):
        rotation, place, amounts = _improve(
            points - principal, weight, shape, focal, rotation, place, amounts
        )
    solid = shape.points(amounts)
    seen = _project(solid @ rotation.T + place, focal) + principal
    yaw, pitch, roll = _angles(rotation)
    return HeadPose(
        yaw,
        pitch,
        roll,
        rotation,
        _project(place[None], focal)[0] + principal,
        float(focal / place[2]),
        None if intrinsics is None else place,
        solid,
        float(np.linalg.norm(seen - points, axis=1).mean()),
    )


@dataclass(frozen=True, eq=False)
class _FaceShape:
    mean_mm: Floats  # (98, 3)
    modes_mm: Floats  # (K, 98, 3), one standard deviation each
    spread_mm: Floats  # (98,) what the modes leave

    def points(self, amounts: Floats) -> Floats:
        solid: Floats = self.mean_mm + np.tensordot(amounts, self.modes_mm, axes=1)
        return solid


@cache
def _face_shape() -> _FaceShape:
    with (files("evface_edge") / "data" / "face_shape.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        mean, modes, left = (
            stored[name].astype(np.float64) for name in ("mean_mm", "modes_mm", "spread_mm")
        )
    spread = np.hypot(left, _SPREAD_MM)
    spread[CONTOUR] = np.maximum(spread[CONTOUR], _CONTOUR_SPREAD_MM)
    spread[96:] = np.maximum(spread[96:], _PUPIL_SPREAD_MM)
    return _FaceShape(mean, modes, spread)


def _parallel_start(points: Floats, shape: _FaceShape) -> tuple[Floats, float, Floats]:
    """Rotation, scale (px/mm) and image of the origin under parallel projection of the mean shape.

    The affine camera of least squares, made a scaled rotation (DeMenthon and Davis, "Model-Based
    Object Pose in 25 Lines of Code", IJCV 1995, first step).
    """
    root = 1 / shape.spread_mm[:, None]
    design = np.concatenate([shape.mean_mm, np.ones((NUM_LANDMARKS, 1))], axis=1)
    affine = np.linalg.lstsq(design * root, points * root, rcond=None)[0]
    u, lengths, vt = np.linalg.svd(affine[:3].T, full_matrices=False)
    rows = u @ vt
    rotation = np.stack([rows[0], rows[1], np.cross(rows[0], rows[1])])
    return rotation, float(max(lengths.mean(), 1e-6)), affine[3]


def _improve(
    points: Floats,
    weight: Floats,
    shape: _FaceShape,
    focal: float,
    rotation: Floats,
    place: Floats,
    amounts: Floats,
) -> tuple[Floats, Floats, Floats]:
    """One step of Gauss-Newton over a turn (3), the place (3) and the amounts of the modes (K)."""
    solid = shape.points(amounts) @ rotation.T
    camera = solid + place
    inverse_z = focal / camera[:, 2]
    moved = np.empty((NUM_LANDMARKS, 3, 6 + len(amounts)))  # of each point in camera coordinates
    x, y, z = solid.T
    zero = np.zeros_like(x)
    moved[:, :, 0] = np.stack([zero, -z, y], 1)
    moved[:, :, 1] = np.stack([z, zero, -x], 1)
    moved[:, :, 2] = np.stack([-y, x, zero], 1)
    moved[:, :, 3:6] = np.eye(3) * np.array([1, 1, place[2]])  # the distance by its logarithm
    moved[:, :, 6:] = (shape.modes_mm @ rotation.T).transpose(1, 2, 0)
    across = camera[:, :2, None] / camera[:, 2, None, None]
    jacobian = inverse_z[:, None, None] * (moved[:, :2] - across * moved[:, 2:3])
    rest = points - _project(camera, focal)
    a = (jacobian * weight[:, None, None]).reshape(2 * NUM_LANDMARKS, -1)
    b = (rest * weight[:, None]).ravel()
    normal, right = a.T @ a, a.T @ b
    prior = np.concatenate([np.full(6, 1e-9), np.ones(len(amounts))])
    normal[np.diag_indices_from(normal)] += prior
    right[6:] -= amounts
    step = np.linalg.solve(normal, right)
    place = place + np.array([step[3], step[4], place[2] * step[5]])
    place[2] = max(place[2], 1.0)
    return _turn(step[:3]) @ rotation, place, amounts + step[6:]


def _project(camera: Floats, focal: float) -> Floats:
    seen: Floats = focal * camera[:, :2] / camera[:, 2:]
    return seen


def _turn(vector: NDArray[np.floating]) -> Floats:
    """Rotation about `vector` by its length, rad (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Floats = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn


def _angles(rotation: Floats) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a rotation that is roll · pitch · yaw."""
    m = np.diag([1.0, -1.0, -1.0]) @ rotation
    pitch = math.asin(min(max(-float(m[2, 1]), -1.0), 1.0))
    yaw = math.atan2(-float(m[2, 0]), float(m[2, 2]))
    roll = math.atan2(float(m[0, 1]), float(m[1, 1]))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
