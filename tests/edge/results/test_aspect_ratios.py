"""Openness and blinks against curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_edge.results.aspect_ratios import (
    BlinkRule,
    eye_aspect_ratio,
    find_blinks,
    mouth_aspect_ratio,
)


def _eye(width: float, gap: float) -> np.ndarray:
    """Eight points: a corner, three of the upper lid, the other corner, three of the lower."""
    x = np.array([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]) * width
    y = np.array([0, -0.5, -0.5, -0.5, 0, 0.5, 0.5, 0.5]) * gap
    return np.stack([x, y], 1)


def test_ratios_of_drawn_eyes_and_lips_whatever_the_tilt() -> None:
    points = np.zeros((98, 2))
    points[60:68] = _eye(30, 9)
    points[68:76] = _eye(20, 2) + np.array([60, 0])
    points[88:96] = _eye(40, 24) + np.array([20, 50])
    tilt = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    for seen in (points, points @ tilt.T):
        assert eye_aspect_ratio(seen) == pytest.approx((0.3, 0.1))
        assert mouth_aspect_ratio(seen) == pytest.approx(0.6)


def _curve(onsets_s: list[float], seconds: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """0.3 open at 200 Hz; triangles of 0.1 s down and 0.1 s up to 0.05 at each onset."""
    t = np.arange(0, seconds, 0.005)
    value = np.full(len(t), 0.3)
    for onset in onsets_s:
        fallen = np.clip(1 - np.abs(t - onset - 0.1) / 0.1, 0, 1)
        value = np.minimum(value, 0.3 - 0.25 * fallen)
    value += noise * np.random.default_rng(0).standard_normal(len(t))
    return (t * 1e6).astype(np.int64) + 1_700_000_000_000_000, value


@pytest.mark.parametrize("noise", [0.0, 0.012])
def test_blinks_are_found_where_they_are(noise: float) -> None:
    onsets = [1.0, 3.3, 3.8, 9.0]
    t_us, value = _curve(onsets, 12, noise)
    blinks = find_blinks(t_us, value)
    assert len(blinks) == 4
    for blink, onset in zip(blinks, onsets, strict=True):
        # A triangle is half way down 50 ms after it begins and half way up 100 ms later.
        assert (blink.onset_us - t_us[0]) / 1e6 == pytest.approx(onset + 0.05, abs=0.015)
        assert blink.duration_us / 1e6 == pytest.approx(0.1, abs=0.025)
        assert blink.depth == pytest.approx(0.25 / 0.3, abs=0.08)


def test_closed_eyes_and_flicker_are_no_blinks() -> None:
    t_us = np.arange(0, 8_000_000, 5_000)
    asleep = np.where((t_us > 2_000_000) & (t_us < 4_000_000), 0.05, 0.3)
    flicker = np.where(t_us % 1_000_000 == 0, 0.05, 0.3)
    assert find_blinks(t_us, asleep) == []
    assert find_blinks(t_us, flicker) == []


def test_few_samples_are_no_blinks() -> None:
    for count in (0, 1, 2):
        assert find_blinks(np.arange(count) * 5_000, np.full(count, 0.3)) == []


def test_the_rule_is_checked() -> None:
    with pytest.raises(ConfigError, match="closed_fraction"):
        BlinkRule(closed_fraction=0.8, opened_fraction=0.7)
    with pytest.raises(ConfigError, match="min_us"):
        BlinkRule(min_us=0)


def test_lids_that_hesitate_blink_once() -> None:
    times = np.arange(0, 3_000_000, 5_000)
    openness = np.full(len(times), 0.3)
    openness[200:240] = 0.06
    openness[212:218] = 0.24  # up for 30 ms, as no eye opens and closes
    (blink,) = find_blinks(times, openness)
    assert blink.onset_us == pytest.approx(1_000_000, abs=5_000)
    assert blink.duration_us == pytest.approx(200_000, abs=10_000)
    assert blink.depth == pytest.approx(0.8, abs=0.01)
