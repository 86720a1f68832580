"""The Kalman filter compared with theory."""

from __future__ import annotations

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_edge.tracking.smoothing import RESTART_AFTER_US, KalmanSmoother, SmoothingPolicy

STEP_US = 5_000


def _face(x: float) -> np.ndarray:
    points = np.random.default_rng(0).uniform(0, 100, (98, 2))
    points[60], points[72] = (20, 40), (80, 40)  # eye corners 60 pixels apart
    moved: np.ndarray = points + np.array([x, 0.0])
    return moved


def _run(track: np.ndarray, sigma: np.ndarray, policy: SmoothingPolicy | None = None) -> np.ndarray:
    smoother = KalmanSmoother(policy)
    return np.stack([smoother.update(i * STEP_US, seen, sigma) for i, seen in enumerate(track)])


def test_a_steady_motion_passes_without_lag() -> None:
    truth = np.stack([_face(0.8 * i) for i in range(300)])  # 160 px/s
    shown = _run(truth, np.full(98, 3.0))
    np.testing.assert_allclose(shown[150:], truth[150:], atol=0.05)


def test_noise_shrinks_as_the_steady_state_says() -> None:
    """A filter of two states at rest: its variance is the fixed point of Riccati's equation."""
    rng = np.random.default_rng(1)
    policy, sigma = SmoothingPolicy(acceleration=3.0, jitter=0.5), 4.0
    noise = (policy.jitter * sigma) ** 2
    seconds, density = STEP_US * 1e-6, (policy.acceleration * 60) ** 2
    move = np.array([[1, seconds], [0, 1]])
    grown = density * np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
    p = np.eye(2) * 100
    for _ in range(5000):
        p = move @ p @ move.T + grown
        p = p - np.outer(p[:, 0], p[0]) / (p[0, 0] + noise)
    track = _face(0) + np.sqrt(noise) * rng.standard_normal((1500, 98, 2))
    # The eye corners set the unit; a little noise on them does not matter.
    shown = _run(track, np.full(98, sigma), policy)[500:]
    measured = (shown - _face(0)).var()
    # The filter allows for accelerations that do not come, so it does at least as well as it says.
    assert measured < p[0, 0]
    assert measured < 0.35 * noise


def test_points_of_large_sigma_are_held_back_more() -> None:
    rng = np.random.default_rng(2)
    sigma = np.where(np.arange(98) < 49, 1.0, 8.0)
    track = _face(0) + rng.standard_normal((600, 98, 2))
    shown = _run(track, sigma)[200:]
    steps = np.abs(np.diff(shown, axis=0)).mean((0, 2))
    assert steps[49:].mean() < 0.6 * steps[:49].mean()


def test_after_a_gap_it_begins_again() -> None:
    smoother = KalmanSmoother()
    sigma = np.full(98, 3.0)
    for i in range(50):
        smoother.update(i * STEP_US, _face(2.0 * i), sigma)
    later = 49 * STEP_US + RESTART_AFTER_US + 1
    np.testing.assert_allclose(smoother.update(later, _face(300), sigma), _face(300), atol=1e-4)


@pytest.mark.parametrize("field", ["acceleration", "jitter"])
def test_the_policy_is_checked(field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SmoothingPolicy(**{field: 0.0})
    assert (caught.value.field, caught.value.value) == (f"SmoothingPolicy.{field}", 0.0)


def test_it_equals_the_filter_of_the_textbook() -> None:
    """Matrices and loops, one point at a time (Bar-Shalom et al., section 5.2)."""
    rng = np.random.default_rng(3)
    policy = SmoothingPolicy(acceleration=2.0, jitter=0.7)
    sigma = rng.uniform(0.5, 6, 98)
    times_us = np.cumsum(rng.integers(1_000, 30_000, 25))
    track = _face(0) + np.cumsum(rng.normal(0, 1.5, (25, 98, 2)), 0)
    smoother = KalmanSmoother(policy)
    shown = [smoother.update(int(t), seen, sigma) for t, seen in zip(times_us, track, strict=True)]
    for point in (0, 60, 97):
        noise = (policy.jitter * sigma[point]) ** 2
        for axis in (0, 1):
            scale = np.linalg.norm(track[0, 60] - track[0, 72])
            state = np.array([track[0, point, axis], 0.0])
            covariance = np.diag([noise, (2 * scale) ** 2])
            for index in range(1, len(track)):
                dt = (times_us[index] - times_us[index - 1]) * 1e-6
                scale = np.linalg.norm(track[index, 60] - track[index, 72])
                move = np.array([[1, dt], [0, 1]])
                grown = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
                covariance = move @ covariance @ move.T + (policy.acceleration * scale) ** 2 * grown
                gain = covariance[:, 0] / (covariance[0, 0] + noise)
                state = move @ state
                state = state + gain * (track[index, point, axis] - state[0])
                covariance = covariance - np.outer(gain, covariance[0])
                np.testing.assert_allclose(shown[index][point, axis], state[0], rtol=1e-5)
