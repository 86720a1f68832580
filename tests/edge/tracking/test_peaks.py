"""Peaks of heat maps made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evface_edge.geometry import Box
from evface_edge.tracking.peaks import Peak, find_peaks


def _maps() -> tuple[np.ndarray, np.ndarray]:
    heat, place = np.full((18, 24), -6.0), np.zeros((3, 18, 24))
    place[2] = math.log(20)
    return heat, place


def test_peaks_are_where_they_were_put_best_first() -> None:
    heat, place = _maps()
    heat[3, 5], heat[12, 20] = 1.0, 3.0
    place[:, 3, 5] = (0.25, -0.5, math.log(16))
    peaks = find_peaks(heat, place, 4, threshold=0.1)
    assert [(p.x, p.y) for p in peaks] == [(82.0, 50.0), (23.0, 12.0)]
    assert peaks[0].score == pytest.approx(1 / (1 + math.exp(-3)))
    assert [p.side for p in peaks] == pytest.approx([20, 16])


def test_slopes_overlaps_and_low_scores_are_left_out() -> None:
    heat, place = _maps()
    place[2] = math.log(40)
    heat[3, 5], heat[3, 6], heat[3, 7] = 2.0, 1.9, 1.0  # a slope, not a peak
    heat[4, 8] = 1.5  # a peak, but the same face
    heat[15, 2] = -1.0
    assert len(find_peaks(heat, place, 4, threshold=0.5)) == 1
    assert len(find_peaks(heat, place, 4, threshold=0.2)) == 2
    assert len(find_peaks(heat, place, 4, threshold=0.2, count=1)) == 1


def test_extreme_outputs_give_finite_boxes() -> None:
    heat = np.full((18, 24), 1e9)
    place = np.full((3, 18, 24), 1e9)
    for peak in find_peaks(heat, place, 4):
        assert all(map(math.isfinite, (peak.score, peak.x, peak.y, peak.side)))


def test_the_box_is_the_square_around_the_middle() -> None:
    assert Peak(0.5, 30.0, 20.0, 8.0).box == Box(26.0, 16.0, 8.0, 8.0)
