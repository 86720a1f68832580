"""The 96 bundled avatars: faces for users who have none. `tools/render_avatars.py` makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from evface_training.data.faces import CROP_SIDE_PX, FaceSet

FOLDER = Path(__file__).parent
AVATARS, COLUMNS = 96, 12
#: Longer side of the landmark box ÷ side of the crop, as in every face pack.
FACE_FRACTION = 0.5


def load_avatars() -> FaceSet:
    """Return the avatars, each of another identity; grey, gamma-coded."""
    with Image.open(FOLDER / "avatars.jpg") as image:
        sheet = np.asarray(image.convert("L"))
    rows = AVATARS // COLUMNS
    tiles = sheet.reshape(rows, CROP_SIDE_PX, COLUMNS, CROP_SIDE_PX).swapaxes(1, 2)
    with np.load(FOLDER / "avatars.npz", allow_pickle=False) as stored:
        points = stored["points"]
    names = np.array([f"avatar:{index}" for index in range(AVATARS)])
    return FaceSet(
        images=np.ascontiguousarray(tiles.reshape(AVATARS, CROP_SIDE_PX, CROP_SIDE_PX)),
        points=points,
        weights=np.ones(points.shape[:2], np.float32),
        names=names,
        identities=names,
        human=np.zeros(AVATARS, bool),
    )
