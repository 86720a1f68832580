"""Face packs: a folder with images/ and labels.npz, already cropped."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from evface_edge.errors import ConfigError
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.data.annotated import SkipList, Unusable, open_picture
from evface_training.data.faces import CROP_SIDE_PX, FaceSet, identity_of


def is_face_pack(folder: Path) -> bool:
    """images/ and labels.npz."""
    return (folder / "labels.npz").is_file()


def load_face_pack(
    folder: Path, *, color: bool = False, skipped: SkipList | None = None
) -> FaceSet:
    """A folder with `images/*.jpg` and `labels.npz`.

    `labels.npz` holds name (N,), points98 (N, 98, 2), weight98 (N, 98), source (N,), size_px ().

    Args:
        color: RGB instead of grey images, three times the memory.
        skipped: gets the entries that cannot be used.

    Raises:
        ConfigError: a file or an array is missing, has another shape, or no face can be used.
    """
    labels_path = folder / "labels.npz"
    if not labels_path.is_file():
        raise ConfigError("faces", str(folder), "a folder with images/ and labels.npz")
    try:
        with np.load(labels_path, allow_pickle=False) as stored:
            labels = {key: stored[key] for key in _NEEDED}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigError(str(labels_path), str(error), f"arrays {', '.join(_NEEDED)}") from None
    points = labels["points98"]
    if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2):
        raise ConfigError(f"{labels_path}: points98", points.shape, "shape (N, 98, 2)")
    rows: dict[str, tuple[int, ...]] = {"name": (), "weight98": (NUM_LANDMARKS,), "source": ()}
    for key, row in rows.items():
        if labels[key].shape != (len(points), *row):
            wanted = ", ".join(map(str, (len(points), *row)))
            raise ConfigError(f"{labels_path}: {key}", labels[key].shape, f"shape ({wanted})")
    skipped = SkipList() if skipped is None else skipped
    scale = CROP_SIDE_PX / float(labels["size_px"])
    shape = (len(points), CROP_SIDE_PX, CROP_SIDE_PX)
    images = np.empty((*shape, 3) if color else shape, np.uint8)
    moved = ((points + 0.5) * scale - 0.5).astype(np.float32)
    kept = np.zeros(len(points), bool)
    for index, name in enumerate(labels["name"]):
        skipped.seen += 1
        if not np.isfinite(moved[index]).all():
            skipped.add(str(name), "points that are not finite")
            continue
        inside = ((moved[index] > -0.5) & (moved[index] < CROP_SIDE_PX - 0.5)).all(1)
        if inside.mean() < 0.5:
            skipped.add(str(name), "labels outside the image")
            continue
        try:
            image = Image.fromarray(open_picture(folder / "images" / str(name), color))
        except Unusable as problem:
            skipped.add(str(name), str(problem))
            continue
        resized = image.resize((CROP_SIDE_PX, CROP_SIDE_PX), Image.Resampling.LANCZOS)
        images[index], kept[index] = np.asarray(resized), True
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


_NEEDED = ("name", "points98", "weight98", "source", "size_px")
