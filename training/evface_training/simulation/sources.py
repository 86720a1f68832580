"""What `simulate` can turn into events: images, videos, folders of them, avatars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, EvfaceError
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.data.annotated import SkipList
from evface_training.simulation.recording import Frame
from evface_training.simulation.video import video_frames, video_info

#: Images a second: what moves at these speeds stays within a pixel between two of them.
IMAGES_HZ = {"slow": 200, "normal": 400, "fast": 1000}
LABELS_HZ = 100
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


@dataclass(frozen=True, eq=False)
class Labelled:
    """A frame of light, and the landmarks (98, 2) in its pixels where they are known."""

    frame: Frame
    points: NDArray[np.float32] | None


class LightSource(Protocol):
    """Light over time.

    Attributes:
        size: of the images, and so of the sensor.
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


def open_light(source: str, *, seed: int = 0, speed: str = "normal") -> LightSource:
    """An image or a video by its path, or an avatar by its URI.

    An image needs landmarks beside it: `<name>.npz` with points98 (98, 2), or `<name>.pts` with 68
    or 98 points. `synthetic:avatar?seed=1&speed=normal&seconds=4&width=346&height=260` has its own
    seed and speed.

    Args:
        seed, speed: of the motion of an image.

    Raises:
        ConfigError: an unknown kind of source or option, an image without usable landmarks.
        EventFormatError: a file that is missing or not a video.
    """
    if source.startswith("synthetic:"):
        from evface_training.simulation.synthetic import open_avatar

        return open_avatar(source)
    path = Path(source)
    if path.suffix.lower() in _PICTURES:
        from evface_training.simulation.still import StillSource

        return StillSource(*_labelled_image(path), seed=seed, speed=speed)
    return VideoSource(path)


def open_folder(
    folder: Path, skipped: SkipList, *, seed: int = 0, speed: str = "normal"
) -> Iterator[tuple[str, LightSource]]:
    """Every video of a folder, or else every face of a data set that lies in it.

    Yields:
        (a name that can be a file's, the source).

    Raises:
        ConfigError: no video, and no known layout of faces.
    """
    videos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _VIDEOS)
    for path in videos:
        skipped.seen += 1
        name = str(path.relative_to(folder))
        try:
            light = VideoSource(path)
        except EvfaceError as problem:
            skipped.add(name, str(problem))
            continue
        yield name.replace("/", "_").rpartition(".")[0], light
    if videos:
        return
    from evface_training.data.loading import load_folder
    from evface_training.simulation.still import StillSource

    faces = load_folder(folder, skipped=skipped)
    for index, name in enumerate(faces.names):
        stem = Path(str(name).replace("/", "_").replace(":", "_")).stem
        points = faces.points[index]
        yield (
            f"{index:05d}_{stem}",
            StillSource(faces.images[index], points, seed=seed + index, speed=speed),
        )


def _labelled_image(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    from evface_training.data.annotated import Unusable, open_picture
    from evface_training.data.schemes import from_68
    from evface_training.data.wflw import read_pts

    try:
        image = open_picture(path, color=False)
    except Unusable as problem:
        raise ConfigError("source", str(path), f"an image ({problem})") from None
    ours, theirs = path.with_suffix(".npz"), path.with_suffix(".pts")
    try:
        if ours.is_file():
            with np.load(ours, allow_pickle=False) as stored:
                points = stored["points98"].astype(np.float32)
        elif theirs.is_file():
            points = read_pts(theirs)
            points = from_68(points)[0] if len(points) == 68 else points
        else:
            wanted = f"landmarks in {ours.name} (points98) or {theirs.name}: motion follows them"
            raise ConfigError("source", str(path), wanted)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError("landmarks", str(path), f"98 points ({error})") from None
    return image, points
