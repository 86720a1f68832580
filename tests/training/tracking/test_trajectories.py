"""Trajectories: all phases happen at their times."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from evface_edge.geometry import SensorSize
from evface_training.tracking.trajectories import APPEARANCES, EASE_S, HIDDEN_S, PAUSE_S, Trajectory

SIZES = [SensorSize(346, 260), SensorSize(1280, 720)]


def _trajectories(size: SensorSize) -> list[Trajectory]:
    return [Trajectory(size, np.random.default_rng(k), APPEARANCES[k % 3]) for k in range(9)]


def _in_view(trajectory: Trajectory, t_s: float) -> bool:
    pose = trajectory.pose(t_s)
    half = pose.side / 2
    inside_x = half <= pose.x <= trajectory.size.width - half
    return inside_x and half <= pose.y <= trajectory.size.height - half


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_face_rests_in_its_pause_and_moves_otherwise(size: SensorSize) -> None:
    for trajectory in _trajectories(size):
        start, stop = trajectory.phases.paused
        assert stop - start == PAUSE_S
        first, last = trajectory.pose(start + EASE_S), trajectory.pose(stop)
        assert (first.x, first.y, first.side, first.roll) == pytest.approx(
            (last.x, last.y, last.side, last.roll)
        )
        poses = [trajectory.pose(t) for t in np.linspace(start - 1.0, start, 20)]
        length = sum(np.hypot(b.x - a.x, b.y - a.y) for a, b in pairwise(poses))
        assert length > 0.05 * trajectory.side


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_face_is_in_view_in_the_right_phases_only(size: SensorSize) -> None:
    for trajectory in _trajectories(size):
        phases = trajectory.phases
        for t_s in (*phases.hidden, *phases.paused, phases.end):
            assert _in_view(trajectory, t_s)
        away = trajectory.pose(sum(phases.away) / 2)
        half = 0.8 * away.side  # heads are larger than the box of their landmarks
        assert not (-half < away.x < size.width + half and -half < away.y < size.height + half)
        if phases.appearance == "enters":
            assert not _in_view(trajectory, phases.appears)


def test_a_face_is_hidden_for_half_a_second() -> None:
    for trajectory in _trajectories(SIZES[0]):
        begin, end = trajectory.phases.hidden
        assert end - begin == pytest.approx(HIDDEN_S)
        assert [trajectory.cover(t) for t in (begin, (begin + end) / 2, end)] == pytest.approx(
            [0] * 3
        )
        assert trajectory.cover(end + 1.0) is None
        assert (trajectory.cover(0.0) == 0) == (trajectory.phases.appearance == "uncovered")


def test_a_face_rests_before_it_starts_to_move() -> None:
    trajectory = _trajectories(SIZES[0])[APPEARANCES.index("starts_moving")]
    appears = trajectory.phases.appears
    assert trajectory.pose(0.0) == trajectory.pose(appears)
    assert trajectory.pose(appears + 0.2) != trajectory.pose(appears)
