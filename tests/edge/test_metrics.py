"""Measures against closed forms, integration and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from evface_edge.metrics import (
    area_under_ced,
    coverage,
    failure_rate,
    flicker,
    nme5,
    nme68,
    nme98,
    point_errors,
    roc,
    sigma_ratio,
)

RNG = np.random.default_rng(0)


def some_faces(count: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
    points = RNG.uniform(0, 100, (count, 98, 2))
    points[:, 60], points[:, 72] = (30, 40), (70, 40)  # 40 apart
    points[:, 96], points[:, 97] = (40, 40), (65, 40)  # 25 apart
    return points


def test_area_under_the_cumulative_error_distribution() -> None:
    errors = RNG.exponential(0.04, 500)
    limits = np.linspace(0, 0.1, 20_001)
    fraction = (errors[None] <= limits[:, None]).mean(1)
    expected = integrate.trapezoid(fraction, limits) / 0.1
    assert area_under_ced(errors, 0.1) == pytest.approx(expected, abs=1e-4)


def test_perfect_and_hopeless() -> None:
    assert area_under_ced(np.zeros(3), 0.1) == pytest.approx(1)
    assert area_under_ced(np.array([0.1, 5, np.inf]), 0.1) == 0
    assert failure_rate(np.array([0.05, 0.1, 0.11, np.inf])) == 0.5


def test_a_shift_of_all_points_is_its_length_over_the_normaliser() -> None:
    truth = some_faces(3)
    found = truth + np.array([3.0, 4.0])
    np.testing.assert_allclose(nme98(found, truth), 5 / 40)
    np.testing.assert_allclose(nme68(found, truth), 5 / 40)
    np.testing.assert_allclose(nme5(found, truth), 5 / 25)
    np.testing.assert_allclose(point_errors(found, truth), np.full((3, 98), 5 / 40))


def test_faces_and_points_fail_differently() -> None:
    """One face with 49 points at 15 % and 49 at 1 %: the face passes, half of its points do."""
    truth = some_faces(1)
    found = truth.copy()
    found[0, :49, 0] += 0.15 * 40
    found[0, 49:, 0] += 0.01 * 40
    assert failure_rate(nme98(found, truth)) == 0.0
    assert failure_rate(point_errors(found, truth)) == 0.5
    assert area_under_ced(nme98(found, truth)) == pytest.approx(0.2)
    assert area_under_ced(point_errors(found, truth)) == pytest.approx(0.45)


def test_flicker_of_a_square_wave() -> None:
    """Errors of +2 and -2 along x in turn: a change of 4 each frame, over √(50 × 80)."""
    truth = np.repeat(some_faces(1), 7, 0)
    truth[:, 0], truth[:, 1] = (0, 0), (100, 100)
    truth = truth * (0.5, 0.8)
    wave = np.where(np.arange(7) % 2, 2.0, -2.0)
    found = truth + np.stack([wave, np.zeros(7)], -1)[:, None]
    assert flicker(found, truth) == pytest.approx(4 / np.sqrt(50 * 80))


def test_what_is_steadily_wrong_does_not_flicker() -> None:
    truth = some_faces(5)
    assert flicker(truth + 9, truth) == pytest.approx(0, abs=1e-12)
    assert np.isnan(flicker(truth[:1], truth[:1]))


def test_a_right_sigma_is_found_right() -> None:
    sigma = RNG.uniform(0.5, 3, (4000, 1))
    z = np.linalg.norm(RNG.normal(0, sigma, (4000, 2)), axis=1) / sigma[:, 0]
    assert sigma_ratio(z) == pytest.approx(1, abs=0.03)
    for probability in (0.5, 0.9):
        assert coverage(z, probability) == pytest.approx(probability, abs=0.02)
        # The length of a round Gaussian is Rayleigh's.
        limit = stats.rayleigh.ppf(probability)
        assert coverage(np.array([limit - 1e-9, limit + 1e-9]), probability) == 0.5


def test_the_roc_is_mann_and_whitneys() -> None:
    faces, others = RNG.normal(1, 1, 70).round(1), RNG.normal(0, 1, 50).round(1)  # with ties
    expected = stats.mannwhitneyu(faces, others).statistic / (70 * 50)
    curve = roc(faces, others)
    assert curve.area == pytest.approx(expected)
    assert (curve.false_positive[0], curve.true_positive[0]) == (0, 0)
    assert (curve.false_positive[-1], curve.true_positive[-1]) == (1, 1)
    for threshold in (0.3, 1.05):
        place = np.flatnonzero(np.isclose(curve.true_positive, (faces >= threshold).mean()))
        assert any(np.isclose(curve.false_positive[place], (others >= threshold).mean()))
    best = max((faces >= t).mean() for t in others if (others >= t).mean() <= 0.1)
    assert curve.true_positive_at(0.1) >= best - 1e-12


def test_perfect_and_blind_presence() -> None:
    assert roc(np.ones(3), np.zeros(4)).area == 1
    assert roc(np.ones(3), np.ones(4)).area == 0.5
    assert roc(np.ones(3), np.zeros(4)).true_positive_at(0.0) == 1
