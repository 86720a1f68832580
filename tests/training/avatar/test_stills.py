"""Avatars as faces to train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_training.avatar.stills import AvatarStills, keep_stills, kept_stills, render_stills
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.recipe_faces import faces_of


@pytest.fixture(scope="module")
def stills() -> FaceSet:
    try:
        return render_stills(range(3, 5), 2)
    except RuntimeUnavailable as error:
        pytest.skip(str(error))


def test_faces_are_cut_like_every_other(stills: FaceSet) -> None:
    assert stills.images.shape == (4, CROP_SIDE_PX, CROP_SIDE_PX)
    assert stills.identities.tolist() == ["head:3", "head:3", "head:4", "head:4"]
    for points in stills.points:
        low, high = points.min(0), points.max(0)
        # Centred, and half as large as the crop.
        np.testing.assert_allclose((low + high) / 2, (CROP_SIDE_PX - 1) / 2, atol=0.6)
        assert (high - low).max() == pytest.approx(CROP_SIDE_PX / 2, abs=0.1)


def test_landmarks_lie_on_the_picture(stills: FaceSet) -> None:
    """Pupils are darker than the sclera beside them; the image is not empty."""
    for image, points in zip(stills.images, stills.points, strict=True):
        assert image.std() > 10
        x, y = points[96].round().astype(int)
        pupil = image[y - 1 : y + 2, x - 1 : x + 2].mean()
        brow, lip = (image[tuple(points[k].round().astype(int)[::-1])] for k in (54, 16))
        assert pupil < max(brow, lip)


def test_another_number_of_processes_gives_the_same(stills: FaceSet) -> None:
    again = render_stills(range(4, 5), 2, processes=2)
    for field in ("images", "points", "names"):
        np.testing.assert_array_equal(getattr(again, field), getattr(stills, field)[2:])


def test_kept_ones_are_taken_only_if_they_are_the_same_heads(
    stills: FaceSet, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "avatars.npz"
    assert kept_stills(path, range(3, 5), 2) is None
    keep_stills(path, stills)
    kept = kept_stills(path, range(3, 5), 2)
    assert kept is not None
    np.testing.assert_array_equal(kept.images, stills.images)
    assert kept_stills(path, range(4, 6), 2) is None
    path.write_bytes(b"half a file")
    assert kept_stills(path, range(3, 5), 2) is None


def test_a_recipe_with_heads_needs_no_faces(stills: FaceSet, tmp_path: Path) -> None:
    recipe = TrainRecipe("t", avatars=AvatarStills(people=1, validation_people=1, stills=2, seed=3))
    path = tmp_path / "avatars.npz"
    keep_stills(path, stills)
    training, validation = faces_of(recipe, [], path)
    assert set(training.identities) == {"head:3"}
    assert set(validation.identities) == {"head:4"}
    with pytest.raises(ConfigError, match="renders no avatars"):
        faces_of(replace(recipe, avatars=None), [], None)


@pytest.mark.parametrize("wrong", [{"people": 0}, {"stills": 0}, {"seed": -1}])
def test_settings_out_of_range_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"avatars.{next(iter(wrong))}"):
        AvatarStills(**wrong)
