"""Peaks of heat maps that were drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evface_edge.geometry import Box
from evface_edge.tracking.peaks import Peak, find_peaks


def _maps() -> tuple[np.ndarray, np.ndarray]:
    heat, place = np.full((18, 24), -6.0), np.zeros((3, 18, 24))
    place[2] = math.log(20)
    return heat, place


def test_peaks_come_best_first_where_they_were_put() -> None:
    heat, place = _maps()
    heat[3, 5], heat[12, 20] = 1.0, 3.0
    place[:, 3, 5] = (0.25, -0.5, math.log(16))
    peaks = find_peaks(heat, place, 4, threshold=0.1)
    assert [(p.x, p.y) for p in peaks] == [(82.0, 50.0), (23.0, 12.0)]
    assert peaks[0].score == pytest.approx(1 / (1 + math.exp(-3)))
    assert [p.side for p in peaks] == pytest.approx([20, 16])


def test_neighbours_and_the_unlikely_are_left_out() -> None:
    heat, place = _maps()
    place[2] = math.log(40)
    heat[3, 5], heat[3, 6], heat[3, 7] = 2.0, 1.9, 1.0  # a slope, not a peak
    heat[4, 8] = 1.5  # a peak, but the same face
    heat[15, 2] = -1.0
    assert len(find_peaks(heat, place, 4, threshold=0.5)) == 1
    assert len(find_peaks(heat, place, 4, threshold=0.2)) == 2
    assert len(find_peaks(heat, place, 4, threshold=0.2, count=1)) == 1


def test_wild_outputs_of_a_network_give_finite_boxes() -> None:
    heat = np.full((18, 24), 1e9)
    place = np.full((3, 18, 24), 1e9)
    for peak in find_peaks(heat, place, 4):
        assert all(map(math.isfinite, (peak.score, peak.x, peak.y, peak.side)))


@given(st.lists(st.floats(0.5, 50), min_size=6, max_size=6))
def test_overlap_is_that_of_boxes(n: list[float]) -> None:
    one, other = Peak(1.0, n[0], n[1], n[2]), Peak(1.0, n[3], n[4], n[5])
    boxes = [Box(p.x - p.side / 2, p.y - p.side / 2, p.side, p.side) for p in (one, other)]
    assert one.iou(other) == pytest.approx(boxes[0].iou(boxes[1]), abs=1e-9)
