"""Conversion of the 68 points of 300-W to the 98 of WFLW."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from evface_edge.landmarks import LEFT_PUPIL, NUM_LANDMARKS, RIGHT_PUPIL

Points = NDArray[np.float32]

_LOWER_BROW_WEIGHT, _PUPIL_WEIGHT = 0.0, 0.3


def from_68(points: NDArray[np.floating]) -> tuple[Points, Points]:
    """Convert the 68 points of iBUG 300-W, (68, 2) or (68, 3).

    Contour and lids follow cubic splines through the given points. The pupils are the centres of
    the eyes, with a low weight. The lower brows are guessed, with weight 0.

    Returns:
        points (98, 2) or (98, 3) and weights (98,), float32.
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
    # A fifth of the way down to the eye. The lower edge of the right brow runs from the inner to
    # the outer end (38 to 41), that of the left brow from the outer to the inner end (47 to 50).
    for edge, below, pupil in (
        ([37, 36, 35, 34], slice(38, 42), RIGHT_PUPIL),
        ([46, 45, 44, 43], slice(47, 51), LEFT_PUPIL),
    ):
        drop = 0.2 * (result[pupil] - result[edge].mean(axis=0))
        result[below] = result[edge] + drop
        weights[below] = _LOWER_BROW_WEIGHT
    return result.astype(np.float32), weights
