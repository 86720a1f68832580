"""Faces from several folders as one set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evface_training.data.faces import FaceSet, load_face_pack
from evface_training.data.videos import load_video_faces


def load_faces(folders: Sequence[Path], cache: Path | None = None) -> FaceSet:
    """Face packs (`labels.npz` and images/) and folders of annotated clips as one set.

    Args:
        cache: a file that keeps the packed faces; taken as it is where it exists.

    Raises:
        ConfigError: a folder that is neither.
    """
    if cache is not None and cache.is_file():
        stored = np.load(cache, allow_pickle=False)
        return FaceSet(**{key: stored[key] for key in stored.files})
    sets = [
        load_face_pack(folder) if (folder / "labels.npz").is_file() else load_video_faces(folder)
        for folder in folders
    ]
    faces = FaceSet.concatenate(sets)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_name(cache.name + ".partial.npz")
        np.savez(partial, **vars(faces))
        partial.replace(cache)
    return faces
