"""The clips of a calibration file."""

from __future__ import annotations

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_training.calibration_set import MAX_CALIBRATION, draw_clip_set
from evface_training.data.avatars import AVATARS, load_avatars
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.simulation.clip_prior import ClipPrior

SMALL = ClipPrior(bins=2, steps_per_bin=1)


def test_two_groups_of_people(drawn_faces: FaceSet) -> None:
    first = np.arange(12) < 6
    black = FaceSet(**{**vars(drawn_faces), "images": np.zeros_like(drawn_faces.images)})
    done: list[int] = []
    # Nothing can be seen of the faces that calibrate: their events are noise.
    arrays = draw_clip_set(
        black.select(first), drawn_faces.select(~first), SMALL, 32, 40, 1, advance=done.append
    )
    assert sum(done) == 40
    assert arrays["inputs"].shape == (40, 4, 32, 32)
    assert arrays["inputs"].dtype == np.uint8
    assert arrays["for_evaluation"].tolist() == [False] * 20 + [True] * 20
    filled = (arrays["inputs"] > 0).mean((1, 2, 3))
    for_evaluation = arrays["for_evaluation"].astype(bool)
    assert np.median(filled[for_evaluation]) > 3 * np.median(filled[~for_evaluation])
    again = draw_clip_set(black.select(first), drawn_faces.select(~first), SMALL, 32, 40, 1)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, again[name])


def test_some_clips_have_no_face(drawn_faces: FaceSet) -> None:
    prior = ClipPrior(bins=2, steps_per_bin=1, negative_fraction=0.5)
    presence = draw_clip_set(drawn_faces, drawn_faces, prior, 32, 80, 1)["presence"]
    assert 20 < presence.sum() < 60


def test_limits_and_errors(drawn_faces: FaceSet) -> None:
    assert MAX_CALIBRATION == 512
    with pytest.raises(ConfigError) as error:
        draw_clip_set(drawn_faces, drawn_faces, SMALL, 32, 1, 1)
    assert error.value.field == "count"
    nobody = drawn_faces.select(np.zeros(12, bool))
    with pytest.raises(ConfigError) as error:
        draw_clip_set(nobody, drawn_faces, SMALL, 32, 4, 1)
    assert error.value.field == "faces"


def test_bundled_avatars_have_the_usual_size() -> None:
    avatars = load_avatars()
    assert len(avatars) == len(set(avatars.identities)) == AVATARS == 96
    assert avatars.images.shape == (96, CROP_SIDE_PX, CROP_SIDE_PX)
    low, high = avatars.points.min(1), avatars.points.max(1)
    np.testing.assert_allclose((high - low).max(-1), CROP_SIDE_PX / 2, atol=0.01)
    np.testing.assert_allclose((high + low) / 2, (CROP_SIDE_PX - 1) / 2, atol=0.01)
    # Eyes are darker than the cheeks beside the nose: points and images belong together.
    darker = 0
    for image, points in zip(avatars.images, avatars.points, strict=True):
        pupil = [image[tuple(points[index][::-1].round().astype(int))] for index in (96, 97)]
        cheek = (points[96] + points[97]) / 2 * 0.4 + points[[76, 82]] * 0.6
        skin = [image[tuple(place[::-1].round().astype(int))] for place in cheek]
        darker += float(np.mean(pupil)) < float(np.mean(skin))
    assert darker > 80
    # Nothing black beyond the edge of the rendered image.
    assert (avatars.images[:, [0, -1]].max((1, 2)) > 0).all()
