"""Write the surface on which stills are turned: the neutral average avatar.

    python tools/write_canonical_head.py

Writes training/evface_training/simulation/canonical_head.npz.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.model import AvatarModel
from evface_training.avatar.scene import Expression
from evface_training.simulation.relief import CANONICAL_FILE, HALF_HEIGHT_MM, HALF_WIDTH_MM

STEP_MM = 5.0
#: Beyond its silhouette the surface falls this steeply, down to a plane behind the ears.
FALL, FLOOR_MM = 1.5, -60.0


def canonical_head() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Landmarks (98, 3) and heights (rows from the top, columns from the subject's right), mm."""
    model = AvatarModel(AvatarIdentity())
    neutral = Expression()
    points = model.landmarks.points(
        neutral, model.bare_skin(neutral), model.landmarks.cells(neutral)
    )
    surface, normals = model.skin(neutral)
    front = (normals[..., 2] > 0.02) & ~model.neutral.inside[:, None]
    visible = surface[front]
    x = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1, STEP_MM)
    y = np.arange(HALF_HEIGHT_MM, -HALF_HEIGHT_MM - 1, -STEP_MM)
    places = np.stack(np.meshgrid(x, y), axis=-1)
    height = LinearNDInterpolator(visible[:, :2], visible[:, 2])(places)
    away, nearest = cKDTree(visible[:, :2]).query(places)
    fallen = np.maximum(visible[nearest, 2] - FALL * away, FLOOR_MM)
    # The convex hull of the points is a little larger than the head.
    height = np.where(np.isfinite(height) & (away < STEP_MM), height, fallen)
    height = gaussian_filter(height, 0.7)
    return points.astype(np.float32), height.astype(np.float32)


def main(path: Path) -> None:
    points, height = canonical_head()
    np.savez(path, points98=points, height=height)


if __name__ == "__main__":
    main(CANONICAL_FILE)
