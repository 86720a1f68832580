"""Contact sheets: images of events and frames with their landmarks, in rows of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize

_TEXT_PX = 14
TRUTH, PREDICTION = (0, 150, 0), (225, 100, 0)


def count_image(on: NDArray[np.floating], off: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return counts (H, W) of ON and OFF events as RGB: blue and red on white."""
    most = max(float(np.percentile(np.maximum(on, off), 99.5)), 1e-6)
    on, off = np.clip(on / most, 0, 1) ** 0.6, np.clip(off / most, 0, 1) ** 0.6
    return (np.stack([1 - on, 1 - np.maximum(on, off), 1 - off], -1) * 255).astype(np.uint8)


def event_image(events: EventArray, size: SensorSize, duration_us: int) -> NDArray[np.uint8]:
    """Return the last `duration_us` of a list of events as RGB (H, W, 3)."""
    counts = np.zeros((2, size.height, size.width))
    if len(events):
        last = events[events["t"] > events["t"][-1] - duration_us]
        np.add.at(counts, (last["p"], last["y"], last["x"]), 1)
    return count_image(counts[1], counts[0])


def tile(
    image: NDArray[np.uint8],
    text: str,
    *marks: tuple[NDArray[np.floating] | None, tuple[int, int, int]],
    side: int = 256,
) -> Image.Image:
    """Return an image enlarged to `side` pixels, with points and one line of text.

    Args:
        marks: points (N, 2) in pixels of the image, or None; and their colour.
    """
    height, width = image.shape[:2]
    scale = side / max(width, height)
    shape = (round(width * scale), round(height * scale))
    result = Image.new("RGB", (shape[0], shape[1] + _TEXT_PX), "white")
    result.paste(Image.fromarray(image).resize(shape, Image.Resampling.NEAREST), (0, 0))
    draw = ImageDraw.Draw(result)
    for points, colour in marks:
        for x, y in [] if points is None else (points + 0.5) * scale:
            draw.ellipse((x - 1.2, y - 1.2, x + 1.2, y + 1.2), fill=colour)
    draw.text((2, shape[1] + 1), text.replace("–", " to "), fill="black")
    return result


def save_sheet(tiles: Sequence[Image.Image], path: Path, columns: int) -> None:
    """Write tiles as one image, in rows of `columns`."""
    width, height = (max(one.size[axis] for one in tiles) for axis in (0, 1))
    sheet = Image.new("RGB", (columns * width, -(-len(tiles) // columns) * height), "white")
    for index, one in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(one, (column * width, row * height))
    sheet.save(path)
