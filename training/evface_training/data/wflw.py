"""WFLW (Wu et al., CVPR 2018) as its authors pack it, and folders of 300-W style .pts files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from evface_training.data.annotated import Annotated, checked, open_picture
from evface_training.data.schemes import from_68

_LIST = "list_98pt_rect_attr_*.txt"
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def is_wflw(folder: Path) -> bool:
    """`list_98pt_rect_attr_*.txt` somewhere in it, and WFLW_images/."""
    return (folder / "WFLW_images").is_dir() and any(folder.rglob(_LIST))


def wflw(folder: Path) -> Iterator[Annotated | tuple[str, str]]:
    """One entry a line: 196 coordinates, 4 of a box, 6 attributes, the image's path.

    Several faces of one photograph fraction an identity.
    """
    for path in sorted(folder.rglob(_LIST)):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            fields = line.split()
            if not fields:
                continue
            name = f"{path.name}:{number}"
            if len(fields) != 207:
                yield name, f"{len(fields)} fields instead of 207"
                continue
            try:
                points = np.array(fields[:196], np.float32).reshape(98, 2)
            except ValueError:
                yield name, "a coordinate that is no number"
                continue
            image = folder / "WFLW_images" / fields[206]
            yield checked(
                f"{fields[206]}:{number}",
                f"wflw:{fields[206]}",
                points,
                np.ones(98, np.float32),
                True,
                partial(open_picture, image),
            )


def is_pts(folder: Path) -> bool:
    """Any .pts file in it."""
    return any(folder.rglob("*.pts"))


def pts(folder: Path) -> Iterator[Annotated | tuple[str, str]]:
    """Images with a .pts file of the same name beside each: 68 or 98 points, from 1.

    The name before the first number-only suffix (`…_1.jpg`) is the identity.
    """
    for image in sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PICTURES):
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
        stem = image.stem
        head, _, tail = stem.rpartition("_")
        identity = head if head and tail.isdigit() else stem
        yield checked(
            name,
            f"{folder.name}:{image.parent.name}/{identity}",
            points,
            weights,
            True,
            partial(open_picture, image),
        )


def read_pts(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Points of a .pts file, whose pixels are counted from 1, as pixels from 0."""
    text = path.read_text(errors="replace")
    if "{" not in text or "}" not in text:
        raise ValueError("no { … }")
    numbers = text[text.index("{") + 1 : text.rindex("}")].split()
    if len(numbers) % 2:
        raise ValueError("an odd count of numbers")
    return np.array(numbers, np.float32).reshape(-1, 2) - 1
