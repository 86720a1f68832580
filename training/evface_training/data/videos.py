"""Faces from annotated video: a few frames of each clip, cropped like the still faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_training.data.annotated import SkipList
from evface_training.data.crop import crop_face
from evface_training.data.faces import FaceSet

#: Mesh-derived contours slide along the true one, most of all under large yaw.
_CONTOUR_WEIGHT = 0.3
_POINT_WEIGHT = 0.5


def load_video_faces(
    folder: Path,
    every: int = 12,
    min_presence: float = 0.9,
    *,
    color: bool = False,
    skipped: SkipList | None = None,
) -> FaceSet:
    """Every n-th frame with a face of all `<clip>.mp4` with a `<clip>.npz` beside it.

    `<clip>.npz` holds points98 (F, 98, 2) in frame pixels, presence (F,), valid (F,). The folder
    of a clip counts as its identity. Clips that cannot be used go to `skipped`.

    Raises:
        ConfigError: not one usable clip.
    """
    import av

    skipped = SkipList() if skipped is None else skipped
    images, points, names, identities = [], [], [], []
    for clip in sorted(folder.rglob("*.mp4")):
        labels_path = clip.with_suffix(".npz")
        name = str(clip.relative_to(folder))
        skipped.seen += 1
        if not labels_path.is_file():
            skipped.add(name, "no labels beside it")
            continue
        try:
            faces, presence, valid = _labels(labels_path)
            found, decoded = 0, 0
            with av.open(str(clip)) as container:
                for index, frame in enumerate(container.decode(video=0)):
                    decoded += 1
                    usable = index < len(valid) and bool(valid[index])
                    if index % every or not usable or presence[index] < min_presence:
                        continue
                    if not np.isfinite(faces[index]).all():
                        continue
                    pixels = frame.to_ndarray(format="rgb24" if color else "gray")
                    image, moved = crop_face(np.asarray(pixels, np.uint8), faces[index])
                    found += 1
                    images.append(image)
                    points.append(moved)
                    names.append(f"{clip.parent.name}/{clip.stem}/{index}")
                    identities.append(f"video:{clip.parent.name}")
        except (av.FFmpegError, OSError, ValueError, KeyError, IndexError) as error:
            skipped.add(name, f"unreadable: {type(error).__name__}")
            continue
        if not found:
            skipped.add(name, "one frame" if decoded < 2 else "no frame with a face")
    if not images:
        why = f": {skipped.summary()}" if skipped else ""
        raise ConfigError("videos", str(folder), f"a folder with <clip>.mp4 and <clip>.npz{why}")
    weights = np.full((len(images), 98), _POINT_WEIGHT, np.float32)
    weights[:, :33] = _CONTOUR_WEIGHT
    return FaceSet(
        np.stack(images),
        np.stack(points),
        weights,
        np.array(names),
        np.array(identities),
        np.zeros(len(images), bool),
    )


def _labels(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    with np.load(path, allow_pickle=False) as labels:
        points, presence, valid = labels["points98"], labels["presence"], labels["valid"]
    if points.shape != (len(valid), 98, 2) or len(presence) != len(valid):
        raise ValueError("points98 of another shape")
    return points, presence, valid.astype(bool)
