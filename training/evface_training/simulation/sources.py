"""What `simulate` can turn into events: a video, or a head of our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.simulation.recording import Frame
from evface_training.simulation.video import video_frames, video_info


@dataclass(frozen=True, eq=False)
class Labelled:
    """A frame of light, and the landmarks (98, 2) in its pixels where they are known."""

    frame: Frame
    points: NDArray[np.float32] | None


class LightSource(Protocol):
    """Light over time.

    Attributes:
        size: of the pictures, and so of the sensor.
        duration_us: about how long, 0 where nobody knows.
    """

    @property
    def size(self) -> SensorSize: ...

    @property
    def duration_us(self) -> int: ...

    def __iter__(self) -> Iterator[Labelled]: ...


class VideoSource:
    """A video file; `<name>.npz` beside it may hold points98 (F, 98, 2), one row a frame.

    Raises:
        EventFormatError: not a video.
        ConfigError: labels of another shape.
    """

    def __init__(self, path: Path) -> None:
        info = video_info(path)
        self.size = info.size
        self.duration_us = round(1e6 * max(info.frames - 1, 0) / info.fps)
        self._path = path
        self._period_us = 1e6 / info.fps
        self._points: NDArray[np.float32] | None = None
        labels = path.with_suffix(".npz")
        if labels.is_file():
            points = np.load(labels, allow_pickle=False)["points98"]
            if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2):
                raise ConfigError(f"{labels}: points98", points.shape, "shape (frames, 98, 2)")
            self._points = points.astype(np.float32)

    def __iter__(self) -> Iterator[Labelled]:
        for index, frame in video_frames(self._path):
            points = self._points
            own = frame.t_us == round(index * self._period_us)
            known = own and points is not None and index < len(points)
            yield Labelled(frame, points[index] if known and points is not None else None)


def open_light(source: str) -> LightSource:
    """A path of a video, or `synthetic:head?seed=1&speed=normal&seconds=4&width=346&height=260`.

    Raises:
        ConfigError: an unknown kind of source or option.
        EventFormatError: a file that is missing or not a video.
    """
    if source.startswith("synthetic:"):
        from evface_training.simulation.synthetic import SyntheticHeadSource

        return SyntheticHeadSource.from_uri(source)
    return VideoSource(Path(source))
