"""The 98 points on the mesh, without rendering."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from evface_edge.landmarks import CONTOUR, EYE_CORNERS, LEFT_EYE, MIRROR, RIGHT_EYE
from evface_training.avatar import AvatarIdentity, Expression
from evface_training.avatar.model import AvatarModel


@pytest.fixture(scope="module", autouse=True)
def no_texture() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evface_training.avatar.texture.SIZE", 16)
        yield


@pytest.fixture(scope="module")
def model() -> AvatarModel:
    return AvatarModel(AvatarIdentity())


def points(model: AvatarModel, expression: Expression) -> NDArray[np.floating]:
    return model.landmarks.points(expression, model.bare_skin(expression))


def test_a_symmetric_face_has_symmetric_landmarks(model: AvatarModel) -> None:
    expression = Expression(
        jaw_open=0.4, smile=0.6, brow_right=0.8, blink_left=0.7, gaze_yaw_deg=20, pucker=0.2
    )
    other = Expression(
        jaw_open=0.4, smile=0.6, brow_left=0.8, blink_right=0.7, gaze_yaw_deg=-20, pucker=0.2
    )
    mirrored = points(model, other)[MIRROR] * [-1, 1, 1]
    np.testing.assert_allclose(points(model, expression), mirrored, atol=0.05)


def test_the_mesh_has_the_proportions_of_the_identity() -> None:
    identity = AvatarIdentity(
        eye_distance_mm=66, eye_width_mm=30, mouth_width_mm=56, nose_length_mm=52, philtrum_mm=18
    )
    face = points(AvatarModel(identity), Expression())
    assert face[97, 0] - face[96, 0] == pytest.approx(66, abs=0.2)
    right, left = face[list(EYE_CORNERS)]
    assert left[0] - right[0] == pytest.approx(66 + 30, abs=0.2)
    assert face[82, 0] - face[76, 0] == pytest.approx(56, abs=0.2)
    mouth_y = 5 - 52 - 18  # from the root of the nose
    assert face[90, 1] == pytest.approx(mouth_y, abs=1.5)
    assert face[16, 1] == pytest.approx(mouth_y - identity.chin_length_mm, abs=2.5)


def test_the_points_lie_in_the_order_of_wflw(model: AvatarModel) -> None:
    face = points(model, Expression())
    x, y, z = face.T
    assert np.all(np.diff(x[CONTOUR]) > 0)  # from the right ear to the left one
    assert np.all(np.diff(y[0:17]) < 0)
    assert np.all(np.diff(y[16:33]) > 0)
    assert np.all(np.diff(y[51:55]) < 0)  # down the bridge
    assert z.argmax() == 54  # the tip of the nose
    assert np.all(np.diff(x[55:60]) > 0)
    assert y[33:38].mean() > y[38:42].mean() + 2  # upper edge of the brow, lower edge
    for first, last in ((60, 64), (68, 72)):
        assert y[first + 1 : last].min() > max(y[first], y[last])
        assert y[last + 1 : last + 4].max() < min(y[first], y[last]) + 0.5
    assert y[79] > y[90] >= y[94] > y[85]
    step = np.hypot(*np.diff(face[CONTOUR, :2], axis=0).T)
    assert step.max() < 1.35 * step.min()


def test_a_blink_makes_the_lids_meet(model: AvatarModel) -> None:
    opened = points(model, Expression())
    closed = points(model, Expression(blink_right=1.0))
    gap = np.linalg.norm(closed[[61, 62, 63]] - closed[[67, 66, 65]], axis=1)
    assert gap.max() < 0.05
    assert np.linalg.norm(opened[62] - opened[66]) > 8
    np.testing.assert_allclose(closed[LEFT_EYE], opened[LEFT_EYE])
    np.testing.assert_allclose(closed[[60, 64]], opened[[60, 64]], atol=0.05)  # the corners stay


@pytest.mark.parametrize("blink", [0.13, 0.5, 0.87])
def test_the_lids_close_steadily(model: AvatarModel, blink: float) -> None:
    def gap(value: float) -> float:
        face = points(model, Expression(blink_right=value, blink_left=value))
        return float(face[62, 1] - face[66, 1])

    assert gap(blink - 0.1) > gap(blink) > gap(blink + 0.1)


def test_gaze_turns_the_pupils_on_the_eyeball(model: AvatarModel) -> None:
    straight = points(model, Expression())
    aside = points(model, Expression(gaze_yaw_deg=20, gaze_pitch_deg=-10))
    moved = aside[96:98] - straight[96:98]
    radius = 13.0
    expected = radius * np.array(
        [
            np.sin(np.radians(20)) * np.cos(np.radians(10)),
            -np.sin(np.radians(10)),
            np.cos(np.radians(20)) * np.cos(np.radians(10)) - 1,
        ]
    )
    np.testing.assert_allclose(moved, [expected, expected], atol=1e-6)
    np.testing.assert_allclose(aside[RIGHT_EYE], straight[RIGHT_EYE])


def test_the_jaw_turns_the_chin_and_opens_the_lips(model: AvatarModel) -> None:
    shut, opened = points(model, Expression()), points(model, Expression(jaw_open=1.0))
    fixed = [*range(33, 60), *range(60, 76)]
    np.testing.assert_allclose(opened[fixed], shut[fixed], atol=0.6)
    assert shut[90, 1] - shut[94, 1] < 0.1
    assert opened[90, 1] - opened[94, 1] > 20
    assert shut[16, 1] - opened[16, 1] > 20
    # The chin keeps its distance from the hinge of the jaw.
    hinge = np.array([-18.0, 8.0])
    for face in (shut, opened):
        distance = np.linalg.norm(face[16, 1:] - hinge)
        assert distance == pytest.approx(np.linalg.norm(shut[16, 1:] - hinge), rel=0.02)


def test_brows_and_corners_of_the_mouth_move(model: AvatarModel) -> None:
    still = points(model, Expression())
    raised = points(model, Expression(brow_right=1.0))
    assert np.all(raised[33:42, 1] - still[33:42, 1] > 3)
    assert np.abs(raised[42:51, 1] - still[42:51, 1]).max() < 1
    smiling = points(model, Expression(smile=1.0)) - still
    assert smiling[76, 0] < -4 < 4 < smiling[82, 0]
    assert smiling[[76, 82], 1].min() > 3
    pouting = points(model, Expression(pucker=1.0))
    assert pouting[82, 0] - pouting[76, 0] < 0.75 * (still[82, 0] - still[76, 0])
