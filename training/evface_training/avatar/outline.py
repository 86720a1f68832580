"""The contour as in 2-D annotations: along the visible edge of the face, not fixed on the skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.landmarks import CONTOUR
from evface_training.avatar.landmarks import sample_grid
from evface_training.avatar.mesh import NeutralAvatar
from evface_training.avatar.scene import Pose

Floats = NDArray[np.floating]

_STEPS = 28
#: The contour stays at least this far from the middle of the face.
_NEAREST_RAD = np.radians(14.0)


def outline_cells(neutral: NeutralAvatar, cells: Floats, skin: Floats, pose: Pose) -> Floats:
    """Return cells (33, 2) of the contour, with each point moved along its row to the visible edge.

    On the side that turns away, the jaw in an image is where the skin curves out of sight; 2-D
    annotations (300-W, WFLW) follow that edge. This is the "contour marching" of Zhu et al.,
    "High-Fidelity Pose and Expression Normalization", CVPR 2015.

    Args:
        cells: (98, 2) of the landmarks fixed on the skin.
        skin: (rows, columns, 3), the deformed skin in head coordinates.
    """
    row, column = cells[CONTOUR].T
    middle = np.interp(0.0, neutral.angles, np.arange(len(neutral.angles)))
    side = np.sign(column - middle)
    front = np.interp(side * _NEAREST_RAD, neutral.angles, np.arange(len(neutral.angles)))
    nearer = np.where(np.abs(front - middle) < np.abs(column - middle), front, column)
    fraction = np.linspace(0, 1, _STEPS)
    paths = column[:, None] + fraction * (nearer - column)[:, None]
    places = np.stack([np.broadcast_to(row[:, None], paths.shape), paths], axis=-1)
    in_camera = pose.to_camera(sample_grid(skin, places.reshape(-1, 2))).reshape(33, _STEPS, 3)
    image = in_camera[..., :2] / in_camera[..., 2:]
    across = pose.rotation[:2, 0] / max(float(np.linalg.norm(pose.rotation[:2, 0])), 1e-9)
    reach = side[:, None] * (image @ across)
    best = _peak(reach)
    at = column + best / (_STEPS - 1) * (nearer - column)
    return np.stack([row, at], axis=-1)


def _peak(values: Floats) -> Floats:
    """Return the position of the maximum of each line (N, S), interpolated by a parabola."""
    best = values.argmax(axis=1)
    inner = np.clip(best, 1, values.shape[1] - 2)
    lines = np.arange(len(values))
    left, peak, right = (values[lines, inner + step] for step in (-1, 0, 1))
    bend = left - 2 * peak + right
    shift = np.where(bend < -1e-12, 0.5 * (left - right) / np.minimum(bend, -1e-12), 0.0)
    position: Floats = np.where(
        best == inner, inner + np.clip(shift, -0.5, 0.5), best.astype(np.float64)
    )
    return position
