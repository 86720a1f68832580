"""Frames of clips with labels in text files: WFLW-V, eCelebV and E-SIE, as their authors pack them.

Beside an RGB image each frame may have event images, one for each representation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from evface_edge.errors import ConfigError
from evface_training.data.annotated import Annotated, checked, open_picture
from evface_training.data.schemes import ESIE_5, from_5

REPRESENTATIONS = ("frame", "voxel", "timesurface")
#: (folder of labels, folder of images) of WFLW-V and of eCelebV.
_CLIP_LAYOUTS = (("labels", "images_selected"), ("ecelebv_gt_frame_max", "rgb_frame_max"))


def is_clips(folder: Path) -> bool:
    """labels/ and images_selected/, or ecelebv_gt_frame_max/ and rgb_frame_max/."""
    return _clip_layout(folder) is not None


def _clip_layout(folder: Path) -> tuple[Path, Path] | None:
    for labels, images in _CLIP_LAYOUTS:
        if (folder / labels).is_dir() and (folder / images).is_dir():
            return folder / labels, folder / images
    return None


def clips(folder: Path, split: str | None = None) -> Iterator[Annotated | tuple[str, str]]:
    """`<labels>/<clip>.txt`: one line a frame, 196 numbers or more, the file name last.

    A clip counts as an identity.

    Args:
        split: only the clips of this part: "train", "test", "validation".

    Raises:
        ConfigError: another layout, or no such split.
    """
    layout = _clip_layout(folder)
    if layout is None:
        raise ConfigError("faces", str(folder), "the folders of WFLW-V or eCelebV")
    labels, images = layout
    wanted = None if split is None else _split(folder, split)
    for path in sorted(labels.glob("*.txt")):
        clip = path.stem
        if wanted is not None and clip not in wanted:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            fields = line.split()
            if not fields:
                continue
            if len(fields) < 197:
                yield f"{path.name}:{number}", f"{len(fields)} fields instead of 197 or more"
                continue
            try:
                points = np.array(fields[:196], np.float32).reshape(98, 2)
            except ValueError:
                yield f"{path.name}:{number}", "a coordinate that is no number"
                continue
            file = Path(fields[-1]).name
            yield checked(
                f"{clip}/{file}",
                f"{folder.name}:{clip}",
                points,
                np.ones(98, np.float32),
                False,
                partial(open_picture, images / clip / file),
                _event_images(folder, Path(clip) / file),
            )


def _split(folder: Path, name: str) -> set[str]:
    files = sorted(folder.glob("*split*.json"))
    if not files:
        raise ConfigError("split", name, f"a split JSON in {folder}")
    try:
        parts = json.loads(files[0].read_text())
    except ValueError as error:
        raise ConfigError("split", str(files[0]), f"JSON ({error})") from None
    if not isinstance(parts, dict) or name not in parts:
        known = ", ".join(parts) if isinstance(parts, dict) else "an object of lists"
        raise ConfigError("split", name, f"one of {known}, in {files[0].name}")
    return {Path(str(clip)).stem for clip in parts[name]}


def is_esie(folder: Path) -> bool:
    """label/<user>/<subuser>/*.txt and rgb/."""
    return (folder / "rgb").is_dir() and any((folder / "label").glob("*/*/*.txt"))


def esie(folder: Path) -> Iterator[Annotated | tuple[str, str]]:
    """`label/<user>/<subuser>/<name>.txt`: five points, then a box; a user is an identity."""
    for path in sorted((folder / "label").glob("*/*/*.txt")):
        relative = path.relative_to(folder / "label").with_suffix("")
        name = relative.as_posix()
        fields = path.read_text(errors="replace").split()
        if len(fields) != 14:
            yield name, f"{len(fields)} numbers instead of 14"
            continue
        try:
            five = np.array(fields[:10], np.float32).reshape(5, 2)
        except ValueError:
            yield name, "a coordinate that is no number"
            continue
        points, weights = from_5(five, ESIE_5)
        image = (folder / "rgb" / relative).with_suffix(".png")
        yield checked(
            name,
            f"{folder.name}:{relative.parts[0]}",
            points,
            weights,
            True,
            partial(open_picture, image),
            _event_images(folder, relative.with_suffix(".png")),
        )


def _event_images(folder: Path, file: Path) -> dict[str, Path]:
    found = {}
    for name in REPRESENTATIONS:
        path = folder / name / file
        if path.is_file():
            found[name] = path
    return found
