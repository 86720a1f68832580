"""What `simulate` converts to events: images, videos, folders of them, avatars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, EvfaceError
from evface_training.data.annotated import IMAGE_SUFFIXES, SkipList, Unusable, open_image
from evface_training.data.loading import load_folder
from evface_training.data.pts import read_pts
from evface_training.data.schemes import from_68
from evface_training.simulation.light import LightSource
from evface_training.simulation.still import StillSource
from evface_training.simulation.synthetic import SyntheticAvatarSource
from evface_training.simulation.video import VideoSource

_VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def open_light(source: str, *, seed: int = 0, speed: str = "normal") -> LightSource:
    """Open an image or a video by its path, or an avatar by its URI.

    An image needs landmarks in a file of the same name: `<name>.npz` with points98 (98, 2), or
    `<name>.pts` with 68 or 98 points. An avatar's URI is
    `synthetic:avatar?seed=1&speed=normal&seconds=4&width=346&height=260`.

    Args:
        seed, speed: of the motion of an image; an avatar has its own in its URI.

    Raises:
        ConfigError: an unknown kind of source or option, or an image without usable landmarks.
        EventFormatError: the file is missing or is not a video.
    """
    if source.startswith("synthetic:"):
        return SyntheticAvatarSource.from_uri(source)
    path = Path(source)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return StillSource(*_labelled_image(path), seed=seed, speed=speed)
    return VideoSource(path)


def open_folder(
    folder: Path, skipped: SkipList, *, seed: int = 0, speed: str = "normal"
) -> Iterator[tuple[str, LightSource]]:
    """Open every video of a folder, or else every face of a data set in it.

    Yields:
        (a name that can be used for a file, the source).

    Raises:
        ConfigError: no video, and no known layout of faces.
    """
    videos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _VIDEO_SUFFIXES)
    for path in videos:
        skipped.total += 1
        name = str(path.relative_to(folder))
        try:
            light = VideoSource(path)
        except EvfaceError as problem:
            skipped.add(name, str(problem))
            continue
        yield name.replace("/", "_").rpartition(".")[0], light
    if videos:
        return
    faces = load_folder(folder, skipped=skipped)
    for index, name in enumerate(faces.names):
        stem = Path(str(name).replace("/", "_").replace(":", "_")).stem
        image, points = faces.images[index], faces.points[index]
        yield f"{index:05d}_{stem}", StillSource(image, points, seed=seed + index, speed=speed)


def _labelled_image(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    try:
        image = open_image(path, color=False)
    except Unusable as problem:
        raise ConfigError("source", str(path), f"an image ({problem})") from None
    npz, pts = path.with_suffix(".npz"), path.with_suffix(".pts")
    try:
        if npz.is_file():
            with np.load(npz, allow_pickle=False) as stored:
                points = stored["points98"].astype(np.float32)
        elif pts.is_file():
            points = read_pts(pts)
            points = from_68(points)[0] if len(points) == 68 else points
        else:
            expected = f"landmarks in {npz.name} (points98) or {pts.name}"
            raise ConfigError("source", str(path), expected)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError("landmarks", str(path), f"98 points ({error})") from None
    return image, points
