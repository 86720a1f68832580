"""Draw docs/images/representations.png: each representation of one slice of the demo recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from evface_edge import Box, read_events
from evface_edge.representation import (
    AdaptiveSurface,
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    TimeSurface,
    VoxelGrid,
)

ROOT = Path(__file__).parents[1]
RECORDING = ROOT / "evface_edge" / "data" / "demo.npz"
PICTURE = ROOT / "docs" / "images" / "representations.png"

END_US, DURATION_US = 2_730_000, 40_000
BOX = Box(79.5, 65.5, 180, 180)  # as many pixels as cells: no moiré
SIDE_PX, GAP_PX, LABEL_PX = 180, 6, 14
COLUMNS = 5

BLUE, WHITE, RED = (np.array(c, float) for c in ((33, 102, 172), (250, 250, 250), (178, 24, 43)))


def panels() -> Iterator[list[tuple[str, NDArray[np.float32]]]]:
    """Rows of name and image; images in [-1, 1], OFF below 0 where both share one image."""
    events, _ = read_events(RECORDING)
    history = events[events["t"] <= END_US]
    window = history[history["t"] > END_US - DURATION_US]
    output = (SIDE_PX, SIDE_PX)

    off, on = EventFrame("mean").crop(window, BOX, output)
    signed = [("event frame: OFF", -off), ("ON", on)]
    exponential = TimeSurface().crop(window, BOX, output)
    linear = TimeSurface(decay="linear").crop(window, BOX, output)
    surfaces = [("time surface: ON", exponential[1]), ("linear: ON", linear[1])]
    yield [*signed, *surfaces]

    voxels = VoxelGrid(5, "mean").crop(window, BOX, output)
    yield [
        (
            f"voxel grid: bin {index}" if not index else f"bin {index}",
            voxels[5 + index] - voxels[index],
        )
        for index in range(5)
    ]

    scales = MultiScaleSurface()
    surface = scales.crop(history[history["t"] > END_US - 100_000], BOX, output)
    names = [f"{scale / 1000:g} ms: ON" for scale in scales.scales_us]
    names[0] = f"multi-scale: {names[0]}"
    yield list(zip(names, surface[5:], strict=True))

    count, net, deviation = EventStatistics("mean").crop(window, BOX, output)
    yield [("statistics: count", count), ("net polarity", net), ("deviation of gaps", deviation)]

    yield [
        (f"adaptive: {score}", AdaptiveSurface(score).crop(history[-150_000:], BOX, output)[0])
        for score in ("rate", "log", "spectrum")
    ]


def coloured(image: NDArray[np.float32]) -> Image.Image:
    value = np.clip(image, -1, 1)[..., None]
    colours = WHITE + np.abs(value) * (np.where(value > 0, RED, BLUE) - WHITE)
    return Image.fromarray(colours.round().astype(np.uint8))


def main() -> None:
    rows = list(panels())
    step = SIDE_PX + GAP_PX
    size = (COLUMNS * step + GAP_PX, len(rows) * (step + LABEL_PX) + GAP_PX)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for row, images in enumerate(rows):
        for column, (name, image) in enumerate(images):
            x, y = GAP_PX + column * step, GAP_PX + row * (step + LABEL_PX)
            draw.text((x, y - 2), name, fill="black", font=font)
            sheet.paste(coloured(image), (x, y + LABEL_PX))
    palette = sheet.quantize(128, dither=Image.Dither.NONE)
    palette.save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
