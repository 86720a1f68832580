"""Head pose and blink metrics of results with known errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceLandmarks, FaceState, Predictions
from evface_training.avatar import AvatarIdentity, PinholeCamera, Pose
from evface_training.avatar.deformation import Deformer
from evface_training.avatar.landmarks import LandmarkModel
from evface_training.avatar.mesh import build
from evface_training.avatar.scene import Expression
from evface_training.evaluation import head_pose
from evface_training.evaluation.head_pose import AvatarLabels, compare, evaluate_head_pose

SIZE = SensorSize(346, 260)
CAMERA = PinholeCamera(SIZE, 400.0)
STEP_US = 5_000


def pose_at(t_us: int) -> Pose:
    return Pose(yaw_deg=20 * np.sin(t_us * 2e-6), distance_mm=600.0)


@pytest.fixture(scope="module")
def labels() -> AvatarLabels:
    """A head that turns for three seconds and blinks once; its pose and points are known."""
    head = build(AvatarIdentity())
    model, deformer = LandmarkModel(head), Deformer(head)
    solid = model.points(Expression(), deformer.apply(Expression()))
    closed = Expression(blink_right=1.0, blink_left=1.0)
    shut = model.points(closed, deformer.apply(closed))
    times = list(range(0, 3_000_001, STEP_US))
    points = []
    for t_us in times:
        face = shut if 1_500_000 <= t_us < 1_650_000 else solid
        points.append(CAMERA.project(pose_at(t_us).to_camera(face)).astype(np.float32))
    animation = SimpleNamespace(
        state=lambda t_us: (None, pose_at(t_us)), blinks_us=np.array([1_500_000])
    )
    scene: Any = SimpleNamespace(camera=CAMERA, animation=animation)
    return AvatarLabels(scene, times, points)


def results(labels: AvatarLabels, *, delay_us: int = 0, shift_px: float = 0.0) -> Predictions:
    """The labels as results, late and moved to the right."""
    faces = []
    for t_us in range(50_000, 2_950_000, STEP_US):
        truth = labels.at(np.array([t_us - delay_us]))[0]
        points = (truth + np.array([shift_px, 0])).astype(np.float32)
        sigma = np.ones(98, np.float32)
        box = Box.around(points)
        faces.append(FaceLandmarks(t_us, points, sigma, 1.0, box, FaceState.FOLLOWING, face_id=0))
    return Predictions(faces, size=SIZE, model="test", windows=len(faces))


def test_exact_results_have_no_error(labels: AvatarLabels) -> None:
    metrics = compare(results(labels), labels)
    assert metrics["nme98_percent"] == pytest.approx(0, abs=1e-4)
    assert metrics["flicker_percent"] == pytest.approx(0, abs=1e-4)
    assert metrics["delay_ms"] == 0
    assert metrics["ear_error"] == pytest.approx(0, abs=1e-5)
    assert max(metrics[f"{angle}_error_deg"] for angle in ("yaw", "pitch", "roll")) < 6
    assert metrics["blinks"] == metrics["blinks_matched"] == metrics["blinks_detected"] == 1


def test_delay_and_shift_are_measured(labels: AvatarLabels) -> None:
    late = compare(results(labels, delay_us=10_000), labels)
    assert late["delay_ms"] == 10
    moved = compare(results(labels, shift_px=2.0), labels)
    truth = labels.at(np.arange(50_000, 2_950_000, STEP_US).astype(float))
    eyes = np.linalg.norm(truth[:, 60] - truth[:, 72], axis=1)
    assert moved["nme98_percent"] == pytest.approx(100 * float((2 / eyes).mean()), rel=1e-3)
    assert moved["flicker_percent"] == pytest.approx(0, abs=1e-4)


def test_means_over_recordings_and_sums_of_blinks(
    monkeypatch: pytest.MonkeyPatch, labels: AvatarLabels
) -> None:
    class Known:
        """A predictor whose results depend on its smoothing."""

        def __init__(self, model: str, **settings: Any) -> None:
            self._delay_us = 10_000 if settings["smoothing"] else 0

        def __enter__(self) -> Known:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def run(self, events: object, *, size: SensorSize) -> Predictions:
            return results(labels, delay_us=self._delay_us)

    monkeypatch.setattr(head_pose, "Predictor", Known)
    monkeypatch.setattr(head_pose, "simulate", lambda source: (None, labels))
    report = evaluate_head_pose("any", 2)
    assert list(report) == [
        "normal",
        "normal, without smoothing",
        "fast",
        "fast, without smoothing",
    ]
    assert report["normal"]["delay_ms"] == 10
    assert report["normal, without smoothing"]["delay_ms"] == 0
    assert (report["fast"]["recordings"], report["fast"]["blinks"]) == (2, 2)
    assert report["fast"]["blink_f1"] == 1
