"""Sequences: events and labels agree."""

from __future__ import annotations

import numpy as np
import pytest

from evface_edge.geometry import Box, SensorSize
from evface_training.data.avatars import load_avatars
from evface_training.tracking.sequences import TRUTH_US, FullSequence, SequenceMaker

SIZE = SensorSize(120, 90)


@pytest.fixture(scope="module")
def maker() -> SequenceMaker:
    return SequenceMaker(load_avatars(), SIZE, textures=4, objects=4)


@pytest.fixture(scope="module")
def sequence(maker: SequenceMaker) -> FullSequence:
    return maker.sequence(0)  # one face, which enters


def _event_density(sequence: FullSequence, t_s: float, box: Box) -> float:
    """Events per pixel in a box, in the 50 ms before."""
    t = sequence.events["t"]
    events = sequence.events[(t > (t_s - 0.05) * 1e6) & (t <= t_s * 1e6)]
    inside = (np.abs(events["x"] - box.center[0]) < box.width / 2) & (
        np.abs(events["y"] - box.center[1]) < box.height / 2
    )
    return float(inside.sum()) / (box.width * box.height)


def _box(sequence: FullSequence, t_s: float) -> Box:
    return Box.around(sequence.faces[0].points[round(t_s * 1e6 / TRUTH_US)])


def test_a_moving_face_makes_events_where_its_labels_are(sequence: FullSequence) -> None:
    (face,) = sequence.faces
    phases = face.phases
    start, stop = phases.paused
    moving = [_event_density(sequence, t, _box(sequence, t)) for t in (start - 0.5, start - 0.2)]
    paused = [
        _event_density(sequence, t, _box(sequence, t)) for t in (start + 1, start + 2, stop - 0.1)
    ]
    assert np.mean(moving) > 4 * np.mean(paused)


def test_events_and_labels_are_valid(sequence: FullSequence) -> None:
    events = sequence.events
    assert (np.diff(events["t"]) >= 0).all()
    assert events["x"].max() < SIZE.width
    assert events["y"].max() < SIZE.height
    (face,) = sequence.faces
    assert face.points.shape == (len(sequence.times_us), 98, 2)
    begin, end = face.phases.hidden
    hidden = (sequence.times_us > begin * 1e6) & (sequence.times_us < end * 1e6)
    assert face.covered[hidden].all()
    assert not face.covered[sequence.times_us > (end + 0.3) * 1e6].any()
    assert sequence.duration_s == pytest.approx(face.phases.end, abs=0.01)


def test_negatives_have_no_face_and_depend_on_their_number_only(maker: SequenceMaker) -> None:
    one, same, other = (maker.negative(number, 0.3) for number in (0, 0, 1))
    assert one.faces == ()
    np.testing.assert_array_equal(one.events, same.events)
    assert len(one.events) != len(other.events)
