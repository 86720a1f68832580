"""Faces from annotated video: a few frames of each clip, cropped like the still faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evface_edge.errors import ConfigError
from evface_training.data.faces import CROP_SIDE_PX, FaceSet

#: Mesh-derived contours slide along the true one, most of all under large yaw.
_CONTOUR_WEIGHT = 0.3
_POINT_WEIGHT = 0.5


def load_video_faces(folder: Path, every: int = 12, min_presence: float = 0.9) -> FaceSet:
    """Every n-th frame with a face of all `<clip>.mp4` with a `<clip>.npz` beside it.

    `<clip>.npz` holds points98 (F, 98, 2) in frame pixels, presence (F,), valid (F,). The folder
    of a clip counts as its identity.

    Raises:
        ConfigError: no such clips.
    """
    import av

    images, points, names, identities = [], [], [], []
    for clip in sorted(folder.rglob("*.mp4")):
        labels_path = clip.with_suffix(".npz")
        if not labels_path.is_file():
            continue
        labels = np.load(labels_path, allow_pickle=False)
        with av.open(str(clip)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                usable = index < len(labels["valid"]) and bool(labels["valid"][index])
                if index % every or not usable or labels["presence"][index] < min_presence:
                    continue
                face = labels["points98"][index]
                if not np.isfinite(face).all():
                    continue
                grey = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
                image, moved = crop_face(grey, face)
                images.append(image)
                points.append(moved)
                names.append(f"{clip.parent.name}/{clip.stem}/{index}")
                identities.append(f"video:{clip.parent.name}")
    if not images:
        raise ConfigError("videos", str(folder), "a folder with <clip>.mp4 and <clip>.npz")
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


def crop_face(
    grey: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A frame and its 98 points → a 192² crop, 2.0 × the landmark box, border replicated."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float(2 * (high - low).max())
    left, top = (low + high) / 2 - side / 2
    pad = int(np.ceil(side))
    padded = np.pad(grey, pad, mode="edge")
    box = (left + 0.5 + pad, top + 0.5 + pad, left + 0.5 + pad + side, top + 0.5 + pad + side)
    image = Image.fromarray(padded).resize(
        (CROP_SIDE_PX, CROP_SIDE_PX), Image.Resampling.LANCZOS, box=box
    )
    moved = (points - (left, top)) * (CROP_SIDE_PX / side) - 0.5
    return np.asarray(image), moved.astype(np.float32)
