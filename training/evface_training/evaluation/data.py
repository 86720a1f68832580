"""What `evaluate --data` takes: folders of faces, avatars, recordings with labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np

from evface_edge.compare.labelled import LabelledRecording
from evface_edge.errors import ConfigError
from evface_training.data.faces import FaceSet
from evface_training.data.loading import load_faces
from evface_training.data.split import split_faces

#: Seed of avatars that no recipe trains on.
_AVATARS_SEED = 1_000_000


def split_data(
    data: Sequence[str], cache: Path | None
) -> tuple[FaceSet | None, dict[str, LabelledRecording]]:
    """Return (faces for benchmark recordings, labelled recordings by name).

    Args:
        data: each a folder of faces; `avatars` or `avatars?people=16&stills=4&seed=1000000`; or a
            recording with a file `<name>.landmarks.npz`.
        cache: a file for the packed faces of the folders.

    Raises:
        ConfigError: none of these, or no faces of the validation split.
    """
    folders = [Path(text) for text in data if Path(text).is_dir()]
    sets = []
    if folders:
        sets.append(_validation_people(load_faces(folders, cache)))
    labelled: dict[str, LabelledRecording] = {}
    for text in data:
        path = Path(text)
        if text == "avatars" or text.startswith("avatars?"):
            sets.append(_avatars(text))
        elif path.is_file():
            labelled[path.stem] = LabelledRecording.load(path)
        elif not path.is_dir():
            raise ConfigError(
                "--data", text, "a folder of faces, avatars, or a recording with NAME.landmarks.npz"
            )
    return FaceSet.concatenate(sets) if sets else None, labelled


def spread(faces: FaceSet, count: int | None) -> FaceSet:
    """Select `count` faces, evenly spaced in the set."""
    if count is None or count >= len(faces):
        return faces
    if count < 1:
        raise ConfigError("--count", count, "1 or more")
    return faces.select(np.linspace(0, len(faces) - 1, count).round().astype(int))


def _validation_people(faces: FaceSet) -> FaceSet:
    """Select the human-labelled faces of the validation split."""
    _, validation = split_faces(faces)
    people = validation.select(validation.human)
    if not len(people):
        raise ConfigError("--data", len(faces), "human-labelled faces of validation identities")
    return people


def _avatars(text: str) -> FaceSet:
    from evface_training.avatar.stills import render_stills

    values = {"people": 16, "stills": 4, "seed": _AVATARS_SEED}
    for key, value in parse_qsl(text.partition("?")[2], keep_blank_values=True):
        if key not in values or not value.isdecimal():
            raise ConfigError(f"--data {text}: {key}", value, f"a number of {', '.join(values)}")
        values[key] = int(value)
    if min(values["people"], values["stills"]) < 1:
        raise ConfigError("--data", text, "people and stills of at least 1")
    seeds = range(values["seed"], values["seed"] + values["people"])
    return render_stills(seeds, values["stills"])
