"""The ten worst faces of each set as one image: events, truth in white, guess in orange."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from evface_training.evaluation.benchmark_sets import BenchmarkRecording

_TILE_PX = 288
_SHOWN_US = 30_000


class WorstFaces:
    """Collects the faces with the largest error."""

    def __init__(self, count: int = 10) -> None:
        self._count = count
        self._kept: dict[str, list[tuple[float, BenchmarkRecording, NDArray[np.float32]]]] = {}

    def add(
        self, name: str, recording: BenchmarkRecording, landmarks: NDArray[np.float32], error: float
    ) -> None:
        kept = self._kept.setdefault(name, [])
        kept.append((error, recording, landmarks))
        kept.sort(key=lambda entry: -entry[0])
        del kept[self._count :]

    def save(self, path: Path) -> None:
        rows = []
        for name, kept in self._kept.items():
            tiles = [np.asarray(_tile(name, *entry)) for entry in kept]
            tiles += [np.zeros_like(tiles[0])] * (self._count - len(tiles))
            rows.append(np.concatenate(tiles, axis=1))
        Image.fromarray(np.concatenate(rows)).save(path)


def _tile(
    name: str, error: float, recording: BenchmarkRecording, landmarks: NDArray[np.float32]
) -> Image.Image:
    events, size = recording.events, recording.size
    recent = events[events["t"] > events["t"][-1] - _SHOWN_US]
    pixels = np.full((size.height, size.width, 3), 24, np.uint8)
    on = recent["p"][:, None] == 1
    pixels[recent["y"], recent["x"]] = np.where(on, (150, 150, 230), (60, 60, 140))
    scale = _TILE_PX / size.width
    tile = Image.fromarray(pixels).resize((_TILE_PX, _TILE_PX), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(tile)
    for points, colour in ((recording.points, (255, 255, 255)), (landmarks, (255, 170, 0))):
        for x, y in (points + 0.5) * scale:
            draw.ellipse((x - 1.2, y - 1.2, x + 1.2, y + 1.2), fill=colour)
    draw.text((4, 4), f"{name} {100 * error:.1f} %  {recording.name}", fill=(255, 255, 255))
    return tile
