"""Head pose: a deformable 3-D face shape fitted to the 98 landmarks.

The shape is a mean and its principal modes of identity and expression, in millimetres, in head
coordinates: x to the subject's left, y up, z forward, the origin behind the eyes
(`tools/make_face_shape.py` makes it). The fit is the most probable pose and shape for the landmarks
and their σ: Gauss-Newton on the distances in the image, with a unit normal prior on the modes
(Blanz and Vetter, "A Morphable Model for the Synthesis of 3D Faces", 1999, section 4).
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

__all__ = ["HeadPose", "Intrinsics", "fit_head_pose", "fit_head_poses"]

Floats = NDArray[np.float64]

STEPS = 4
#: Assumed distance of the head without intrinsics. A parallel projection would turn heads at arm's
#: length by 4° too much (mean over yaws up to 35°).
_USUAL_DISTANCE_MM = 650.0
#: Spread of landmarks that the shape does not explain: labels vary, and gaze moves the pupils.
_SPREAD_MM = 1.0
_PUPIL_SPREAD_MM = 3.0
#: The contour of a face in an image is not a fixed line on the skin.
_CONTOUR_SPREAD_MM = 10.0
#: Heads that are fitted at once: more do not fit into the processor's caches.
_BATCH = 32


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
    """Rotation, position and 3-D shape of one head.

    Attributes:
        yaw_deg: positive if the face turns to the subject's left (the nose moves right in the
            image).
        pitch_deg: positive looking up.
        roll_deg: positive clockwise in the image.
        rotation: (3, 3), head coordinates → camera coordinates (x right, y down, z away).
        center_px: (2,) image of the origin of the head, x then y.
        scale_px_per_mm: of a length parallel to the image at the origin of the head.
        translation_mm: (3,) origin of the head in camera coordinates; None without intrinsics,
            since size and distance are then ambiguous.
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
    """The pose of the head with these landmarks.

    Args:
        landmarks: (98, 2) in the order of WFLW, pixels.
        sigma: (98,) or one number, pixels.
        intrinsics: of the camera; without them the head is taken to be at arm's length and in
            the middle of the image, and there is no distance.

    Raises:
        ConfigError: landmarks of another shape, or not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (NUM_LANDMARKS, 2):
        raise ConfigError("landmarks", points.shape, f"({NUM_LANDMARKS}, 2) finite pixels")
    return fit_head_poses(points[None], np.asarray(sigma)[None], intrinsics=intrinsics)[0]


def fit_head_poses(
    landmarks: NDArray[np.floating],
    sigma: NDArray[np.floating] | float = 1.0,
    *,
    intrinsics: Intrinsics | None = None,
) -> list[HeadPose]:
    """The poses of N heads, or of one head at N instants; several times faster than one by one.

    Args:
        landmarks: (N, 98, 2), pixels.
        sigma: (N, 98), (N, 1) or one number, pixels.
        intrinsics: as `fit_head_pose` takes them.

    Raises:
        ConfigError: landmarks of another shape, or not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape[1:] != (NUM_LANDMARKS, 2) or not np.isfinite(points).all():
        raise ConfigError("landmarks", points.shape, f"(N, {NUM_LANDMARKS}, 2) finite pixels")
    spread = np.broadcast_to(np.asarray(sigma, np.float64), points.shape[:2])
    return [
        pose
        for first in range(0, len(points), _BATCH)
        for pose in _fit(points[first : first + _BATCH], spread[first : first + _BATCH], intrinsics)
    ]


def _fit(points: Floats, sigma: Floats, intrinsics: Intrinsics | None) -> list[HeadPose]:
    """Points (N, 98, 2) and σ (N, 98) → N poses."""
    shape = _face_shape()
    rotation, scale, middle = _parallel_start(points, shape)
    spread = np.hypot(sigma, scale[:, None] * shape.spread_mm)
    weight = 1.0 / np.maximum(spread, 1e-6)
    if intrinsics is None:
        focal, principal = scale * _USUAL_DISTANCE_MM, middle
    else:
        focal = np.full(len(points), intrinsics.focal_px)
        principal = np.broadcast_to([intrinsics.cx_px, intrinsics.cy_px], middle.shape)
    position = np.concatenate(
        [(middle - principal) / scale[:, None], (focal / scale)[:, None]], axis=1
    )
    amounts = np.zeros((len(points), len(shape.modes_mm)))
    for _ in range(STEPS):
        rotation, position, amounts = _improve(
            points - principal[:, None], weight, shape, focal, rotation, position, amounts
        )
    head = shape.points(amounts)
    camera = head @ rotation.transpose(0, 2, 1) + position[:, None]
    projected = _project(camera, focal) + principal[:, None]
    center = _project(position[:, None], focal)[:, 0] + principal
    residual = np.linalg.norm(projected - points, axis=2).mean(axis=1)
    return [
        HeadPose(
            *_angles(rotation[k]),
            rotation[k],
            center[k],
            float(focal[k] / position[k, 2]),
            None if intrinsics is None else position[k],
            head[k],
            float(residual[k]),
        )
        for k in range(len(points))
    ]


@dataclass(frozen=True, eq=False)
class _FaceShape:
    mean_mm: Floats  # (98, 3)
    modes_mm: Floats  # (K, 98, 3), one standard deviation each
    spread_mm: Floats  # (98,) standard deviation that the modes do not explain

    def points(self, amounts: Floats) -> Floats:
        """Amounts of the modes (N, K) → points (N, 98, 3), mm."""
        points: Floats = self.mean_mm + np.tensordot(amounts, self.modes_mm, axes=1)
        return points


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


def _parallel_start(points: Floats, shape: _FaceShape) -> tuple[Floats, Floats, Floats]:
    """Rotations, scales (px/mm) and images of the origin, under parallel projection of the mean.

    The affine camera of least squares, made a scaled rotation (DeMenthon and Davis, "Model-Based
    Object Pose in 25 Lines of Code", IJCV 1995, first step).

    Returns:
        (N, 3, 3), (N,) and (N, 2).
    """
    root = 1 / shape.spread_mm[:, None]
    design = np.concatenate([shape.mean_mm, np.ones((NUM_LANDMARKS, 1))], axis=1)
    columns = (points * root).transpose(1, 0, 2).reshape(NUM_LANDMARKS, -1)
    affine = np.linalg.lstsq(design * root, columns, rcond=None)[0]
    affine = affine.reshape(4, len(points), 2).transpose(1, 2, 0)  # (N, 2, 4)
    u, lengths, vt = np.linalg.svd(affine[..., :3], full_matrices=False)
    rows = u @ vt
    rotation: Floats = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    scale = np.maximum(lengths.mean(axis=1, dtype=np.float64), 1e-6)
    return rotation, scale, np.asarray(affine[..., 3], np.float64)


def _improve(
    points: Floats,
    weight: Floats,
    shape: _FaceShape,
    focal: Floats,
    rotation: Floats,
    position: Floats,
    amounts: Floats,
) -> tuple[Floats, Floats, Floats]:
    """One Gauss-Newton step over a rotation (3), the position (3) and the mode amounts (K)."""
    count, modes = amounts.shape
    turned = shape.points(amounts) @ rotation.transpose(0, 2, 1)
    camera = turned + position[:, None]
    # q (N, 98, 2, 3): weighted derivatives of the projection by the camera coordinates.
    per_depth = focal[:, None] / camera[..., 2] * weight
    q = np.zeros((count, NUM_LANDMARKS, 2, 3))
    q[..., 0, 0] = q[..., 1, 1] = per_depth
    q[..., 2] = -per_depth[..., None] * camera[..., :2] / camera[..., 2:]
    by_distance = np.ones((count, 1, 1, 3))
    by_distance[..., 2] = position[:, None, None, 2]  # the distance is fitted by its logarithm
    # For each landmark a product (N · 2, 3) · (3, K), which is faster than one for each head.
    in_head = q.reshape(count, -1, 3) @ rotation
    in_head = in_head.reshape(q.shape).transpose(1, 0, 2, 3).reshape(NUM_LANDMARKS, -1, 3)
    by_modes = in_head @ shape.modes_mm.transpose(1, 2, 0)
    by_modes = by_modes.reshape(NUM_LANDMARKS, count, 2, modes).transpose(1, 0, 2, 3)
    a = np.concatenate([np.cross(turned[:, :, None], q), q * by_distance, by_modes], axis=-1)
    a = a.reshape(count, 2 * NUM_LANDMARKS, -1)
    b = ((points - _project(camera, focal)) * weight[..., None]).reshape(count, -1, 1)
    normal = a.transpose(0, 2, 1) @ a
    right = (a.transpose(0, 2, 1) @ b)[..., 0]
    prior = np.concatenate([np.full(6, 1e-9), np.ones(modes)])
    normal += np.diag(prior)
    right[:, 6:] -= amounts
    step = np.linalg.solve(normal, right[..., None])[..., 0]
    distance = position[:, 2]
    position = position + step[:, 3:6] * np.stack(
        [np.ones(count), np.ones(count), distance], axis=1
    )
    position[:, 2] = np.maximum(position[:, 2], 1.0)
    return _rotations(step[:, :3]) @ rotation, position, amounts + step[:, 6:]


def _project(camera: Floats, focal: Floats) -> Floats:
    """Camera coordinates (N, P, 3) → pixels from the principal point (N, P, 2)."""
    pixels: Floats = focal[:, None, None] * camera[..., :2] / camera[..., 2:]
    return pixels


def _rotations(vectors: NDArray[np.floating]) -> Floats:
    """Rotations (N, 3, 3) about vectors (N, 3) by their lengths, rad (Rodrigues' formula)."""
    angle = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.maximum(angle, 1e-12)[:, None]).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    sine, versine = np.sin(angle)[:, None, None], (1 - np.cos(angle))[:, None, None]
    rotations: Floats = np.eye(3) + sine * cross + versine * cross @ cross
    return rotations


def _angles(rotation: Floats) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a rotation that is roll · pitch · yaw."""
    m = np.diag([1.0, -1.0, -1.0]) @ rotation
    pitch = math.asin(min(max(-float(m[2, 1]), -1.0), 1.0))
    yaw = math.atan2(-float(m[2, 0]), float(m[2, 2]))
    roll = math.atan2(float(m[0, 1]), float(m[1, 1]))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
