"""Draw docs/images/failures.png: the worst avatar in light, in the dark and nearly still.

Shows what evface-s-fp32 makes of the avatars of the package, with the box given.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from evface_edge import Predictor
from evface_edge.metrics import nme98
from evface_edge.results.drawing import BACKGROUND, EVENT_COLOURS
from evface_training.data.avatars import load_avatars
from evface_training.evaluation.benchmark_sets import CONDITIONS, BenchmarkRecording, recordings

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "failures.png"
TITLES = {"normal": "normal light", "dark": "dark", "still": "nearly still"}
TRUTH, RESULT, TEXT = (255, 255, 255), (255, 150, 0), (235, 238, 245)
TILE_PX, LINE_PX, SHOWN_US, AVATARS = 520, 44, 30_000, 48


def worst(predictor: Predictor, name: str) -> tuple[float, BenchmarkRecording, NDArray[np.float32]]:
    """(NME-98, recording, landmarks) of the avatar with the largest error."""
    faces = load_avatars()
    results = []
    for index, recording in enumerate(recordings(faces, CONDITIONS[name], seed=1)):
        if index == AVATARS:
            break
        found = predictor.run(recording.events, size=recording.size, box=recording.box)
        if len(found):
            landmarks = found[-1].landmarks
            error = float(nme98(landmarks[None], recording.points[None])[0])
            results.append((error, recording, landmarks))
    return max(results, key=lambda result: result[0])


def tile(
    title: str, error: float, recording: BenchmarkRecording, found: NDArray[np.float32]
) -> Image.Image:
    """Events of the last 30 ms around the face, truth and result, with a line of text."""
    events, size = recording.events, recording.size
    recent = events[events["t"] > events["t"][-1] - SHOWN_US]
    counts = np.zeros((2, size.height, size.width), np.int64)
    np.add.at(counts, (recent["p"], recent["y"], recent["x"]), 1)
    pixels = EVENT_COLOURS[np.minimum(counts[1], 3) * 4 + np.minimum(counts[0], 3)]
    box = recording.box
    side = 1.45 * max(box.width, box.height)
    left, top = box.center[0] - side / 2, box.center[1] - side / 2
    image = Image.fromarray(pixels).transform(
        (TILE_PX, TILE_PX),
        Image.Transform.AFFINE,
        (side / TILE_PX, 0, left, 0, side / TILE_PX, top),
        fillcolor=BACKGROUND,
    )
    draw = ImageDraw.Draw(image)
    for points, colour in ((recording.points, TRUTH), (found, RESULT)):
        for x, y in (points + 0.5 - (left, top)) * TILE_PX / side:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
    result = Image.new("RGB", (TILE_PX, TILE_PX + LINE_PX), BACKGROUND)
    result.paste(image, (0, LINE_PX))
    text = f"{title}: NME-98 {100 * error:.0f} %"
    ImageDraw.Draw(result).text((12, 8), text, fill=TEXT, font=ImageFont.load_default(24))
    return result


def main() -> None:
    with Predictor("evface-s-fp32") as predictor:
        tiles = [tile(title, *worst(predictor, name)) for name, title in TITLES.items()]
    width = TILE_PX * len(tiles) + 8 * (len(tiles) - 1)
    image = Image.new("RGB", (width, TILE_PX + 2 * LINE_PX), BACKGROUND)
    for index, drawn in enumerate(tiles):
        image.paste(drawn, (index * (TILE_PX + 8), 0))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(24)
    x, y = 12, TILE_PX + LINE_PX + LINE_PX // 2
    for text, colour in (("truth", TRUTH), ("result of evface-s", RESULT)):
        draw.ellipse((x, y - 6, x + 12, y + 6), fill=colour)
        draw.text((x + 22, y - 15), text, fill=TEXT, font=font)
        x += 150
    image.save(IMAGE)


if __name__ == "__main__":
    main()
