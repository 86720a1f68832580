"""A face at rest: all of it stays where it was, but the eyes, which blink."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evface_edge.card_file import read_card
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.landmarks import LEFT_EYE, RIGHT_EYE
from evface_edge.models import find_model
from evface_edge.results import FaceState
from evface_edge.results.aspect_ratios import eye_aspect_ratio
from evface_edge.tracking.network import Crop, Detection
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.track import Track

SIZE = SensorSize(346, 260)
CROP = Box(80, 60, 120, 120)
EYES = np.r_[RIGHT_EYE, LEFT_EYE, 96:98]
#: x ÷ half the width of an eye, and y ÷ half its opening.
OUTLINE = np.array([(-1, 0), (-0.5, -1), (0, -1), (0.5, -1), (1, 0), (0.5, 1), (0, 1), (-0.5, 1)])


def _face(opening_px: float, moved_px: float = 0.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    points = rng.uniform((90, 70), (190, 170), (98, 2))
    for eye, pupil, x in ((RIGHT_EYE, 96, 120.0), (LEFT_EYE, 97, 160.0)):
        points[eye] = OUTLINE * [10, opening_px / 2] + [x, 105.0]
        points[pupil] = x, 105.0
    return (points + moved_px).astype(np.float32)


def _seen(points: NDArray[np.float32], eye_sigma: float, sigma: float, t_us: int) -> Detection:
    sigmas = np.full(98, sigma, np.float32)
    sigmas[EYES] = eye_sigma
    return Detection(points, sigmas, 0.99, 500, t_us)


def _look(fraction: float, now_us: int) -> Crop:
    """Events all over the crop, as many as that share of those wanted."""
    card = read_card(find_model("evface-s"))
    count = round(fraction * card.window.target_events(CROP.width * CROP.height))
    rng = np.random.default_rng(1)
    events: EventArray = make_events(
        np.linspace(now_us - 50_000, now_us, count).astype(np.int64),
        rng.integers(80, 200, count),
        rng.integers(60, 180, count),
        rng.integers(0, 2, count),
    )
    return Crop(CROP, events, count, now_us)


def _track(open_px: float) -> Track:
    card = read_card(find_model("evface-s"))
    network: Any = SimpleNamespace(
        card=card, target_events=lambda crop: card.window.target_events(crop.box.width**2)
    )
    found = _seen(_face(open_px), 1.0, 1.0, 0)
    return Track(found, 0, 0, SIZE, network, TrackingPolicy(), smooth=False)


def test_a_face_at_rest_blinks() -> None:
    track = _track(6.0)
    before = track.face
    blink = _seen(_face(1.0, moved_px=3.0), 1.1, 2.5, 20_000)
    face = track.follow(blink, _look(0.2, 20_000), 20_000)
    assert face is not None
    assert face.state is FaceState.HELD
    assert face.t_us == 20_000
    rest = np.setdiff1d(np.arange(98), EYES)
    np.testing.assert_array_equal(face.landmarks[rest], before.landmarks[rest])
    np.testing.assert_allclose(eye_aspect_ratio(face.landmarks), 1 / 20, atol=1e-5)
    np.testing.assert_allclose(face.landmarks[[60, 64]], before.landmarks[[60, 64]], atol=1e-4)
    later = track.hold(40_000)
    assert later is not None
    np.testing.assert_array_equal(later.landmarks, face.landmarks)
    assert later.t_us == 20_000


def test_eyes_that_are_not_seen_well_stay() -> None:
    track = _track(6.0)
    face = track.follow(_seen(_face(1.0), 1.5, 2.5, 20_000), _look(0.2, 20_000), 20_000)
    assert face is not None
    assert (face.state, face.t_us) == (FaceState.HELD, 0)
    np.testing.assert_array_equal(face.landmarks, _face(6.0))


def _around(own: int, others: int, now_us: int) -> Crop:
    """So many events in the middle of the face, and beside it, in 50 ms."""
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
    return Crop(CROP, events, count, now_us)


@pytest.mark.parametrize(("own", "kept"), [(400, True), (1500, False)])
def test_a_face_at_rest_before_a_slow_background_is_held(own: int, kept: bool) -> None:
    """The network takes neither for a face; where events still come, something else is there."""
    track = _track(6.0)
    for now_us in range(10_000, 200_000, 10_000):
        seen = _seen(_face(6.0), 1.0, 1.0, now_us)
        assert track.follow(seen, _around(3000, 3000, now_us), now_us) is not None
    # Not faint as a whole, and with too many events of its own for a busy background behind it.
    doubtful = replace(_seen(_face(6.0), 9.0, 9.0, 400_000), presence=0.01)
    face = track.follow(doubtful, _around(own, 3000 - own, 400_000), 400_000)
    assert (face is not None) == kept
    assert face is None or face.state is FaceState.HELD


def test_something_that_passes_does_not_make_a_face_quiet() -> None:
    track = _track(6.0)
    for now_us in range(10_000, 200_000, 10_000):
        events = 30_000 if now_us > 180_000 else 3000
        seen = _seen(_face(6.0), 1.0, 1.0, now_us)
        track.follow(seen, _around(events, 3000, now_us), now_us)
    doubtful = replace(_seen(_face(6.0), 9.0, 9.0, 400_000), presence=0.01)
    assert track.follow(doubtful, _around(1500, 1500, 400_000), 400_000) is None


def test_what_passes_before_a_face_at_rest_is_waited_for() -> None:
    doubtful = replace(_seen(_face(6.0), 9.0, 9.0, 0), presence=0.01)
    policy = TrackingPolicy()
    busy = 6000

    def lasts_us(held_us: int) -> int:
        """How long doubts are borne after so long at rest."""
        track = _track(6.0)
        for now_us in range(10_000, held_us + 1, 10_000):
            assert track.hold(now_us) is not None
        begin_us = held_us + 10_000
        for now_us in range(begin_us, begin_us + 1_000_000, 10_000):
            if track.follow(doubtful, _around(busy, busy, now_us), now_us) is None:
                return now_us - begin_us
        raise AssertionError("held for ever")

    assert lasts_us(0) == policy.lost_after_us
    assert lasts_us(1_000_000) == policy.occlusion_us + 10_000
    # Bounded as any hold is.
    assert lasts_us(policy.max_hold_us - 100_000) == 100_000


def test_one_good_look_among_doubts_moves_nothing() -> None:
    track = _track(6.0)
    rest = track.hold(100_000)
    assert rest is not None
    bad = replace(_seen(_face(6.0), 9.0, 9.0, 0), presence=0.01)
    passing, back = _face(6.0, moved_px=40.0), _face(6.0, moved_px=1.0)
    states = []
    for now_us, points in enumerate([None, passing, None, back, back], start=11):
        seen = bad if points is None else _seen(points, 1.0, 1.0, now_us * 10_000)
        face = track.follow(seen, _around(6000, 6000, now_us * 10_000), now_us * 10_000)
        assert face is not None
        states.append((face.state, bool((face.landmarks == rest.landmarks).all())))
    assert states == [(FaceState.HELD, True)] * 4 + [(FaceState.FOLLOWING, False)]
