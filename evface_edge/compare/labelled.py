"""Recordings with landmarks at many instants, as `evface-edge simulate` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.geometry import Box
from evface_edge.landmarks import NUM_LANDMARKS

_LABELS = ".landmarks.npz"
#: Of a face 96 pixels tall: the speed in pixels that a turn by a degree shows, about.
_PX_PER_DEG = 1.25
_FACE_PX = 96.0


@dataclass(frozen=True, eq=False)
class LabelledRecording:
    """A recording with landmarks at many instants.

    Attributes:
        t_us: (T,) rising; points: (T, 98, 2) sensor pixels at these instants.
    """

    path: Path
    t_us: NDArray[np.int64]
    points: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> LabelledRecording:
        """`<name>.npz` and the like, with `<name>.landmarks.npz` beside it.

        Raises:
            ConfigError: no labels there, or of another shape.
        """
        labels = path.with_name(path.stem + _LABELS)
        if not labels.is_file():
            raise ConfigError("--data", str(path), f"landmarks beside it, in {labels.name}")
        with np.load(labels, allow_pickle=False) as stored:
            for key in ("t_us", "points98"):
                if key not in stored.files:
                    raise ConfigError(str(labels), stored.files, f"an array {key}")
            t_us, points = stored["t_us"], stored["points98"]
        if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2):
            raise ConfigError(f"{labels}: points98", points.shape, "shape (T, 98, 2)")
        if t_us.shape != points.shape[:1] or len(t_us) < 2 or (np.diff(t_us) <= 0).any():
            raise ConfigError(f"{labels}: t_us", t_us.shape, "T rising instants, 2 or more")
        return cls(path, t_us.astype(np.int64), points.astype(np.float32))

    def truth(self, t_us: int) -> NDArray[np.float32]:
        """(98, 2) at an instant between the first and the last label, interpolated."""
        after = int(np.clip(np.searchsorted(self.t_us, t_us), 1, len(self.t_us) - 1))
        span = self.t_us[after] - self.t_us[after - 1]
        fraction = np.float32((t_us - self.t_us[after - 1]) / span)
        before = self.points[after - 1]
        return np.asarray(before + (self.points[after] - before) * fraction, np.float32)

    def speed_deg_per_s(self, t_us: int) -> float:
        """Of the middle of the face, as a turn of the head."""
        half_us = 20_000
        ends = [
            int(np.clip(t, self.t_us[0], self.t_us[-1])) for t in (t_us - half_us, t_us + half_us)
        ]
        first, last = (self.truth(t) for t in ends)
        box = Box.around(last)
        px = float(np.linalg.norm(last.mean(0) - first.mean(0))) / max(box.width, box.height)
        return px * _FACE_PX / _PX_PER_DEG / ((ends[1] - ends[0]) * 1e-6)


def load_set(data: Path) -> list[LabelledRecording]:
    """A recording, or all of a folder that have landmarks beside them.

    Raises:
        ConfigError: nothing with landmarks there.
    """
    if not data.is_dir():
        if not data.is_file():
            raise ConfigError("--data", str(data), "a recording or a folder of recordings")
        return [LabelledRecording.load(data)]
    found = []
    for labels in sorted(data.glob(f"*{_LABELS}")):
        stem = labels.name[: -len(_LABELS)]
        beside = [path for path in sorted(data.glob(f"{stem}.*")) if path.stem == stem]
        found += [LabelledRecording.load(path) for path in beside[:1]]
    if not found:
        raise ConfigError("--data", str(data), f"a folder with NAME.npz and NAME{_LABELS}")
    return found
