"""Face packs: a folder with images/ and labels.npz, already cropped."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from evface_edge.errors import ConfigError
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.data.annotated import SkipList, Unusable, open_image
from evface_training.data.faces import CROP_SIDE_PX, FaceSet, identity_of

_ARRAYS = ("name", "points98", "weight98", "source", "size_px")


def is_face_pack(folder: Path) -> bool:
    """labels.npz."""
    return (folder / "labels.npz").is_file()


def load_face_pack(folder: Path, color: bool, skipped: SkipList) -> FaceSet:
    """Load a folder with `images/*.jpg` and `labels.npz`.

    `labels.npz` holds name (N,), points98 (N, 98, 2), weight98 (N, 98), source (N,), size_px ().

    Args:
        color: RGB instead of grey images, three times the memory.
        skipped: receives the entries that cannot be used.

    Raises:
        ConfigError: a file or an array is missing, has another shape, or no face can be used.
    """
    labels_path = folder / "labels.npz"
    try:
        with np.load(labels_path, allow_pickle=False) as stored:
            labels = {key: stored[key] for key in _ARRAYS}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigError(str(labels_path), str(error), f"arrays {', '.join(_ARRAYS)}") from None
    count = len(labels["points98"])
    shapes: dict[str, tuple[int, ...]] = {
        "points98": (count, NUM_LANDMARKS, 2),
        "name": (count,),
        "weight98": (count, NUM_LANDMARKS),
        "source": (count,),
    }
    for key, shape in shapes.items():
        if labels[key].shape != shape:
            expected = ", ".join(map(str, shape))
            raise ConfigError(f"{labels_path}: {key}", labels[key].shape, f"shape ({expected})")
    points = labels["points98"]
    scale = CROP_SIDE_PX / float(labels["size_px"])
    moved = ((points + 0.5) * scale - 0.5).astype(np.float32)
    side = (CROP_SIDE_PX, CROP_SIDE_PX)
    images = np.empty((count, *side, 3) if color else (count, *side), np.uint8)
    kept = np.zeros(count, bool)
    for index, name in enumerate(labels["name"]):
        skipped.total += 1
        if not np.isfinite(moved[index]).all():
            skipped.add(str(name), "points that are not finite")
            continue
        inside = ((moved[index] > -0.5) & (moved[index] < CROP_SIDE_PX - 0.5)).all(1)
        if inside.mean() < 0.5:
            skipped.add(str(name), "labels outside the image")
            continue
        try:
            image = Image.fromarray(open_image(folder / "images" / str(name), color))
        except Unusable as problem:
            skipped.add(str(name), str(problem))
            continue
        images[index] = np.asarray(image.resize(side, Image.Resampling.LANCZOS))
        kept[index] = True
    if not kept.any():
        raise ConfigError("faces", str(folder), f"one usable face: {skipped.summary()}")
    faces = FaceSet(
        images,
        moved,
        labels["weight98"].astype(np.float32),
        labels["name"],
        np.array([identity_of(str(name)) for name in labels["name"]]),
        labels["source"] == "human68",
    )
    return faces if kept.all() else faces.select(kept)
