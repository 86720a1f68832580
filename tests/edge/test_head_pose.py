"""The pose fit against heads whose pose is known, through a camera model written elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_edge.head_pose import Intrinsics, fit_head_pose
from evface_training.avatar import AvatarAnimation, AvatarIdentity, PinholeCamera, Pose
from evface_training.avatar.deformation import Deformer
from evface_training.avatar.landmarks import LandmarkModel
from evface_training.avatar.mesh import build

CAMERA = PinholeCamera(SensorSize(346, 260), 480.0)
INTRINSICS = Intrinsics(480.0, 172.5, 129.5)


def _heads(
    count: int, poses: int, off_axis_mm: float
) -> Iterator[tuple[Pose, np.ndarray, np.ndarray]]:
    """(pose, landmarks px, landmarks in head coordinates mm) of heads that the shape never saw."""
    rng = np.random.default_rng(2024)
    for _ in range(count):
        head = build(AvatarIdentity.sample(rng))
        placing, deformer = LandmarkModel(head), Deformer(head)
        moving = AvatarAnimation.sample(rng, seconds=20.0)
        for t_us in rng.uniform(0, moving.duration_us, poses):
            expression, _ = moving.state(t_us)
            pose = Pose(
                yaw_deg=float(rng.uniform(-35, 35)),
                pitch_deg=float(rng.uniform(-20, 20)),
                roll_deg=float(rng.uniform(-30, 30)),
                x_mm=float(rng.uniform(-off_axis_mm, off_axis_mm)),
                y_mm=float(rng.uniform(-off_axis_mm, off_axis_mm)),
                distance_mm=float(rng.uniform(450, 900)),
            )
            solid = placing.points(expression, deformer.apply(expression))
            yield pose, CAMERA.project(pose.to_camera(solid)), solid


def test_known_poses_come_back_with_intrinsics() -> None:
    angles, distances, shapes = [], [], []
    for pose, landmarks, solid in _heads(6, 4, off_axis_mm=80):
        found = fit_head_pose(landmarks, intrinsics=INTRINSICS)
        assert found.translation_mm is not None
        angles.append(
            [
                found.yaw_deg - pose.yaw_deg,
                found.pitch_deg - pose.pitch_deg,
                found.roll_deg - pose.roll_deg,
            ]
        )
        distances.append(
            found.translation_mm / pose.distance_mm - pose.translation / pose.distance_mm
        )
        shapes.append(np.linalg.norm(found.points_mm - solid, axis=1).mean())
        assert np.allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-9)
    assert np.abs(angles).mean(0).max() < 1.5
    assert np.abs(distances).mean(0).max() < 0.03
    assert np.mean(shapes) < 4.0


def test_without_intrinsics_angles_are_those_to_the_line_of_sight() -> None:
    errors = []
    for pose, landmarks, _ in _heads(5, 4, off_axis_mm=0):
        found = fit_head_pose(landmarks)
        assert found.translation_mm is None
        errors.append([found.yaw_deg - pose.yaw_deg, found.roll_deg - pose.roll_deg])
        assert found.scale_px_per_mm == pytest.approx(480 / pose.distance_mm, rel=0.1)
    assert np.abs(errors).mean(0).max() < 3.0


def test_it_stands_noise_of_the_size_that_the_network_makes() -> None:
    rng = np.random.default_rng(5)
    errors = []
    for pose, landmarks, _ in _heads(5, 4, off_axis_mm=40):
        sigma = 0.05 * np.linalg.norm(landmarks[60] - landmarks[72])
        noisy = landmarks + sigma * rng.standard_normal(landmarks.shape)
        found = fit_head_pose(noisy, sigma, intrinsics=INTRINSICS)
        errors.append([found.yaw_deg - pose.yaw_deg, found.pitch_deg - pose.pitch_deg])
    assert np.abs(errors).mean() < 3.0


@pytest.mark.parametrize(
    "landmarks",
    [np.zeros((68, 2)), np.full((98, 2), np.nan), np.zeros((98, 3))],
    ids=["68 points", "NaN", "three columns"],
)
def test_other_arrays_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(ConfigError) as caught:
        fit_head_pose(landmarks)
    assert caught.value.field == "landmarks"


def test_points_in_one_place_do_not_crash() -> None:
    found = fit_head_pose(np.full((98, 2), 50.0))
    assert np.isfinite([found.yaw_deg, found.pitch_deg, found.roll_deg]).all()


@pytest.mark.parametrize(
    ("field", "values"),
    [("focal_px", (0.0, 1.0, 1.0)), ("cx_px", (1.0, float("nan"), 1.0))],
)
def test_intrinsics_are_checked(field: str, values: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        Intrinsics(*values)
    assert caught.value.field == f"Intrinsics.{field}"
