"""Recordings with ground-truth landmarks, as `evface-edge simulate` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.geometry import Box
from evface_edge.landmarks import NUM_LANDMARKS

_LABELS = ".landmarks.npz"
#: In a face 96 pixels tall, a turn by one degree moves the features by about 1.25 pixels.
_PX_PER_DEG = 1.25
_FACE_PX = 96.0


@dataclass(frozen=True, eq=False)
class LabelledRecording:
    """A recording with ground-truth landmarks.

    Attributes:
        path: the recording.
        t_us: (T,) ascending times of the labels.
        points: (T, 98, 2) landmarks in sensor pixels at these times.
    """

    path: Path
    t_us: NDArray[np.int64]
    points: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> LabelledRecording:
        """Load the labels of a recording NAME.EXT from NAME.landmarks.npz in the same folder.

        Raises:
            ConfigError: no labels, or of a wrong shape.
        """
        labels = path.with_name(path.stem + _LABELS)
        if not labels.is_file():
            raise ConfigError("--data", str(path), f"labels in the same folder, in {labels.name}")
        with np.load(labels, allow_pickle=False) as stored:
            for key in ("t_us", "points98"):
                if key not in stored.files:
                    raise ConfigError(str(labels), stored.files, f"an array {key}")
            t_us, points = stored["t_us"], stored["points98"]
        if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2):
            raise ConfigError(f"{labels}: points98", points.shape, "shape (T, 98, 2)")
        if t_us.shape != points.shape[:1] or len(t_us) < 2 or (np.diff(t_us) <= 0).any():
            raise ConfigError(f"{labels}: t_us", t_us.shape, "T ascending times, 2 or more")
        return cls(path, t_us.astype(np.int64), points.astype(np.float32))

    def truth(self, t_us: int) -> NDArray[np.float32]:
        """Return the landmarks (98, 2) at a time between the first and last label, interpolated."""
        after = int(np.clip(np.searchsorted(self.t_us, t_us), 1, len(self.t_us) - 1))
        span = self.t_us[after] - self.t_us[after - 1]
        fraction = np.float32((t_us - self.t_us[after - 1]) / span)
        before = self.points[after - 1]
        return np.asarray(before + (self.points[after] - before) * fraction, np.float32)

    def speed_deg_per_s(self, t_us: int) -> float:
        """Return the speed of the face's centre, expressed as a rotation of the head."""
        half_us = 20_000
        ends = [
            int(np.clip(t, self.t_us[0], self.t_us[-1])) for t in (t_us - half_us, t_us + half_us)
        ]
        first, last = (self.truth(t) for t in ends)
        box = Box.around(last)
        px = float(np.linalg.norm(last.mean(0) - first.mean(0))) / max(box.width, box.height)
        return px * _FACE_PX / _PX_PER_DEG / ((ends[1] - ends[0]) * 1e-6)


def load_set(data: Path) -> list[LabelledRecording]:
    """Load a recording, or all recordings of a folder that have labels.

    Raises:
        ConfigError: no recording with labels.
    """
    if not data.is_dir():
        if not data.is_file():
            raise ConfigError("--data", str(data), "a recording or a folder of recordings")
        return [LabelledRecording.load(data)]
    recordings = []
    for labels in sorted(data.glob(f"*{_LABELS}")):
        stem = labels.name[: -len(_LABELS)]
        paths = [path for path in sorted(data.glob(f"{stem}.*")) if path.stem == stem]
        recordings += [LabelledRecording.load(path) for path in paths[:1]]
    if not recordings:
        raise ConfigError("--data", str(data), f"a folder with NAME.npz and NAME{_LABELS}")
    return recordings
