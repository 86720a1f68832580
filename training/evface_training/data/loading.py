"""Faces from folders of any known layout as one set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evface_edge.errors import ConfigError
from evface_training.data.annotated import Entries, SkipList, face_set
from evface_training.data.face_pack import is_face_pack, load_face_pack
from evface_training.data.faces import FaceSet
from evface_training.data.pts import is_pts, pts
from evface_training.data.videos import load_video_faces
from evface_training.data.wflw import is_video_frames, is_wflw, video_frames, wflw

_log = logging.getLogger(__name__)

#: (folder, color, skipped) → faces.
_Load = Callable[[Path, bool, SkipList], FaceSet]


@dataclass(frozen=True)
class Layout:
    """A way in which a folder holds faces.

    Attributes:
        name: for messages.
        content: what the folder must contain, in words.
        matches: whether a folder has this layout.
        load: (folder, color, skipped) → faces.
    """

    name: str
    content: str
    matches: Callable[[Path], bool]
    load: _Load


def _from_entries(read: Callable[[Path], Entries]) -> _Load:
    return lambda folder, color, skipped: face_set(read(folder), str(folder), skipped, color=color)


#: The first that matches is used.
LAYOUTS: tuple[Layout, ...] = (
    Layout("face pack", "images/ and labels.npz", is_face_pack, load_face_pack),
    Layout("WFLW", "WFLW_images/ and list_98pt_rect_attr_*.txt", is_wflw, _from_entries(wflw)),
    Layout(
        "WFLW-V or eCelebV",
        "labels/ and images_selected/, ...",
        is_video_frames,
        _from_entries(video_frames),
    ),
    Layout("300-W", "images and .pts files", is_pts, _from_entries(pts)),
    Layout(
        "videos", "<clip>.mp4 and <clip>.npz", lambda f: any(f.rglob("*.mp4")), load_video_faces
    ),
)


def load_folder(folder: Path, *, color: bool = False, skipped: SkipList | None = None) -> FaceSet:
    """Load the faces of one folder; entries that cannot be used are skipped.

    Args:
        skipped: receives the skipped entries; None: they are logged as a warning.

    Raises:
        ConfigError: no known layout, or no usable face.
    """
    for layout in LAYOUTS:
        if folder.is_dir() and layout.matches(folder):
            own = SkipList() if skipped is None else skipped
            faces = layout.load(folder, color, own)
            if own and skipped is None:
                _log.warning("%s: %s", folder, own.summary())
            return faces
    known = "; ".join(f"{layout.name}: {layout.content}" for layout in LAYOUTS)
    raise ConfigError("faces", str(folder), f"a folder with faces in a known layout: {known}")


def load_faces(
    folders: Sequence[Path], cache: Path | None = None, *, color: bool = False
) -> FaceSet:
    """Load folders of any known layout as one set.

    Args:
        cache: a file for the packed faces; where it exists, it is read instead of the folders.
        color: RGB instead of grey images.

    Raises:
        ConfigError: a folder of no known layout or without a usable face; a cache that cannot be
            read, or whose images are grey where RGB was requested or the reverse.
    """
    if cache is not None and cache.is_file():
        faces = FaceSet.load(cache)
        if faces.color != color:
            kind = "RGB" if color else "grey"
            raise ConfigError("cache", str(cache), f"a file of {kind} images; name another file")
        return faces
    faces = FaceSet.concatenate([load_folder(folder, color=color) for folder in folders])
    if cache is not None:
        faces.save(cache)
    return faces
