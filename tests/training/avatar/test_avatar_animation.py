"""Trajectories: smooth, seeded, exact at any time."""

from __future__ import annotations

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_training.avatar import AvatarAnimation


def sample(seed: int = 0, **options: object) -> AvatarAnimation:
    return AvatarAnimation.sample(np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def series(animation: AvatarAnimation, name: str, step_us: int) -> np.ndarray:
    states = [animation.state(t) for t in range(0, animation.duration_us, step_us)]
    return np.array(
        [getattr(pose if hasattr(pose, name) else expression, name) for expression, pose in states]
    )


def test_the_same_seed_gives_the_same_states() -> None:
    for t_us in (0, 123_457, 3_999_999):
        assert sample(5, seconds=4).state(t_us) == sample(5, seconds=4).state(t_us)
    assert sample(5).state(500_000) != sample(6).state(500_000)


def test_states_do_not_depend_on_the_order_of_asking() -> None:
    animation = sample(1)
    late = animation.state(7_000_000)
    animation.state(100)
    assert animation.state(7_000_000) == late


def test_nothing_jumps() -> None:
    animation = sample(3, seconds=4, speed="fast")  # two of its gaze shifts overlap
    states = [animation.state(t_us) for t_us in range(0, animation.duration_us, 500)]
    for name in ("yaw_deg", "pitch_deg", "x_mm", "jaw_open", "blink_right", "gaze_yaw_deg"):
        values = [getattr(p if hasattr(p, name) else e, name) for e, p in states]
        finer = np.array(values)
        fine = finer[::2]
        assert np.ptp(fine) > 0, name
        # Of a continuous curve, half the step makes half the difference.
        assert np.abs(np.diff(finer)).max() < 0.65 * np.abs(np.diff(fine)).max() + 1e-9, name


def test_speeds_are_ordered_and_bounded() -> None:
    speeds = []
    for speed in ("slow", "normal", "fast"):
        rates = [
            np.abs(np.diff(series(sample(seed, speed=speed, pauses=False), "yaw_deg", 20_000)))
            / 0.02
            for seed in range(6)
        ]
        speeds.append(np.percentile(np.concatenate(rates), 90))
    assert 2 < speeds[0] < 0.6 * speeds[1] < 0.36 * speeds[2] < 400
    assert np.abs(series(sample(2, speed="fast", seconds=20), "yaw_deg", 40_000)).max() <= 55


def test_pauses_stand_still_and_can_be_left_out() -> None:
    still = np.abs(np.diff(series(sample(4), "yaw_deg", 10_000))) < 1e-12
    assert 0.05 < still.mean() < 0.7
    moving = np.abs(np.diff(series(sample(4, pauses=False), "yaw_deg", 10_000))) < 1e-12
    assert moving.mean() < 0.01


def test_blinks_close_and_open_the_eyes() -> None:
    blink = series(sample(0, seconds=20), "blink_left", 10_000)
    closed = blink > 0.98
    starts = np.flatnonzero(np.diff(closed.astype(int)) == 1)
    assert 2 <= len(starts) <= 20
    assert np.median(blink) < 0.2


def test_wrong_settings_are_rejected() -> None:
    with pytest.raises(ConfigError) as error:
        sample(speed="warp")
    assert error.value.field == "speed"
    with pytest.raises(ConfigError) as error:
        sample(seconds=0)
    assert error.value.field == "seconds"
