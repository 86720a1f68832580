"""Avatars as faces to train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_training.avatar.stills import AvatarStills, load_stills, render_stills
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.recipe_faces import faces_of


@pytest.fixture(scope="module")
def stills() -> FaceSet:
    try:
        return render_stills(range(3, 5), 2)
    except RuntimeUnavailable as error:
        pytest.skip(str(error))


def test_faces_are_cropped_like_all_others(stills: FaceSet) -> None:
    assert stills.images.shape == (4, CROP_SIDE_PX, CROP_SIDE_PX)
    assert stills.identities.tolist() == ["avatar:3", "avatar:3", "avatar:4", "avatar:4"]
    for points in stills.points:
        low, high = points.min(0), points.max(0)
        # Centred, and half as large as the crop.
        np.testing.assert_allclose((low + high) / 2, (CROP_SIDE_PX - 1) / 2, atol=0.6)
        assert (high - low).max() == pytest.approx(CROP_SIDE_PX / 2, abs=0.1)


def test_landmarks_lie_on_the_image(stills: FaceSet) -> None:
    """Pupils are darker than the sclera beside them; the image is not empty."""
    for image, points in zip(stills.images, stills.points, strict=True):
        assert image.std() > 10
        x, y = points[96].round().astype(int)
        pupil = image[y - 1 : y + 2, x - 1 : x + 2].mean()
        brow, lip = (image[tuple(points[k].round().astype(int)[::-1])] for k in (54, 16))
        assert pupil < max(brow, lip)


def test_the_number_of_processes_does_not_change_the_result(stills: FaceSet) -> None:
    again = render_stills(range(4, 5), 2, processes=2)
    for field in ("images", "points", "names"):
        np.testing.assert_array_equal(getattr(again, field), getattr(stills, field)[2:])


def test_stored_stills_are_used_only_for_the_same_avatars(stills: FaceSet, tmp_path: Path) -> None:
    path = tmp_path / "run" / "avatars.npz"
    assert load_stills(path, range(3, 5), 2) is None
    stills.save(path)
    kept = load_stills(path, range(3, 5), 2)
    assert kept is not None
    np.testing.assert_array_equal(kept.images, stills.images)
    assert load_stills(path, range(4, 6), 2) is None
    path.write_bytes(b"half a file")
    assert load_stills(path, range(3, 5), 2) is None


def test_a_recipe_with_avatars_needs_no_faces(stills: FaceSet, tmp_path: Path) -> None:
    recipe = TrainRecipe("t", avatars=AvatarStills(people=1, validation_people=1, stills=2, seed=3))
    path = tmp_path / "avatars.npz"
    stills.save(path)
    training, validation = faces_of(recipe, [], path)
    assert set(training.identities) == {"avatar:3"}
    assert set(validation.identities) == {"avatar:4"}
    with pytest.raises(ConfigError) as error:
        faces_of(replace(recipe, avatars=None), [], None)
    assert error.value.field == "--faces"


@pytest.mark.parametrize("wrong", [{"people": 0}, {"stills": 0}, {"seed": -1}])
def test_settings_out_of_range_are_rejected(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as error:
        AvatarStills(**wrong)
    assert error.value.field == f"avatars.{next(iter(wrong))}"
