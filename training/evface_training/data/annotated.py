"""Photos of faces with their points, wherever they come from, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from evface_edge.errors import ConfigError
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.data.crop import crop_face
from evface_training.data.faces import FaceSet

Picture = NDArray[np.uint8]
_NAMED = 5


class Unusable(Exception):
    """One entry of a source that cannot be used; the message says why."""


@dataclass
class SkipList:
    """What a source left out, and why: counted, and named at the end.

    Attributes:
        reasons: name of the entry → why.
        seen: entries looked at, the usable ones too.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    seen: int = 0

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def add(self, name: str, reason: str) -> None:
        self.reasons[name] = reason

    def summary(self) -> str:
        """One sentence that names the first few."""
        names = [f"{name} ({reason})" for name, reason in list(self.reasons.items())[:_NAMED]]
        more = len(self.reasons) - len(names)
        rest = f" and {more:,} more" if more else ""
        return f"{len(self.reasons):,} of {self.seen:,} left out: {', '.join(names)}{rest}"


@dataclass(frozen=True, eq=False)
class Annotated:
    """A photo of one face.

    Attributes:
        name: unique within its source.
        identity: of the person, or of the photograph where nobody knows; splits go by it.
        points: (98, 2) float32 pixels, centres at integers; nan where a scheme has no such point.
        weights: (98,) float32 in [0, 1], 0 where points are nan.
        human: labelled by a person.
        open: gives the photo, (H, W) grey or (H, W, 3) RGB uint8; raises Unusable.
        event_images: paths of event images that came with it, by representation.
    """

    name: str
    identity: str
    points: NDArray[np.float32]
    weights: NDArray[np.float32]
    human: bool
    open: Callable[[bool], Picture]
    event_images: dict[str, Path] = field(default_factory=dict)


#: What a source gives: faces, or the name of an entry and why there is no face.
Entries = Iterable[Annotated | tuple[str, str]]


def open_picture(path: Path, color: bool) -> Picture:
    """A photo file as grey (H, W) or RGB (H, W, 3).

    Raises:
        Unusable: missing, or not a photo that can be decoded.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB" if color else "L"))
    except FileNotFoundError:
        raise Unusable("no such photo") from None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise Unusable(f"unreadable: {type(error).__name__}") from None


def checked(
    name: str,
    identity: str,
    points: NDArray[np.floating],
    weights: NDArray[np.floating],
    human: bool,
    open: Callable[[bool], Picture],
    event_images: dict[str, Path] | None = None,
) -> Annotated | tuple[str, str]:
    """An entry, or why its points cannot be used; points of weight 0 may be anything."""
    if points.shape != (NUM_LANDMARKS, 2):
        return name, f"{len(points)} points instead of {NUM_LANDMARKS}"
    known = weights > 0
    if not np.isfinite(points[known]).all():
        return name, "points that are not finite"
    if known.sum() < 5:
        return name, "no landmarks"
    if np.ptp(points[known], axis=0).max() < 2:
        return name, "all points in one place"
    return Annotated(
        name,
        identity,
        points.astype(np.float32),
        weights.astype(np.float32),
        human,
        open,
        event_images or {},
    )


def usable(entries: Entries, skipped: SkipList, color: bool) -> Iterator[tuple[Annotated, Picture]]:
    """The faces whose photos can be opened and show them; the rest goes to `skipped`."""
    for entry in entries:
        skipped.seen += 1
        if isinstance(entry, tuple):
            skipped.add(*entry)
            continue
        try:
            photo = entry.open(color)
        except Unusable as problem:
            skipped.add(entry.name, str(problem))
            continue
        height, width = photo.shape[:2]
        x, y = entry.points[entry.weights > 0].T
        inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
        if inside.mean() < 0.5:
            skipped.add(entry.name, f"labels outside the photo of {width}×{height}")
            continue
        yield entry, photo


def face_set(entries: Entries, where: str, skipped: SkipList, *, color: bool = False) -> FaceSet:
    """Faces of all 98 points, cropped like any other.

    Raises:
        ConfigError: not one usable face; the message says why.
    """
    images, points, weights, names, identities, human = [], [], [], [], [], []
    for entry, photo in usable(entries, skipped, color):
        if not np.isfinite(entry.points).all():
            skipped.add(entry.name, f"{int((entry.weights > 0).sum())} points: to evaluate with")
            continue
        image, moved = crop_face(photo, entry.points)
        images.append(image)
        points.append(moved)
        weights.append(entry.weights)
        names.append(entry.name)
        identities.append(entry.identity)
        human.append(entry.human)
    if not images:
        why = f": {skipped.summary()}" if skipped else ""
        raise ConfigError("faces", where, f"at least one usable face{why}")
    return FaceSet(
        np.stack(images),
        np.stack(points),
        np.stack(weights),
        np.array(names),
        np.array(identities),
        np.array(human),
    )
