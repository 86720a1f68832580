"""Metrics of hand-made results for a hand-made face."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from evface_edge.events.array import EVENT_DTYPE
from evface_edge.geometry import Box, SensorSize
from evface_edge.landmarks import nme
from evface_edge.results import FaceLandmarks, FaceState
from evface_training.data.avatars import load_avatars
from evface_training.tracking.metrics import (
    VISIBLE_EVENTS_PER_PX,
    Instant,
    SequenceMetrics,
    measure,
    negatives_summary,
    summary,
    visible_after_s,
)
from evface_training.tracking.sequences import TRUTH_US, FullSequence, Truth
from evface_training.tracking.trajectories import Phases

SIZE = SensorSize(346, 260)
PHASES = Phases("starts_moving", 0.5, (2.0, 2.5), (3.5, 8.5), 9.0, (10.0, 10.5), 12.0)
FACE = load_avatars().points[0].astype(np.float64)
FACE = (FACE - FACE.mean(0)) * 0.8
ELSEWHERE = FACE + np.array([60, 60])
NOISE = np.random.default_rng(0).standard_normal((98, 2))


def _truth_at(t_s: float) -> np.ndarray:
    """In the centre, swinging; out of view from 10 to 10.5 s."""
    clock = min(t_s, 3.5) + max(t_s - 8.5, 0)
    x = 170 + 20 * math.sin(3 * clock)
    if 9.5 < t_s < 10.5:
        x += 1000
    return FACE + np.array([x, 130])


def _sequence() -> FullSequence:
    times_us = np.arange(0, 12_000_001, TRUTH_US)
    points = np.stack([_truth_at(t * 1e-6) for t in times_us]).astype(np.float32)
    covered = (times_us > 1_800_000) & (times_us < 2_700_000)
    truth = Truth(points, covered, PHASES)
    return FullSequence("hand-made", SIZE, np.empty(0, EVENT_DTYPE), times_us, (truth,))


def _face(points: np.ndarray, face_id: int, t_us: int) -> FaceLandmarks:
    points = points.astype(np.float32)
    sigma = np.ones(98, np.float32)
    return FaceLandmarks(
        t_us, points, sigma, 1.0, Box.around(points), FaceState.FOLLOWING, face_id=face_id
    )


def _results(
    *, delay_s: float = 0.05, again_id: int = 0, held: float = 2.0, away_s: float = 0.2
) -> list[Instant]:
    """Detected late; errors of 1 px while it moves, of `held` px in the pause."""
    results: list[Instant] = []
    for t_us in range(10_000, 12_000_000, 10_000):
        t_s = t_us * 1e-6
        hidden = 1.8 < t_s < 2.75
        away = 9.4 < t_s < 10.5 + away_s
        if t_s < 0.5 + delay_s or hidden or away:
            results.append((t_us, []))
            continue
        error = held if 3.5 < t_s < 8.5 else 1.0
        number = again_id if t_s > 2.5 else 0
        results.append((t_us, [_face(_truth_at(t_s) + error * NOISE, number, t_us)]))
    return results


def test_metrics_are_those_of_the_results() -> None:
    metrics = measure(_sequence(), _results())
    (face,) = metrics.faces
    assert face.detection_s == pytest.approx(0.05, abs=0.011)
    assert face.redetection_s == pytest.approx(0.2, abs=0.011)
    assert face.id_kept is True
    assert face.held.mean() / face.moving.mean() == pytest.approx(2.0, rel=0.01)
    expected = float(nme((_truth_at(1.0) + NOISE).astype(np.float32), _truth_at(1.0)))
    assert face.moving.mean() == pytest.approx(expected, rel=0.01)
    assert face.held_fraction == pytest.approx(1.0)
    assert (metrics.false_ids, metrics.false_instants) == (0, 0)
    table = summary([metrics])
    assert table["detected_within_100_ms_percent"] == 100
    assert table["redetected_within_100_ms_percent"] == 0
    assert table["held_to_moving"] == pytest.approx(2.0, rel=0.01)


def test_a_resting_face_is_visible_after_enough_events() -> None:
    still = _sequence()
    side_px = np.ptp(still.faces[0].points[50], axis=0)
    # 5 events a millisecond of noise in the face's box all along; from 0.6 s on 20 more.
    rng = np.random.default_rng(1)
    t_us = np.concatenate([np.arange(0, 2_000_000, 200), np.arange(600_000, 2_000_000, 50)])
    events = np.zeros(len(t_us), EVENT_DTYPE)
    events["t"] = np.sort(t_us)
    low = still.faces[0].points[50].min(0)
    events["x"], events["y"] = (low + side_px * rng.random((len(t_us), 2))).T
    visible_s = visible_after_s(replace(still, events=events), still.faces[0])
    expected_s = 0.1 + VISIBLE_EVENTS_PER_PX * float(np.prod(side_px)) / 20_000
    assert visible_s == pytest.approx(expected_s, rel=0.1)
    (face,) = measure(replace(still, events=events), _results(delay_s=0.15)).faces
    table = summary([measure(replace(still, events=events), _results(delay_s=0.15))])
    assert (face.visible_s, table["detected_within_100_ms_percent"]) == (visible_s, 0)
    assert table["detected_within_100_ms_of_events_percent"] == 100
    # A face that enters is visible when it is inside.
    enters = replace(still.faces[0], phases=replace(PHASES, appearance="enters"))
    assert visible_after_s(replace(still, events=events), enters) == 0
    assert visible_after_s(still, still.faces[0]) == 1.0  # never


def test_another_id_after_the_occlusion_is_not_kept() -> None:
    assert measure(_sequence(), _results(again_id=7)).faces[0].id_kept is False


def test_a_face_never_detected_is_infinitely_late() -> None:
    metrics = measure(_sequence(), _results(delay_s=100.0))
    (face,) = metrics.faces
    assert math.isinf(face.detection_s)
    assert face.id_kept is None
    assert summary([metrics])["never_detected_percent"] == 100


def test_false_faces_are_counted_once_for_each_id() -> None:
    results = [
        (t_us, [*faces, _face(ELSEWHERE, 5, t_us)] if 3_000_000 < t_us < 4_000_000 else faces)
        for t_us, faces in _results()
    ]
    metrics = measure(_sequence(), results)
    assert metrics.false_ids == 1
    assert metrics.false_instants == 99


def test_an_hour_of_false_faces() -> None:
    one = SequenceMetrics(1800.0, (), 1, 10, 1000)
    none = SequenceMetrics(1800.0, (), 0, 0, 1000)
    assert negatives_summary([one, none])["false_faces_per_hour"] == 1.0
    # The rule of three.
    limit = "false_faces_per_hour_95_percent_limit"
    assert negatives_summary([none])[limit] == pytest.approx(6, rel=0.01)
