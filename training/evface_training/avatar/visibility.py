"""Which landmarks a camera sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.landmarks import CONTOUR, LEFT_PUPIL, RIGHT_PUPIL
from evface_training.avatar.landmarks import sample_grid
from evface_training.avatar.mesh import grid_normals
from evface_training.avatar.model import AvatarModel
from evface_training.avatar.scene import Expression, Pose

Floats = NDArray[np.floating]

#: How far (mm) a surface may lie before a point and not hide it: hair roots, lips, lashes.
_TOLERANCE_MM = 5.0
#: The same on the contour, where a pixel further in is many millimetres nearer.
_CONTOUR_TOLERANCE_MM = 12.0
#: Points on an outline are seen edge on: their normal may look this far away (cosine).
_EDGE_ON = -0.3


def visible_points(
    model: AvatarModel,
    expression: Expression,
    pose: Pose,
    cells: Floats,
    in_camera: Floats,
    landmarks: Floats,
    depth: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """(98,): inside the image, on skin that faces the camera, and with nothing before it.

    A closed eye hides its pupil.
    """
    height, width = depth.shape
    column, row = np.round(landmarks).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    farthest = np.zeros(len(landmarks))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = depth[np.clip(row + down, 0, height - 1), np.clip(column + right, 0, width - 1)]
            farthest = np.maximum(farthest, near)
    tolerance = np.full(len(landmarks), _TOLERANCE_MM)
    tolerance[CONTOUR] = _CONTOUR_TOLERANCE_MM
    uncovered = in_camera[:, 2] <= farthest + tolerance
    normals = grid_normals(model.bare_skin(expression))
    normal = sample_grid(normals, cells) @ pose.rotation.T
    sight = -in_camera / np.linalg.norm(in_camera, axis=1, keepdims=True)
    facing = np.einsum("ij,ij->i", normal, sight) > _EDGE_ON
    facing[[RIGHT_PUPIL, LEFT_PUPIL]] = (
        expression.blink_right < 0.6,
        expression.blink_left < 0.6,
    )
    result: NDArray[np.bool_] = inside & uncovered & facing
    return result
