"""Blinks in curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_edge.results import BlinkRule, find_blinks


def curve(onsets_s: list[float], seconds: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """EAR 0.3 at 200 Hz; triangles of 0.1 s down and 0.1 s up to 0.05 at each onset."""
    t = np.arange(0, seconds, 0.005)
    value = np.full(len(t), 0.3)
    for onset in onsets_s:
        closing = np.clip(1 - np.abs(t - onset - 0.1) / 0.1, 0, 1)
        value = np.minimum(value, 0.3 - 0.25 * closing)
    value += noise * np.random.default_rng(0).standard_normal(len(t))
    return (t * 1e6).astype(np.int64) + 1_700_000_000_000_000, value


@pytest.mark.parametrize("noise", [0.0, 0.012])
def test_time_and_depth_of_blinks(noise: float) -> None:
    onsets = [1.0, 3.3, 3.8, 9.0]
    t_us, value = curve(onsets, 12, noise)
    blinks = find_blinks(t_us, value)
    assert len(blinks) == 4
    for blink, onset in zip(blinks, onsets, strict=True):
        # A triangle is halfway down 50 ms after it begins and halfway up 100 ms later.
        assert (blink.onset_us - t_us[0]) / 1e6 == pytest.approx(onset + 0.05, abs=0.015)
        assert blink.duration_us / 1e6 == pytest.approx(0.1, abs=0.025)
        assert blink.end_us == blink.onset_us + blink.duration_us
        assert blink.depth == pytest.approx(0.25 / 0.3, abs=0.08)


def test_closed_eyes_and_flicker_are_no_blinks() -> None:
    t_us = np.arange(0, 8_000_000, 5_000)
    asleep = np.where((t_us > 2_000_000) & (t_us < 4_000_000), 0.05, 0.3)
    flicker = np.where(t_us % 1_000_000 == 0, 0.05, 0.3)
    assert find_blinks(t_us, asleep) == []
    assert find_blinks(t_us, flicker) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_samples_are_no_blinks(count: int) -> None:
    assert find_blinks(np.arange(count) * 5_000, np.full(count, 0.3)) == []


def test_a_blink_that_reopens_briefly_counts_once() -> None:
    times = np.arange(0, 3_000_000, 5_000)
    ratio = np.full(len(times), 0.3)
    ratio[200:240] = 0.06
    ratio[212:218] = 0.24  # for 30 ms
    (blink,) = find_blinks(times, ratio)
    assert blink.onset_us == pytest.approx(1_000_000, abs=5_000)
    assert blink.duration_us == pytest.approx(200_000, abs=10_000)
    assert blink.depth == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"closed_fraction": 0.8, "opened_fraction": 0.7}, "BlinkRule.closed_fraction"),
        ({"min_us": 0}, "BlinkRule.min_us"),
        ({"baseline_s": 0.0}, "BlinkRule.baseline_s"),
    ],
)
def test_values_out_of_range(settings: dict[str, float], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BlinkRule(**settings)  # type: ignore[arg-type]
    assert caught.value.field == field
