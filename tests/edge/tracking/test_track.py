"""One face over time: which instants change its landmarks, its eyes, its state."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evface_edge.card_file import read_card
from evface_edge.events.array import make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.landmarks import LEFT_EYE, RIGHT_EYE
from evface_edge.models import find_model
from evface_edge.results import FaceState
from evface_edge.results.aspect_ratios import eye_aspect_ratio
from evface_edge.tracking.network import Crop, Detection
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.state_machine import State
from evface_edge.tracking.track import Track

SIZE = SensorSize(346, 260)
SQUARE = Box(80, 60, 120, 120)
CARD = read_card(find_model("evface-s"))
TARGET_EVENTS = CARD.window.target_events(SQUARE.width * SQUARE.height)
EYES = np.r_[RIGHT_EYE, LEFT_EYE, 96:98]
#: x ÷ half the width of an eye, and y ÷ half its opening.
OUTLINE = np.array([(-1, 0), (-0.5, -1), (0, -1), (0.5, -1), (1, 0), (0.5, 1), (0, 1), (-0.5, 1)])


def _points(opening_px: float = 6.0, shift_px: float = 0.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    points = rng.uniform((90, 70), (190, 170), (98, 2))
    for eye, pupil, x in ((RIGHT_EYE, 96, 120.0), (LEFT_EYE, 97, 160.0)):
        points[eye] = OUTLINE * [10, opening_px / 2] + [x, 105.0]
        points[pupil] = x, 105.0
    return (points + shift_px).astype(np.float32)


def _detection(
    t_us: int = 0,
    points: NDArray[np.float32] | None = None,
    *,
    eye_sigma: float = 1.0,
    sigma: float = 1.0,
) -> Detection:
    sigmas = np.full(98, sigma, np.float32)
    sigmas[EYES] = eye_sigma
    return Detection(_points() if points is None else points, sigmas, 0.99, 500, t_us)


def _no_face() -> Detection:
    return replace(_detection(eye_sigma=9.0, sigma=9.0), presence=0.01)


def _even_crop(fraction: float, now_us: int) -> Crop:
    """Events all over the crop, this fraction of a full input."""
    count = round(fraction * TARGET_EVENTS)
    rng = np.random.default_rng(1)
    events = make_events(
        np.linspace(now_us - 50_000, now_us, count).astype(np.int64),
        rng.integers(80, 200, count),
        rng.integers(60, 180, count),
        rng.integers(0, 2, count),
    )
    return Crop(SQUARE, events, count, now_us)


def _crop(own: int, others: int, now_us: int) -> Crop:
    """This many events in the middle of the face, and beside it, in 50 ms."""
    rng = np.random.default_rng(2)
    count = own + others
    x = np.r_[rng.integers(125, 155, own), np.full(others, 85)]
    order = rng.permutation(count)
    events = make_events(
        np.linspace(now_us - 50_000, now_us, count).astype(np.int64),
        x[order],
        rng.integers(105, 135, count),
        rng.integers(0, 2, count),
    )
    return Crop(SQUARE, events, count, now_us)


@pytest.fixture
def track() -> Track:
    return _track()


def _track() -> Track:
    network: Any = SimpleNamespace(
        card=CARD,
        target_events=lambda crop: CARD.window.target_events(crop.box.width * crop.box.height),
    )
    return Track(_detection(), 0, 0, SIZE, network, TrackingPolicy(), smooth=False)


def _is_lost(track: Track) -> bool:
    return track.state is State.LOST


def _move(track: Track, until_us: int = 200_000) -> None:
    for now_us in range(10_000, until_us, 10_000):
        track.update(_detection(now_us), _crop(3000, 3000, now_us), now_us)
        assert track.state is State.FOLLOWING


def test_a_found_face_is_followed(track: Track) -> None:
    assert (track.state, track.face.state) == (State.FOLLOWING, FaceState.FOUND)
    _move(track)
    assert (track.face.state, track.face.t_us) == (FaceState.FOLLOWING, 190_000)


def test_eyes_of_a_face_at_rest_are_updated(track: Track) -> None:
    before = track.face
    blink = _detection(20_000, _points(1.0, shift_px=3.0), eye_sigma=1.1, sigma=2.5)
    track.update(blink, _even_crop(0.2, 20_000), 20_000)
    face = track.face
    assert (track.state, face.state, face.t_us) == (State.HELD, FaceState.HELD, 20_000)
    rest = np.setdiff1d(np.arange(98), EYES)
    np.testing.assert_array_equal(face.landmarks[rest], before.landmarks[rest])
    np.testing.assert_allclose(eye_aspect_ratio(face.landmarks), 1 / 20, atol=1e-5)
    np.testing.assert_allclose(face.landmarks[[60, 64]], before.landmarks[[60, 64]], atol=1e-4)
    track.hold(40_000)
    np.testing.assert_array_equal(track.face.landmarks, face.landmarks)
    assert track.face.t_us == 20_000


def test_uncertain_eyes_of_a_face_at_rest_are_held(track: Track) -> None:
    blink = _detection(20_000, _points(1.0), eye_sigma=1.5, sigma=2.5)
    track.update(blink, _even_crop(0.2, 20_000), 20_000)
    assert (track.face.state, track.face.t_us) == (FaceState.HELD, 0)
    np.testing.assert_array_equal(track.face.landmarks, _points())


@pytest.mark.parametrize(
    ("own", "state"), [(400, State.HELD), (1500, State.LOST)], ids=["quiet", "busy"]
)
def test_a_face_at_rest_in_front_of_a_slow_background_is_held(
    track: Track, own: int, state: State
) -> None:
    """No detection in either; many events in the face box show something else."""
    _move(track)
    track.update(_no_face(), _crop(own, 3000 - own, 400_000), 400_000)
    assert track.state is state


def test_a_passing_object_does_not_raise_the_rate_of_the_face(track: Track) -> None:
    for now_us in range(10_000, 200_000, 10_000):
        events = 30_000 if now_us > 180_000 else 3000
        track.update(_detection(now_us), _crop(events, 3000, now_us), now_us)
    track.update(_no_face(), _crop(1500, 1500, 400_000), 400_000)
    assert track.state is State.LOST


@pytest.mark.parametrize(
    ("rest_us", "lost_after_us"),
    [
        (0, TrackingPolicy().lost_after_us),
        (1_000_000, TrackingPolicy().occlusion_us + 10_000),
        (TrackingPolicy().max_hold_us - 100_000, 100_000),
    ],
    ids=["moving", "at rest", "held for long"],
)
def test_time_until_a_doubted_face_is_lost(track: Track, rest_us: int, lost_after_us: int) -> None:
    for now_us in range(10_000, rest_us + 1, 10_000):
        track.hold(now_us)
        assert track.state is State.HELD
    begin_us = rest_us + 10_000
    for now_us in range(begin_us, begin_us + lost_after_us + 1, 10_000):
        assert track.state is not State.LOST
        track.update(_no_face(), _crop(6000, 6000, now_us), now_us)
    assert (track.state, track.changed_us) == (State.LOST, begin_us + lost_after_us)


def test_a_still_face_is_held_for_the_longest_time(track: Track) -> None:
    policy = TrackingPolicy()
    track.hold(policy.max_hold_us)
    assert track.state is State.HELD
    growth_px = policy.sigma_growth_px_per_s * policy.max_hold_us * 1e-6
    np.testing.assert_allclose(track.face.sigma, 1.0 + growth_px)
    track.hold(policy.max_hold_us + 1)
    assert _is_lost(track)


def test_a_face_that_leaves_the_sensor_is_lost_soon() -> None:
    track = _track()
    edge = _points() + np.array([-110, 0], np.float32)  # a fifth of it lies outside
    track.update(_detection(10_000, edge), _crop(3000, 3000, 10_000), 10_000)
    last_us = 10_000 + TrackingPolicy().lost_after_us
    for now_us in (20_000, last_us):
        track.hold(now_us)
        assert track.state is State.HELD
    track.hold(last_us + 1)
    assert _is_lost(track)


def test_after_doubts_two_detections_must_agree(track: Track) -> None:
    track.hold(100_000)
    rest = track.face.landmarks
    passing, back = _points(shift_px=40.0), _points(shift_px=1.0)
    results = []
    for index, points in enumerate([None, passing, None, back, back], start=11):
        now_us = index * 10_000
        detection = _no_face() if points is None else _detection(now_us, points)
        track.update(detection, _crop(6000, 6000, now_us), now_us)
        results.append((track.state, bool((track.face.landmarks == rest).all())))
    assert results == [(State.HELD, True)] * 4 + [(State.FOLLOWING, False)]


def test_a_lost_face_starts_again(track: Track) -> None:
    _move(track)
    track.hold(20_000_000)
    assert track.state is State.LOST
    again = _detection(21_000_000, _points(shift_px=20.0))
    track.start(again, 21_000_000)
    assert (track.state, track.face.state) == (State.FOLLOWING, FaceState.FOUND)
    np.testing.assert_array_equal(track.face.landmarks, again.landmarks)
    assert track.search_box == again.box
