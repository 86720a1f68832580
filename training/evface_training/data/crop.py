"""The crop in which all faces are stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evface_training.data.faces import CROP_SIDE_PX


def crop_face(
    image: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Crop an image (H, W) or (H, W, 3) to twice its landmark box; the border is replicated.

    Args:
        points: (98, 2) pixels of the image.

    Returns:
        a crop of 192 × 192 pixels, and the points in it.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    side = float(2 * (high - low).max())
    left, top = (low + high) / 2 - side / 2
    pad = int(np.ceil(side))
    around = ((pad, pad), (pad, pad), (0, 0))
    padded = np.pad(image, around[: image.ndim], mode="edge")
    box = (left + 0.5 + pad, top + 0.5 + pad, left + 0.5 + pad + side, top + 0.5 + pad + side)
    shape = (CROP_SIDE_PX, CROP_SIDE_PX)
    crop = Image.fromarray(padded).resize(shape, Image.Resampling.LANCZOS, box=box)
    moved = (points - (left, top)) * (CROP_SIDE_PX / side) - 0.5
    return np.asarray(crop), moved.astype(np.float32)
