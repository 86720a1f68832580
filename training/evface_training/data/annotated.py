"""Annotated images of faces from any data set, and the list of entries that were skipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from evface_edge.errors import ConfigError
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.data.crop import crop_face
from evface_training.data.faces import FaceSet

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
_NAMED = 5


class Unusable(Exception):
    """An entry of a data set that cannot be used; the message is the reason."""


@dataclass
class SkipList:
    """Entries of a data set that were skipped, with the reasons.

    Attributes:
        reasons: name of the entry → reason.
        total: entries read so far, including the usable ones.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    total: int = 0

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def add(self, name: str, reason: str) -> None:
        self.reasons[name] = reason

    def summary(self) -> str:
        """One sentence with the first few names."""
        names = [f"{name} ({reason})" for name, reason in list(self.reasons.items())[:_NAMED]]
        more = len(self.reasons) - len(names)
        rest = f" and {more:,} more" if more else ""
        return f"{len(self.reasons):,} of {self.total:,} skipped: {', '.join(names)}{rest}"


@dataclass(frozen=True, eq=False)
class Annotated:
    """An image with one annotated face.

    Attributes:
        name: unique within its data set.
        identity: the person, or the photograph where the person is unknown; splits use it.
        points: (98, 2) float32 pixels, pixel centres at integers.
        weights: (98,) float32 in [0, 1].
        human: labelled by a person.
        image: path of the image.
    """

    name: str
    identity: str
    points: NDArray[np.float32]
    weights: NDArray[np.float32]
    human: bool
    image: Path


#: What a reader yields: a face, or the name of an entry and the reason to skip it.
Entries = Iterable[Annotated | tuple[str, str]]


def open_image(path: Path, color: bool) -> NDArray[np.uint8]:
    """Return an image file as uint8 grey (H, W), or RGB (H, W, 3).

    Raises:
        Unusable: the file is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB" if color else "L"))
    except FileNotFoundError:
        raise Unusable("no such image") from None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise Unusable(f"unreadable: {type(error).__name__}") from None


def checked(
    name: str,
    identity: str,
    points: NDArray[np.floating],
    weights: NDArray[np.floating],
    human: bool,
    image: Path,
) -> Annotated | tuple[str, str]:
    """Return an entry, or its name and the reason why its points cannot be used."""
    if points.shape != (NUM_LANDMARKS, 2):
        return name, f"{len(points)} points instead of {NUM_LANDMARKS}"
    if not np.isfinite(points).all():
        return name, "points that are not finite"
    if np.ptp(points, axis=0).max() < 2:
        return name, "all points in one place"
    points, weights = points.astype(np.float32), weights.astype(np.float32)
    return Annotated(name, identity, points, weights, human, image)


def _opened(entry: Annotated, color: bool) -> NDArray[np.uint8]:
    """Return the image. Raises: Unusable: no image, or most labels are outside it."""
    image = open_image(entry.image, color)
    height, width = image.shape[:2]
    x, y = entry.points[entry.weights > 0].T
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    if inside.mean() < 0.5:
        raise Unusable(f"labels outside the image of {width}×{height}")
    return image


def face_set(entries: Entries, source: str, skipped: SkipList, *, color: bool = False) -> FaceSet:
    """Crop the usable faces of a data set; the others are added to `skipped`.

    Raises:
        ConfigError: no usable face; the message gives the reasons.
    """
    images, points, kept = [], [], []
    for entry in entries:
        skipped.total += 1
        if isinstance(entry, tuple):
            skipped.add(*entry)
            continue
        try:
            image, moved = crop_face(_opened(entry, color), entry.points)
        except Unusable as problem:
            skipped.add(entry.name, str(problem))
            continue
        images.append(image)
        points.append(moved)
        kept.append(entry)
    if not images:
        why = f": {skipped.summary()}" if skipped else ""
        raise ConfigError("faces", source, f"at least one usable face{why}")
    return FaceSet(
        np.stack(images),
        np.stack(points),
        np.stack([entry.weights for entry in kept]),
        np.array([entry.name for entry in kept]),
        np.array([entry.identity for entry in kept]),
        np.array([entry.human for entry in kept]),
    )
