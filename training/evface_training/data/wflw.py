"""WFLW (Wu et al., CVPR 2018) and its video sets WFLW-V and eCelebV, as their authors pack them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evface_training.data.annotated import Annotated, Entries, checked

_LIST = "list_98pt_rect_attr_*.txt"
#: (folder of labels, folder of images) of WFLW-V and of eCelebV.
_VIDEO_FOLDERS = (("labels", "images_selected"), ("ecelebv_gt_frame_max", "rgb_frame_max"))


def is_wflw(folder: Path) -> bool:
    """`list_98pt_rect_attr_*.txt` at any depth, and WFLW_images/."""
    return (folder / "WFLW_images").is_dir() and any(folder.rglob(_LIST))


def wflw(folder: Path) -> Entries:
    """Yield one entry a line: 196 coordinates, 4 of a box, 6 attributes, the path of the image.

    The faces of one photograph share an identity.
    """
    for path in sorted(folder.rglob(_LIST)):
        for number, fields in _lines(path):
            name = f"{path.name}:{number}"
            if len(fields) != 207:
                yield name, f"{len(fields)} fields instead of 207"
                continue
            image = fields[206]
            yield _entry(
                name,
                fields,
                (f"{image}:{number}", f"wflw:{image}"),
                folder / "WFLW_images" / image,
                human=True,
            )


def is_video_frames(folder: Path) -> bool:
    """labels/ and images_selected/, or ecelebv_gt_frame_max/ and rgb_frame_max/."""
    return _video_folders(folder) is not None


def video_frames(folder: Path) -> Entries:
    """Yield one entry a line of `<labels>/<clip>.txt`: 196 coordinates first, the file name last.

    A clip is an identity.
    """
    found = _video_folders(folder)
    labels, images = found or (folder, folder)
    for path in sorted(labels.glob("*.txt")):
        clip = path.stem
        for number, fields in _lines(path):
            name = f"{path.name}:{number}"
            if len(fields) < 197:
                yield name, f"{len(fields)} fields instead of 197 or more"
                continue
            file = Path(fields[-1]).name
            yield _entry(
                name,
                fields,
                (f"{clip}/{file}", f"{folder.name}:{clip}"),
                images / clip / file,
                human=False,
            )


def _video_folders(folder: Path) -> tuple[Path, Path] | None:
    for labels, images in _VIDEO_FOLDERS:
        if (folder / labels).is_dir() and (folder / images).is_dir():
            return folder / labels, folder / images
    return None


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the number and the fields of each line that is not empty."""
    lines = enumerate(path.read_text(errors="replace").splitlines(), 1)
    return [(number, line.split()) for number, line in lines if line.strip()]


def _entry(
    line: str, fields: list[str], name_and_identity: tuple[str, str], image: Path, *, human: bool
) -> Annotated | tuple[str, str]:
    try:
        points = np.array(fields[:196], np.float32).reshape(98, 2)
    except ValueError:
        return line, "a coordinate that is not a number"
    return checked(*name_and_identity, points, np.ones(98, np.float32), human, image)
