"""Faces from annotated videos: a few frames of each clip, cropped like the still faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_training.data.annotated import SkipList, Unusable
from evface_training.data.crop import crop_face
from evface_training.data.faces import FaceSet

#: Contours derived from a mesh slide along the true one, most of all under large yaw.
_CONTOUR_WEIGHT = 0.3
_POINT_WEIGHT = 0.5
#: One frame in so many is used, where the face is present with at least this probability.
_EVERY, _MIN_PRESENCE = 12, 0.9

_Face = tuple[int, NDArray[np.uint8], NDArray[np.float32]]


def load_video_faces(folder: Path, color: bool, skipped: SkipList) -> FaceSet:
    """Load frames with a face of all `<clip>.mp4` with a `<clip>.npz` of the same name.

    `<clip>.npz` holds points98 (F, 98, 2) in frame pixels, presence (F,), valid (F,). The folder
    of a clip is its identity.

    Args:
        color: RGB instead of grey images.
        skipped: receives the clips that cannot be used.

    Raises:
        ConfigError: no usable clip.
    """
    import av

    faces: list[_Face] = []
    names, identities = [], []
    for clip in sorted(folder.rglob("*.mp4")):
        skipped.total += 1
        try:
            of_clip = _frames(clip, color)
        except Unusable as problem:
            skipped.add(str(clip.relative_to(folder)), str(problem))
            continue
        except (av.FFmpegError, OSError, ValueError, KeyError, IndexError) as error:
            reason = f"unreadable: {type(error).__name__}"
            skipped.add(str(clip.relative_to(folder)), reason)
            continue
        faces += of_clip
        names += [f"{clip.parent.name}/{clip.stem}/{index}" for index, _, _ in of_clip]
        identities += [f"video:{clip.parent.name}"] * len(of_clip)
    if not faces:
        why = f": {skipped.summary()}" if skipped else ""
        raise ConfigError("videos", str(folder), f"a folder with <clip>.mp4 and <clip>.npz{why}")
    weights = np.full((len(faces), 98), _POINT_WEIGHT, np.float32)
    weights[:, :33] = _CONTOUR_WEIGHT
    return FaceSet(
        np.stack([image for _, image, _ in faces]),
        np.stack([points for _, _, points in faces]),
        weights,
        np.array(names),
        np.array(identities),
        np.zeros(len(faces), bool),
    )


def _frames(clip: Path, color: bool) -> list[_Face]:
    """Return index, crop and points of each frame that is used."""
    import av

    labels_path = clip.with_suffix(".npz")
    if not labels_path.is_file():
        raise Unusable(f"no {labels_path.name}")
    with np.load(labels_path, allow_pickle=False) as labels:
        points, presence, valid = labels["points98"], labels["presence"], labels["valid"]
    if points.shape != (len(valid), 98, 2) or len(presence) != len(valid):
        raise ValueError("points98 of another shape")
    usable = valid.astype(bool) & (presence >= _MIN_PRESENCE) & np.isfinite(points).all((1, 2))
    faces, index = [], -1
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % _EVERY == 0 and index < len(usable) and usable[index]:
                pixels = frame.to_ndarray(format="rgb24" if color else "gray")
                faces.append((index, *crop_face(np.asarray(pixels, np.uint8), points[index])))
    if not faces:
        raise Unusable("one frame" if index < 1 else "no frame with a face")
    return faces
