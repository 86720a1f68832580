"""A small set of faces that we draw ourselves."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from evface_training.data.faces import CROP_SIDE_PX, FaceSet


def draw_face(seed: int) -> tuple[Image.Image, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """A cartoon of a face in a 192-pixel crop, and its 98 points."""
    rng = np.random.default_rng(seed)
    side = CROP_SIDE_PX
    x, y = side / 2 + rng.uniform(-2, 2, 2)
    points = np.zeros((98, 2), np.float32)

    def arc(
        first: int,
        last: int,
        start_deg: float,
        end_deg: float,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
    ) -> None:
        angle = np.radians(np.linspace(start_deg, end_deg, last - first + 1))
        points[first : last + 1, 0] = cx + rx * np.cos(angle)
        points[first : last + 1, 1] = cy + ry * np.sin(angle)

    arc(0, 32, 180, 0, x, y - 15, 42, 62)
    for first, sign in ((33, -1), (42, 1)):
        points[first : first + 5] = [
            [x + sign * 20 + k - 4, y - 32] for k in np.linspace(-8, 16, 5)
        ]
        points[first + 5 : first + 9] = [
            [x + sign * 20 + k - 4, y - 28] for k in np.linspace(16, -8, 4)
        ]
    points[51:55] = [[x, y - 20 + 8 * k] for k in range(4)]
    points[55:60] = [[x - 10 + 5 * k, y + 8] for k in range(5)]
    for first, sign in ((60, -1), (68, 1)):
        angle = np.radians(180 + 45 * np.arange(8))
        points[first : first + 8, 0] = x + sign * 20 + 9 * np.cos(angle)
        points[first : first + 8, 1] = y - 20 + 4 * np.sin(angle)
    arc(76, 87, 180, 510, x, y + 25, 18, 8)
    arc(88, 95, 180, 495, x, y + 25, 14, 3)
    points[96], points[97] = (x - 20, y - 20), (x + 20, y - 20)
    image = Image.new("L", (side, side), int(rng.integers(20, 60)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((x - 44, y - 75, x + 44, y + 48), fill=int(rng.integers(150, 220)))
    for first, last in ((33, 42), (42, 51), (60, 68), (68, 76), (76, 88)):
        draw.polygon(
            [tuple(p) for p in points[first:last].tolist()], fill=int(rng.integers(20, 80))
        )
    return image, points


@pytest.fixture(scope="session")
def drawn_faces() -> FaceSet:
    """Twelve cartoons of twelve identities, all taken as labelled by hand."""
    drawn = [draw_face(seed) for seed in range(12)]
    names = np.array([f"drawn_{index}_1.png" for index in range(12)])
    return FaceSet(
        np.stack([np.asarray(image) for image, _ in drawn]),
        np.stack([points for _, points in drawn]),
        np.ones((12, 98), np.float32),
        names,
        np.array([f"drawn:{index}" for index in range(12)]),
        np.ones(12, bool),
    )
