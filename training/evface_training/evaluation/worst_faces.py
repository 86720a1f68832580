"""The ten worst faces of each benchmark set as one image: events, truth and prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_training.contact_sheet import PREDICTION, TRUTH, event_image, save_sheet, tile
from evface_training.evaluation.benchmark_sets import BenchmarkRecording

_SHOWN_US = 30_000


class WorstFaces:
    """Collects the faces with the largest error."""

    def __init__(self, count: int = 10) -> None:
        self._count = count
        self._kept: dict[str, list[tuple[float, BenchmarkRecording, NDArray[np.float32]]]] = {}

    def add(
        self, name: str, recording: BenchmarkRecording, landmarks: NDArray[np.float32], error: float
    ) -> None:
        """Add landmarks (98, 2) with their NME to the set `name`."""
        kept = self._kept.setdefault(name, [])
        kept.append((error, recording, landmarks))
        kept.sort(key=lambda entry: -entry[0])
        del kept[self._count :]

    def save(self, path: Path) -> None:
        """Write one row of tiles a set: truth in green, prediction in orange."""
        tiles = []
        for name, kept in self._kept.items():
            row = [
                tile(
                    event_image(recording.events, recording.size, _SHOWN_US),
                    f"{name} {100 * error:.1f} %  {recording.name}",
                    (recording.points, TRUTH),
                    (landmarks, PREDICTION),
                    side=288,
                )
                for error, recording, landmarks in kept
            ]
            blank = tile(np.full((1, 1, 3), 255, np.uint8), "", side=288)
            tiles += row + [blank] * (self._count - len(row))
        save_sheet(tiles, path, self._count)
