"""Faces of any photo → the crops that all faces are kept as."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evface_training.data.faces import CROP_SIDE_PX


def crop_face(
    photo: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A frame (H, W) or (H, W, 3) and its 98 points → a 192² crop, 2.0 × the landmark box, border
    replicated."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float(2 * (high - low).max())
    left, top = (low + high) / 2 - side / 2
    pad = int(np.ceil(side))
    around = ((pad, pad), (pad, pad), (0, 0))
    padded = np.pad(photo, around[: photo.ndim], mode="edge")
    box = (left + 0.5 + pad, top + 0.5 + pad, left + 0.5 + pad + side, top + 0.5 + pad + side)
    image = Image.fromarray(padded).resize(
        (CROP_SIDE_PX, CROP_SIDE_PX), Image.Resampling.LANCZOS, box=box
    )
    moved = (points - (left, top)) * (CROP_SIDE_PX / side) - 0.5
    return np.asarray(image), moved.astype(np.float32)
