"""Intervals and curves against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from evface_edge.metrics import (
    LIMIT,
    area_under_ced,
    below_limit,
    bootstrap_mean,
    ced_curve,
    failure_rate,
)


def test_intervals_as_scipy_has_them() -> None:
    values = np.random.default_rng(1).exponential(3, 60)
    ours = bootstrap_mean(values, np.arange(60), resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    spread = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.02 * spread)
    assert ours.high == pytest.approx(theirs.high, abs=0.02 * spread)


def test_intervals_of_groups_are_those_of_their_means() -> None:
    """Equal instants in a block say no more than one of them."""
    blocks = np.random.default_rng(3).normal(5, 1, 40)
    one = bootstrap_mean(blocks, np.arange(40))
    many = bootstrap_mean(np.repeat(blocks, 25), np.repeat(np.arange(40), 25))
    assert (many.low, many.high) == pytest.approx((one.low, one.high))
    naive = bootstrap_mean(np.repeat(blocks, 25), np.arange(1000))
    assert naive.high - naive.low < 0.3 * (many.high - many.low)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for seed in range(300):
        found = bootstrap_mean(rng.normal(0, 1, 50), np.arange(50), resamples=400, seed=seed)
        hits += found.low <= 0 <= found.high
    assert 0.89 <= hits / 300 <= 0.98


def test_no_values_and_equal_values() -> None:
    assert np.isnan(bootstrap_mean(np.array([]), np.array([], int)).mean)
    same = bootstrap_mean(np.full(8, 2.5), np.arange(8))
    assert (same.mean, same.low, same.high) == (2.5, 2.5, 2.5)


def test_area_of_an_exponential_distribution() -> None:
    """CED of exponential errors: ∫ 1 - exp(-x/m) dx ÷ limit, in closed form and by quadrature."""
    mean = 0.04
    closed = 1 - mean / LIMIT * (1 - np.exp(-LIMIT / mean))
    quadrature, _ = integrate.quad(lambda x: 1 - np.exp(-x / mean), 0, LIMIT)
    assert closed == pytest.approx(quadrature / LIMIT)
    errors = stats.expon(scale=mean).ppf((np.arange(100_000) + 0.5) / 100_000)
    assert area_under_ced(errors) == pytest.approx(closed, abs=1e-4)
    assert below_limit(errors).mean() == pytest.approx(closed, abs=1e-4)
    assert failure_rate(errors) == pytest.approx(np.exp(-LIMIT / mean), abs=1e-4)


def test_the_curve_is_the_empirical_distribution_of_scipy() -> None:
    errors = np.append(np.random.default_rng(5).exponential(0.05, 80).round(2), [np.inf] * 5)
    steps, fractions = ced_curve(errors)
    theirs = stats.ecdf(np.where(np.isinf(errors), 99, errors)).cdf  # it takes no infinity
    for x in (0.001, 0.02, 0.0201, 0.1, 5.0):
        ours = fractions[np.searchsorted(steps, x, side="right") - 1]
        assert ours == pytest.approx(theirs.evaluate(x))
    assert (steps[0], fractions[0], fractions[-1]) == (0, 0, 1)
    # The area of the steps up to the limit, and the fraction that is left beyond it.
    inside = steps.clip(max=LIMIT)
    area = (np.diff(np.append(inside, LIMIT)) * fractions).sum() / LIMIT
    assert area_under_ced(errors) == pytest.approx(area)
    beyond = 1 - fractions[np.searchsorted(steps, LIMIT, side="right") - 1]
    assert failure_rate(errors) == pytest.approx(beyond)


def test_intervals_of_many_values_are_those_of_the_normal_distribution() -> None:
    values = np.random.default_rng(6).normal(2, 3, 4000)
    found = bootstrap_mean(values, np.arange(4000), level=0.9, resamples=2000)
    half = stats.norm.ppf(0.95) * values.std() / np.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
