"""Point schemes against facts written down elsewhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from evface_edge.landmarks import CURVES, EYE_CORNERS, MIRROR, nme, to_5, to_68


def test_the_68_points_are_where_wflw_keeps_them() -> None:
    """Corner points that both schemes fraction, as the two annotation guides number them."""
    points = np.arange(98.0)[:, None].repeat(2, 1)
    found = to_68(points)[:, 0]
    shared = {0: 0, 8: 16, 16: 32, 17: 33, 26: 46, 27: 51, 30: 54, 33: 57, 36: 60, 39: 64}
    shared |= {42: 68, 45: 72, 48: 76, 54: 82, 57: 85, 60: 88, 64: 92, 66: 94}
    for of_68, of_98 in shared.items():
        assert found[of_68] == of_98


def test_lid_points_are_at_thirds() -> None:
    """On a straight lid the inner points of the 68 divide it by three, those of the 98 by four."""
    points = np.zeros((98, 2))
    points[60:65, 0] = np.linspace(0, 12, 5)
    found = to_68(points)
    np.testing.assert_allclose(found[36:40, 0], [0, 4, 8, 12])


def test_mirror_is_its_own_inverse_and_swaps_sides() -> None:
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(98))
    assert MIRROR[EYE_CORNERS[0]] == EYE_CORNERS[1]
    assert {i for i in range(98) if MIRROR[i] == i} == {16, 51, 52, 53, 54, 57, 79, 85, 90, 94}


def test_mirrored_curves_stay_curves() -> None:
    neighbours = set()
    for first, last, closed in CURVES:
        around = [*range(first, last + 1)] + ([first] if closed else [])
        neighbours |= {frozenset(pair) for pair in pairwise(around)}
    mirrored = {frozenset(int(MIRROR[i]) for i in pair) for pair in neighbours}
    assert mirrored == neighbours


def test_nme_is_distance_over_inter_ocular() -> None:
    truth = np.zeros((2, 98, 2))
    truth[:, 72, 0] = 50
    guess = truth + np.array([3, 4])
    np.testing.assert_allclose(nme(guess, truth), [0.1, 0.1])


def test_five_points() -> None:
    points = np.arange(98.0)[:, None].repeat(2, 1)
    assert to_5(points)[:, 0].tolist() == pytest.approx([96, 97, 54, 76, 82])
