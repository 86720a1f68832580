"""Folders of images with 300-W style .pts files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evface_training.data.annotated import IMAGE_SUFFIXES, Entries, checked
from evface_training.data.schemes import from_68


def is_pts(folder: Path) -> bool:
    """Any .pts file, at any depth."""
    return any(folder.rglob("*.pts"))


def pts(folder: Path) -> Entries:
    """Yield one entry for each image: a .pts file of the same name holds 68 or 98 points.

    The name without a suffix of digits (`…_1.jpg`) is the identity.
    """
    for image in sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
        name = str(image.relative_to(folder))
        labels = image.with_suffix(".pts")
        if not labels.is_file():
            yield name, "no landmarks"
            continue
        try:
            points = read_pts(labels)
        except ValueError as problem:
            yield name, f"{labels.name}: {problem}"
            continue
        weights = np.ones(len(points), np.float32)
        if len(points) == 68:
            points, weights = from_68(points)
        elif len(points) != 98:
            yield name, f"{len(points)} points instead of 68 or 98"
            continue
        head, _, tail = image.stem.rpartition("_")
        identity = head if head and tail.isdigit() else image.stem
        parent = image.parent.name
        yield checked(name, f"{folder.name}:{parent}/{identity}", points, weights, True, image)


def read_pts(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return the points (N, 2) of a .pts file in pixels from 0; the file counts from 1.

    Raises:
        ValueError: the file does not hold pairs of numbers in braces.
    """
    text = path.read_text(errors="replace")
    if "{" not in text or "}" not in text:
        raise ValueError("no { … }")
    numbers = text[text.index("{") + 1 : text.rindex("}")].split()
    if len(numbers) % 2:
        raise ValueError("an odd number of coordinates")
    return np.array(numbers, np.float32).reshape(-1, 2) - 1
