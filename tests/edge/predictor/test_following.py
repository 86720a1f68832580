"""A face is found, followed, held and lost, and keeps its number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import SensorSize
from evface_edge.predictor import Predictor
from evface_edge.results import FaceState
from evface_edge.tracking.policy import TrackingPolicy

SIZE = SensorSize(160, 120)
Ring = Callable[..., EventArray]
MakePredictor = Callable[..., Predictor]


def test_a_face_is_found_and_followed(predictor: Predictor, ring: Ring) -> None:
    faces = predictor.run(ring(0, 300_000, (70, 60)), size=SIZE)
    assert faces[0].state is FaceState.FOUND
    assert {face.state for face in faces[1:]} == {FaceState.FOLLOWING}
    assert len(faces) >= 25
    for face in faces:
        np.testing.assert_allclose(face.landmarks.mean(0), (70, 60), atol=2.5)
        assert face.box.width == pytest.approx(50, abs=6)
    assert faces.windows == 30


def merged(*parts: EventArray) -> EventArray:
    events = np.concatenate(parts)
    return events[np.argsort(events["t"], kind="stable")]


def test_the_policy_is_applied(make_predictor: MakePredictor, ring: Ring) -> None:
    """A ring of 50 pixels, then no events for 0.6 s."""
    events = ring(0, 300_000, (70, 60))
    large_only = make_predictor(policy=TrackingPolicy(min_face_px=60))
    assert not large_only.run(events, size=SIZE)
    late = merged(events, make_events([900_000], [0], [0], [1]))
    results = [
        len(make_predictor(policy=TrackingPolicy(max_hold_us=limit_us)).run(late, size=SIZE))
        for limit_us in (200_000, 10_000_000)
    ]
    assert results == [pytest.approx(50, abs=4), pytest.approx(90, abs=4)]


def test_noise_has_no_face(predictor: Predictor) -> None:
    rng = np.random.default_rng(1)
    noise = make_events(
        np.sort(rng.integers(0, 300_000, 30_000)),
        rng.integers(0, SIZE.width, 30_000),
        rng.integers(0, SIZE.height, 30_000),
        rng.integers(0, 2, 30_000),
    )
    faces = predictor.run(noise, size=SIZE)
    assert len(faces) == 0
    assert faces.windows == 30


def test_a_still_face_is_held_with_growing_sigma(predictor: Predictor, ring: Ring) -> None:
    moving = ring(0, 200_000, (70, 60))
    # A single event now and then: time goes on, nothing moves.
    after = make_events(np.arange(200_000, 900_000, 5_000), [2] * 140, [2] * 140, [1] * 140)
    faces = predictor.run(np.concatenate([moving, after]), size=SIZE)
    held = [face for face in faces if face.state is FaceState.HELD]
    assert len(held) > 50
    assert held[-1].t_us <= 250_000  # when the last event of the ring left the window
    assert held[-1].sigma.mean() > held[0].sigma.mean() > 0
    np.testing.assert_array_equal(held[-1].landmarks, held[0].landmarks)


def test_a_given_box_is_lost_without_events(make_predictor: MakePredictor, ring: Ring) -> None:
    """A ring, then no events for 0.7 s, then the ring again."""
    events = merged(ring(0, 200_000, (70, 60)), ring(900_000, 1_000_000, (70, 60)))
    faces = make_predictor(policy=TrackingPolicy(max_hold_us=300_000)).run(
        events, size=SIZE, box=(45, 35, 50, 50), at_us=range(10_000, 1_000_000, 10_000)
    )
    following = [face for face in faces if face.state is FaceState.FOLLOWING]
    assert {face.state for face in faces} == {FaceState.FOLLOWING, FaceState.HELD}
    assert not [face for face in following if 210_000 < face.t_us < 900_000]
    assert following[-1].t_us > 900_000
    assert len(faces) - len(following) == pytest.approx(30, abs=4)


def test_a_face_covered_by_noise_is_lost(predictor: Predictor, ring: Ring) -> None:
    rng = np.random.default_rng(2)
    noise = make_events(
        np.sort(rng.integers(200_000, 600_000, 60_000)),
        rng.integers(0, SIZE.width, 60_000),
        rng.integers(0, SIZE.height, 60_000),
        rng.integers(0, 2, 60_000),
    )
    faces = predictor.run(np.concatenate([ring(0, 200_000, (70, 60)), noise]), size=SIZE)
    assert faces[-1].t_us < 320_000
    assert len(faces) > 15


def test_two_faces_keep_their_numbers(make_predictor: MakePredictor, ring: Ring) -> None:
    left, right = (35.0, 60.0), (122.0, 58.0)
    events = merged(ring(0, 600_000, left), ring(200_000, 600_000, right, seed=1))
    faces = make_predictor(faces=2).run(events, size=SIZE)
    centers = {
        number: np.array([f.landmarks.mean(0) for f in faces if f.face_id == number])
        for number in {face.face_id for face in faces}
    }
    assert set(centers) == {0, 1}
    np.testing.assert_allclose(centers[0], np.broadcast_to(left, centers[0].shape), atol=3)
    np.testing.assert_allclose(centers[1], np.broadcast_to(right, centers[1].shape), atol=3)
    appeared = next(face.t_us for face in faces if face.face_id == 1)
    assert 200_000 < appeared < 500_000
    assert {face.t_us for face in faces if face.face_id == 0} >= {
        face.t_us for face in faces if face.face_id == 1 and face.t_us < 590_000
    }


def test_no_more_faces_than_wanted(make_predictor: MakePredictor, ring: Ring) -> None:
    events = merged(ring(0, 300_000, (35, 60)), ring(0, 300_000, (122, 58), seed=1))
    faces = make_predictor(faces=1).run(events, size=SIZE)
    assert {face.face_id for face in faces} == {0}
    assert len({face.t_us for face in faces}) == len(faces)


def _hidden(for_us: int, ring: Ring) -> EventArray:
    """A ring, noise for a while, and the ring again 15 pixels to the right."""
    rng = np.random.default_rng(3)
    count = for_us // 10
    noise = make_events(
        np.sort(rng.integers(300_000, 300_000 + for_us, count)),
        rng.integers(0, SIZE.width, count),
        rng.integers(0, SIZE.height, count),
        rng.integers(0, 2, count),
    )
    back = ring(300_000 + for_us, 700_000 + for_us, (75, 60), seed=4)
    return np.concatenate([ring(0, 300_000, (60, 60)), noise, back])


@pytest.mark.parametrize(("hidden_us", "numbers"), [(500_000, {0}), (3_000_000, {0, 1})])
def test_a_face_keeps_its_number_over_a_short_occlusion(
    predictor: Predictor, hidden_us: int, numbers: set[int], ring: Ring
) -> None:
    faces = predictor.run(_hidden(hidden_us, ring), size=SIZE)
    covered = [f for f in faces if 400_000 < f.t_us < 300_000 + hidden_us]
    after = [f for f in faces if f.t_us > 400_000 + hidden_us]
    assert covered == []
    assert len(after) > 20
    assert {face.face_id for face in faces} == numbers
