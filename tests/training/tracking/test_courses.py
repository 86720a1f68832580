"""Courses: what is said to happen happens."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from evface_edge.geometry import SensorSize
from evface_training.tracking.courses import EASE_S, HIDDEN_S, PAUSE_S, WAYS, Course

SIZES = [SensorSize(346, 260), SensorSize(1280, 720)]


def _courses(size: SensorSize) -> list[Course]:
    return [Course(size, np.random.default_rng(k), WAYS[k % 3]) for k in range(9)]


def _in_view(course: Course, t_s: float) -> bool:
    pose = course.pose(t_s)
    half = pose.side / 2
    inside_x = half <= pose.x <= course.size.width - half
    return inside_x and half <= pose.y <= course.size.height - half


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_face_rests_in_its_pause_and_moves_otherwise(size: SensorSize) -> None:
    for course in _courses(size):
        start, stop = course.phases.paused
        assert stop - start == PAUSE_S
        first, last = course.pose(start + EASE_S), course.pose(stop)
        assert (first.x, first.y, first.side, first.roll) == pytest.approx(
            (last.x, last.y, last.side, last.roll)
        )
        places = [course.pose(t) for t in np.linspace(start - 1.0, start, 20)]
        way = sum(np.hypot(b.x - a.x, b.y - a.y) for a, b in pairwise(places))
        assert way > 0.05 * course.side


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_in_view_when_it_should_be_and_only_then(size: SensorSize) -> None:
    for course in _courses(size):
        phases = course.phases
        for t_s in (*phases.hidden, *phases.paused, phases.end):
            assert _in_view(course, t_s)
        away = course.pose(sum(phases.away) / 2)
        half = 0.8 * away.side  # heads are larger than the box of their landmarks
        assert not (-half < away.x < size.width + half and -half < away.y < size.height + half)
        if phases.way == "enters":
            assert not _in_view(course, phases.appears)


def test_it_is_hidden_for_half_a_second_and_uncovered_where_that_is_its_way() -> None:
    for course in _courses(SIZES[0]):
        begin, end = course.phases.hidden
        assert end - begin == pytest.approx(HIDDEN_S)
        assert [course.cover(t) for t in (begin, (begin + end) / 2, end)] == pytest.approx([0] * 3)
        assert course.cover(end + 1.0) is None
        assert (course.cover(0.0) == 0) == (course.phases.way == "uncovered")


def test_before_it_begins_to_move_it_rests() -> None:
    course = _courses(SIZES[0])[WAYS.index("begins")]
    appears = course.phases.appears
    assert course.pose(0.0) == course.pose(appears)
    assert course.pose(appears + 0.2) != course.pose(appears)
