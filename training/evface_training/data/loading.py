"""Faces from folders of any known layout as one set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evface_edge.errors import ConfigError
from evface_training.data.annotated import Entries, SkipList, face_set
from evface_training.data.face_pack import is_face_pack, load_face_pack
from evface_training.data.faces import FaceSet
from evface_training.data.labelled_frames import clips, esie, is_clips, is_esie
from evface_training.data.videos import load_video_faces
from evface_training.data.wflw import is_pts, is_wflw, pts, wflw

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """One way in which a folder can hold faces.

    Attributes:
        name: for messages.
        looks_for: what must be in the folder, in words.
        fits: whether it is there.
        load: (folder, color, skipped) → faces.
    """

    name: str
    looks_for: str
    fits: Callable[[Path], bool]
    load: Callable[[Path, bool, SkipList], FaceSet]


def _of(entries: Callable[[Path], Entries]) -> Callable[[Path, bool, SkipList], FaceSet]:
    def load(folder: Path, color: bool, skipped: SkipList) -> FaceSet:
        return face_set(entries(folder), str(folder), skipped, color=color)

    return load


def _pack(folder: Path, color: bool, skipped: SkipList) -> FaceSet:
    return load_face_pack(folder, color=color, skipped=skipped)


def _videos(folder: Path, color: bool, skipped: SkipList) -> FaceSet:
    return load_video_faces(folder, color=color, skipped=skipped)


#: The first that fits is taken.
LAYOUTS: tuple[Layout, ...] = (
    Layout("face pack", "images/ and labels.npz", is_face_pack, _pack),
    Layout("WFLW", "WFLW_images/ and list_98pt_rect_attr_*.txt", is_wflw, _of(wflw)),
    Layout("WFLW-V or eCelebV", "labels/ and images_selected/, ...", is_clips, _of(clips)),
    Layout("E-SIE", "label/<user>/<subuser>/*.txt and rgb/", is_esie, _of(esie)),
    Layout("300-W", "images and .pts files", is_pts, _of(pts)),
    Layout("videos", "<clip>.mp4 and <clip>.npz", lambda f: any(f.rglob("*.mp4")), _videos),
)


def load_folder(folder: Path, *, color: bool = False, skipped: SkipList | None = None) -> FaceSet:
    """The faces of one folder; entries that cannot be used are left out, counted and named.

    Args:
        skipped: gets what was left out; None: it is logged as a warning.

    Raises:
        ConfigError: no known layout, or not one usable face.
    """
    for layout in LAYOUTS:
        if folder.is_dir() and layout.fits(folder):
            own = SkipList() if skipped is None else skipped
            faces = layout.load(folder, color, own)
            if own and skipped is None:
                _log.warning("%s: %s", folder, own.summary())
            return faces
    known = "; ".join(f"{layout.name}: {layout.looks_for}" for layout in LAYOUTS)
    raise ConfigError("faces", str(folder), f"a folder with faces in a known layout: {known}")


def load_faces(
    folders: Sequence[Path], cache: Path | None = None, *, color: bool = False
) -> FaceSet:
    """Folders of any known layout as one set.

    Args:
        cache: a file that keeps the packed faces; taken as it is where it exists.
        color: RGB instead of grey images.

    Raises:
        ConfigError: a folder of no known layout or without a usable face, or a cache of grey
            images where RGB was wanted or the other way round.
    """
    if cache is not None and cache.is_file():
        with np.load(cache, allow_pickle=False) as stored:
            faces = FaceSet(**{key: stored[key] for key in stored.files})
        if faces.color != color:
            kind = "RGB" if color else "grey"
            raise ConfigError("cache", str(cache), f"one of {kind} images; name another file")
        return faces
    faces = FaceSet.concatenate([load_folder(folder, color=color) for folder in folders])
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_name(cache.name + ".partial.npz")
        np.savez(partial, **vars(faces))
        partial.replace(cache)
    return faces
