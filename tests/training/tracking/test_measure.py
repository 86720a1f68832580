"""Figures of hand-made answers to a hand-made truth."""

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
from evface_training.tracking.measure import (
    SEEN_EVENTS_PER_PX,
    Instant,
    SequenceFigures,
    judge,
    negatives_summary,
    seen_after_s,
    summary,
)
from evface_training.tracking.sequences import TRUTH_US, FullSequence, Truth
from evface_training.tracking.trajectories import Phases

SIZE = SensorSize(346, 260)
PHASES = Phases("begins", 0.5, (2.0, 2.5), (3.5, 8.5), 9.0, (10.0, 10.5), 12.0)
FACE = load_avatars().points[0].astype(np.float64)
FACE = (FACE - FACE.mean(0)) * 0.8
ELSEWHERE = FACE + np.array([60, 60])
NOISE = np.random.default_rng(0).standard_normal((98, 2))


def _truth_at(t_s: float) -> np.ndarray:
    """In the middle, swinging; away from 10 to 10.5 s."""
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


def _answers(
    *, delay_s: float = 0.05, again_id: int = 0, held: float = 2.0, away_s: float = 0.2
) -> list[Instant]:
    """Found late, wrong by 1 px of noise while it moves, `held` px in the pause."""
    answers: list[Instant] = []
    for t_us in range(10_000, 12_000_000, 10_000):
        t_s = t_us * 1e-6
        hidden = 1.8 < t_s < 2.75
        away = 9.4 < t_s < 10.5 + away_s
        if t_s < 0.5 + delay_s or hidden or away:
            answers.append((t_us, []))
            continue
        error = held if 3.5 < t_s < 8.5 else 1.0
        number = again_id if t_s > 2.5 else 0
        answers.append((t_us, [_face(_truth_at(t_s) + error * NOISE, number, t_us)]))
    return answers


def test_every_figure_is_what_was_put_in() -> None:
    figures = judge(_sequence(), _answers())
    (face,) = figures.faces
    assert face.found_s == pytest.approx(0.05, abs=0.011)
    assert face.again_s == pytest.approx(0.2, abs=0.011)
    assert face.kept_id is True
    assert face.held.mean() / face.moving.mean() == pytest.approx(2.0, rel=0.01)
    expected = float(nme((_truth_at(1.0) + NOISE).astype(np.float32), _truth_at(1.0)))
    assert face.moving.mean() == pytest.approx(expected, rel=0.01)
    assert face.held_fraction == pytest.approx(1.0)
    assert (figures.false_ids, figures.false_instants) == (0, 0)
    table = summary([figures])
    assert table["found_within_100_ms_percent"] == 100
    assert table["again_within_100_ms_percent"] == 0
    assert table["held_to_moving"] == pytest.approx(2.0, rel=0.01)


def test_a_face_that_begins_to_move_is_there_once_it_makes_events() -> None:
    still = _sequence()
    side_px = np.ptp(still.faces[0].points[50], axis=0)
    # 5 events a millisecond of noise in the face's box all along; from 0.6 s on 20 more.
    rng = np.random.default_rng(1)
    t_us = np.concatenate([np.arange(0, 2_000_000, 200), np.arange(600_000, 2_000_000, 50)])
    events = np.zeros(len(t_us), EVENT_DTYPE)
    events["t"] = np.sort(t_us)
    low = still.faces[0].points[50].min(0)
    events["x"], events["y"] = (low + side_px * rng.random((len(t_us), 2))).T
    seen_s = seen_after_s(replace(still, events=events), still.faces[0])
    expected_s = 0.1 + SEEN_EVENTS_PER_PX * float(np.prod(side_px)) / 20_000
    assert seen_s == pytest.approx(expected_s, rel=0.1)
    (face,) = judge(replace(still, events=events), _answers(delay_s=0.15)).faces
    table = summary([judge(replace(still, events=events), _answers(delay_s=0.15))])
    assert (face.seen_s, table["found_within_100_ms_percent"]) == (seen_s, 0)
    assert table["found_within_100_ms_of_events_percent"] == 100
    # One that comes in is there when it is inside.
    enters = replace(still.faces[0], phases=replace(PHASES, way="enters"))
    assert seen_after_s(replace(still, events=events), enters) == 0
    assert seen_after_s(still, still.faces[0]) == 1.0  # never


def test_another_number_after_the_hiding_is_not_kept() -> None:
    assert judge(_sequence(), _answers(again_id=7)).faces[0].kept_id is False


def test_what_is_never_found_is_infinitely_late() -> None:
    figures = judge(_sequence(), _answers(delay_s=100.0))
    (face,) = figures.faces
    assert math.isinf(face.found_s)
    assert face.kept_id is None
    assert summary([figures])["never_found_percent"] == 100


def test_faces_where_there_are_none_are_counted_once_for_each_number() -> None:
    answers = [
        (t_us, [*faces, _face(ELSEWHERE, 5, t_us)] if 3_000_000 < t_us < 4_000_000 else faces)
        for t_us, faces in _answers()
    ]
    figures = judge(_sequence(), answers)
    assert figures.false_ids == 1
    assert figures.false_instants == 99


def test_an_hour_of_false_faces() -> None:
    one = SequenceFigures(1800.0, (), 1, 10, 1000)
    none = SequenceFigures(1800.0, (), 0, 0, 1000)
    assert negatives_summary([one, none])["false_faces_an_hour"] == 1.0
    # The rule of three.
    assert negatives_summary([none])["false_faces_an_hour_at_most"] == pytest.approx(6, rel=0.01)
