"""Points of other schemes → the 98, with how far each can be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from evface_edge.landmarks import LEFT_PUPIL, NUM_LANDMARKS, RIGHT_PUPIL

Points = NDArray[np.float32]

#: Nose tip, right and left corner of the mouth (left and right in the image), right and left
#: pupil: the five of E-SIE in their order, among the 98.
ESIE_5 = np.array([54, 76, 82, 96, 97])
#: Right and left pupil, nose tip, corners of the mouth: the usual order of five.
USUAL_5 = np.array([96, 97, 54, 76, 82])

_LOWER_BROW_WEIGHT, _PUPIL_WEIGHT = 0.0, 0.3


def from_68(points: NDArray[np.floating]) -> tuple[Points, Points]:
    """The 68 points of iBUG 300-W, (68, 2) or (68, 3) → 98 points and weights (98,).

    Contour and lids go through the given points on cubic splines; pupils are the middles of the
    eyes, with little weight, and lower brows a guess without weight.
    """
    result = np.full((NUM_LANDMARKS, points.shape[-1]), np.nan)
    weights = np.ones(NUM_LANDMARKS, np.float32)
    result[:33] = CubicSpline(np.arange(17), points[:17])(np.linspace(0, 16, 33))
    for first98, first68 in ((33, 17), (42, 22)):
        result[first98 : first98 + 5] = points[first68 : first68 + 5]
    result[51:60] = points[27:36]
    for first98, first68 in ((60, 36), (68, 42)):
        eye = points[first68 : first68 + 6]
        upper, lower = eye[:4], eye[[3, 4, 5, 0]]
        quarters = np.linspace(0, 3, 5)
        result[first98 : first98 + 5] = CubicSpline(np.arange(4), upper)(quarters)
        result[first98 + 5 : first98 + 8] = CubicSpline(np.arange(4), lower)(quarters)[1:4]
    result[76:96] = points[48:68]
    for pupil, lids in ((RIGHT_PUPIL, slice(60, 68)), (LEFT_PUPIL, slice(68, 76))):
        result[pupil] = result[lids].mean(axis=0)
        weights[pupil] = _PUPIL_WEIGHT
    # A fifth of the way down to the eye; of the right brow the lower edge runs back from 38 to
    # 41, of the left one from 47 to 50: inner to outer, outer to inner.
    for edge, below, pupil in (
        ([37, 36, 35, 34], slice(38, 42), RIGHT_PUPIL),
        ([46, 45, 44, 43], slice(47, 51), LEFT_PUPIL),
    ):
        drop = 0.2 * (result[pupil] - result[edge].mean(axis=0))
        result[below] = result[edge] + drop
        weights[below] = _LOWER_BROW_WEIGHT
    return result.astype(np.float32), weights


def from_5(points: NDArray[np.floating], order: NDArray[np.intp]) -> tuple[Points, Points]:
    """Five points (5, 2) → 98 of which all others are nan, with weight 0.

    Args:
        order: which of the 98 they are: ESIE_5 or USUAL_5.
    """
    result = np.full((NUM_LANDMARKS, 2), np.nan, np.float32)
    weights = np.zeros(NUM_LANDMARKS, np.float32)
    result[order], weights[order] = points, 1.0
    return result, weights
