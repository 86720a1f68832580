"""Expression, pose, camera, light and identity: values, mirrors, errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_training.avatar import AvatarIdentity, Expression, Light, PinholeCamera, Pose


def test_rotation_agrees_with_scipy() -> None:
    pose = Pose(yaw_deg=31, pitch_deg=-12, roll_deg=9)
    # Intrinsic angles about x right, y up, z towards the camera, then into camera coordinates.
    turn = Rotation.from_euler("y", 31, degrees=True)
    nod = Rotation.from_euler("x", 12, degrees=True)
    tilt = Rotation.from_euler("z", -9, degrees=True)
    expected = np.diag([1, -1, -1]) @ (tilt * nod * turn).as_matrix()
    np.testing.assert_allclose(pose.rotation, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("pose", "direction"),
    [
        (Pose(yaw_deg=30), (1, 0)),  # to the subject's left: right in the image
        (Pose(pitch_deg=20), (0, -1)),  # up
    ],
)
def test_the_nose_moves_where_the_head_turns(pose: Pose, direction: tuple[int, int]) -> None:
    camera = PinholeCamera()
    nose = np.array([[0.0, 0.0, 100.0]])
    before = camera.project(Pose().to_camera(nose))[0]
    moved = camera.project(pose.to_camera(nose))[0] - before
    assert moved @ direction > 10
    assert abs(moved @ direction[::-1]) < 1e-9


def test_the_optical_axis_meets_the_middle_of_the_picture() -> None:
    camera = PinholeCamera(SensorSize(346, 260), 480)
    np.testing.assert_allclose(camera.project(np.array([0.0, 0.0, 700.0])), (172.5, 129.5))
    np.testing.assert_allclose(camera.project(np.array([70.0, 0, 700])) - (172.5, 129.5), (48, 0))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Expression(jaw_open=1.2), "Expression.jaw_open"),
        (lambda: Expression(gaze_yaw_deg=float("nan")), "Expression.gaze_yaw_deg"),
        (lambda: Pose(yaw_deg=float("inf")), "Pose.yaw_deg"),
        (lambda: Pose(distance_mm=10), "Pose.distance_mm"),
        (lambda: PinholeCamera(focal_px=0), "PinholeCamera.focal_px"),
        (lambda: Light(key=-1), "Light.key"),
        (lambda: Light(background="sea"), "Light.background"),  # type: ignore[arg-type]
        (lambda: AvatarIdentity(eye_distance_mm=200), "AvatarIdentity.eye_distance_mm"),
        (lambda: AvatarIdentity(skin=(2, 0, 0)), "AvatarIdentity.skin"),
        (lambda: AvatarIdentity(hair_style="wig"), "AvatarIdentity.hair_style"),  # type: ignore[arg-type]
    ],
)
def test_values_out_of_range_are_rejected(make: object, field: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()  # type: ignore[operator]
    assert error.value.field == field


def test_the_gaze_is_a_direction_in_head_coordinates() -> None:
    np.testing.assert_allclose(Expression().gaze, [0, 0, 1], atol=1e-12)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(Expression(gaze_yaw_deg=45).gaze, [half, 0, half])
    assert Expression(gaze_pitch_deg=10).gaze[1] == pytest.approx(np.sin(np.radians(10)))


def test_identities_and_lights_follow_their_seed() -> None:
    for kind in (AvatarIdentity, Light):
        first, again = (kind.sample(np.random.default_rng(7)) for _ in range(2))
        assert first == again
        assert first != kind.sample(np.random.default_rng(8))
    avatars = {AvatarIdentity.sample(np.random.default_rng(seed)) for seed in range(40)}
    assert len(avatars) == 40
    assert {avatar.hair_style for avatar in avatars} >= {"short", "swept", "long", "fringe"}
    assert {avatar.glasses for avatar in avatars} == {True, False}


def test_an_identity_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        AvatarIdentity().beard = 1.0  # type: ignore[misc]
