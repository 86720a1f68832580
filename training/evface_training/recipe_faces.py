"""The faces that a recipe trains and validates on: folders of the user, or rendered avatars."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evface_edge.cli.progress import count_progress
from evface_edge.errors import ConfigError
from evface_training.avatar.stills import AvatarStills, load_stills, render_stills
from evface_training.data.faces import FaceSet
from evface_training.data.loading import load_faces
from evface_training.data.split import split_faces
from evface_training.recipe import TrainRecipe


def faces_of(
    recipe: TrainRecipe, folders: Sequence[Path], cache: Path | None
) -> tuple[FaceSet, FaceSet]:
    """Return (training, validation) faces; no identity is in both.

    Args:
        folders: of faces; without any, the recipe's avatars are rendered.
        cache: a file for the packed faces.

    Raises:
        ConfigError: no folders and no avatars in the recipe, or a folder without faces.
        RuntimeUnavailable: avatars cannot be rendered on this machine.
    """
    if not folders:
        if recipe.avatars is None:
            raise ConfigError(
                "--faces", "nothing", f"folders of faces: recipe {recipe.name} renders no avatars"
            )
        return avatars_of(recipe.avatars, cache)
    training, validation = split_faces(load_faces(folders, cache))
    if not len(training) or not len(validation):
        raise ConfigError(
            "--faces",
            [str(folder) for folder in folders],
            "faces to train on and to validate on "
            f"(these: {len(training)} and {len(validation)} of the identities kept for validation)",
        )
    return training, validation


def avatars_of(avatars: AvatarStills, cache: Path | None) -> tuple[FaceSet, FaceSet]:
    """Return (training, validation) avatars of different identities."""
    people = avatars.people + avatars.validation_people
    seeds = range(avatars.seed, avatars.seed + people)
    faces = None if cache is None else load_stills(cache, seeds, avatars.stills)
    if faces is None:
        with count_progress("rendering avatars", people) as advance:
            faces = render_stills(
                seeds,
                avatars.stills,
                processes=min(os.cpu_count() or 1, 8),
                advance=advance,
            )
        if cache is not None:
            faces.save(cache)
    trained = np.arange(len(faces)) < avatars.people * avatars.stills
    return faces.select(trained), faces.select(~trained)
