"""Measures of error against closed forms, and the benchmark sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from evface_training.benchmark_sets import CONDITIONS, recordings
from evface_training.data.faces import FaceSet
from evface_training.evaluate import area_under_ced


def test_area_under_the_cumulative_error_distribution() -> None:
    errors = np.random.default_rng(0).exponential(0.04, 500)
    limits = np.linspace(0, 0.1, 20_001)
    share = (errors[None] <= limits[:, None]).mean(1)
    expected = integrate.trapezoid(share, limits) / 0.1
    assert area_under_ced(errors, 0.1) == pytest.approx(expected, abs=1e-4)


def test_perfect_and_hopeless() -> None:
    assert area_under_ced(np.zeros(3), 0.1) == pytest.approx(1)
    assert area_under_ced(np.array([0.1, 5, np.inf]), 0.1) == 0


@pytest.mark.parametrize("name", CONDITIONS)
def test_recordings_are_sound_and_repeatable(name: str, drawn_faces: FaceSet) -> None:
    few = drawn_faces.select(np.arange(2))
    for first, again in zip(
        recordings(few, CONDITIONS[name]), recordings(few, CONDITIONS[name]), strict=True
    ):
        np.testing.assert_array_equal(first.events, again.events)
        assert len(first.events) > 200
        assert (np.diff(first.events["t"]) >= 0).all()
        assert first.events["x"].max() < first.size.width
        assert first.events["y"].max() < first.size.height
        low, high = CONDITIONS[name].speed_px_per_s
        assert low <= first.speed_px_per_s <= high


def test_a_dark_set_is_noisier(drawn_faces: FaceSet) -> None:
    """Events where nothing moves: the corners of the picture."""
    few = drawn_faces.select(np.arange(3))

    def corner_rate_hz(name: str) -> float:
        rates = []
        for recording in recordings(few, CONDITIONS[name]):
            events = recording.events
            inside = (events["x"] < 20) & (events["y"] > 170)
            rates.append(inside.sum() / 440 / (events["t"][-1] * 1e-6))
        return float(np.mean(rates))

    assert corner_rate_hz("dark") > 3 * corner_rate_hz("normal")
