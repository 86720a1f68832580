"""Render the bundled avatars, which an export uses without a calibration file.

    python tools/render_avatars.py

Writes training/evface_training/data/avatars.jpg, a sheet of grey crops, and avatars.npz, their
landmarks. Each avatar has another identity, light, pose and expression.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from evface_edge.geometry import Box, SensorSize
from evface_training.avatar import (
    AvatarAnimation,
    AvatarIdentity,
    AvatarRenderer,
    Light,
    PinholeCamera,
    Pose,
)
from evface_training.data.avatars import AVATARS, COLUMNS, FACE_FRACTION, FOLDER
from evface_training.data.faces import CROP_SIDE_PX

_SIZE = SensorSize(384, 384)
_GAMMA = 2.2


def main(folder: Path) -> None:
    sheet = Image.new("L", (COLUMNS * CROP_SIDE_PX, AVATARS // COLUMNS * CROP_SIDE_PX))
    points = np.empty((AVATARS, 98, 2), np.float32)
    camera = PinholeCamera(_SIZE, focal_px=580.0)
    with AvatarRenderer(_SIZE) as renderer:
        for index in range(AVATARS):
            rng = np.random.default_rng(index)
            animation = AvatarAnimation.sample(
                rng, speed="fast", seconds=10, center=Pose(y_mm=10.0, distance_mm=650.0)
            )
            identity, light = AvatarIdentity.sample(rng), Light.sample(rng)
            expression, pose = animation.state(rng.uniform(0, 10e6))
            avatar = renderer.render(identity, expression, pose, camera, light)
            box = Box.around(avatar.landmarks)
            side = max(box.width, box.height) / FACE_FRACTION
            left = np.array([box.x + box.width / 2, box.y + box.height / 2]) - side / 2
            grey = (avatar.image.clip(0, 1) ** (1 / _GAMMA) * 255).round().astype(np.uint8)
            # Pillow counts from the edge of the first pixel, landmarks from its centre.
            edges = (*(left + 0.5), *(left + 0.5 + side))
            crop = Image.fromarray(grey).transform(
                (CROP_SIDE_PX, CROP_SIDE_PX),
                Image.Transform.EXTENT,
                tuple(float(edge) for edge in edges),
                Image.Resampling.BICUBIC,
            )
            row, column = divmod(index, COLUMNS)
            sheet.paste(crop, (column * CROP_SIDE_PX, row * CROP_SIDE_PX))
            points[index] = (avatar.landmarks - left) * (CROP_SIDE_PX / side) - 0.5
    sheet.save(folder / "avatars.jpg", quality=90)
    np.savez_compressed(folder / "avatars.npz", points=points)


if __name__ == "__main__":
    main(FOLDER)
