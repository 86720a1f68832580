"""Who an ablation trains with, and who judges: other people, labelled by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evface_training.avatar.stills import AvatarStills
from evface_training.data.faces import FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.recipe_faces import faces_of


def to_train_and_to_judge(
    faces: Sequence[Path], cache: Path | None, folder: Path
) -> tuple[FaceSet, FaceSet]:
    """→ (training, judging); no identity is in both.

    Args:
        faces: folders of faces; without any, avatars are rendered and kept in `folder`.
        cache: a file that keeps the packed faces.
        folder: of the ablation.

    Raises:
        ConfigError: a folder without faces of both kinds.
        RuntimeUnavailable: avatars cannot be rendered on this machine.
    """
    rendered = TrainRecipe(name="ablation", avatars=AvatarStills())
    kept = cache or (None if faces else folder / "avatars.npz")
    training, validation = faces_of(rendered, faces, kept)
    by_hand = validation.select(validation.human)
    return training, by_hand if len(by_hand) else validation
