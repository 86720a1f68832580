"""Alignment of the peers' points with common points.

There are two common sets: the five points of YuNet (pupils, tip of the nose, corners of the mouth),
and the 51 of iBUG's 68 points that are not on the contour. Definitions of points differ slightly,
so that each common point is taken from the nearest point of the peer plus a constant offset, both
fitted on sharp still images of other people. Our points get no such correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.landmarks import nme, to_5, to_68

Points = NDArray[np.floating[Any]]

_OUTLINE_68 = 17
#: Outer eye corners among the 51.
EYE_CORNERS_51 = (36 - _OUTLINE_68, 45 - _OUTLINE_68)
#: Two points of each peer that define the axis of the face: outer eye corners, or eyes.
AXES = {"MediaPipe": (33, 263), "YuNet": (0, 1)}
#: Minimum number of stills with a face.
_MIN_STILLS = 5


def to_51(points: Points) -> Points:
    """Return the 51 common points (…, 51, 2) of (…, 98, 2)."""
    return to_68(points)[..., _OUTLINE_68:, :]


def nme51(predicted: Points, truth: Points) -> NDArray[np.float64]:
    """Return mean distance ÷ distance of the outer eye corners, (…); inf without a face."""
    return _without_nan(nme(predicted, truth, EYE_CORNERS_51))


def nme5(predicted: Points, truth: Points) -> NDArray[np.float64]:
    """Return mean distance ÷ distance of the pupils, (…); inf without a face."""
    return _without_nan(nme(predicted, truth, (0, 1)))


def _without_nan(errors: Any) -> NDArray[np.float64]:
    return np.where(np.isnan(errors), np.inf, errors).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Alignment:
    """The points of a peer for the P common points, and their offsets.

    Attributes:
        vertices: (P,) indices of the peer's points.
        offsets: (P, 2) along the axis and across it, in lengths of the axis.
        axis: two of the peer's points.
        aligned_percent: mean error on the stills.
        raw_percent: mean error on the stills without offsets.
    """

    vertices: NDArray[np.int64]
    offsets: NDArray[np.float64]
    axis: tuple[int, int]
    aligned_percent: float
    raw_percent: float

    def __call__(self, predicted: Points) -> Points:
        """Return the common points (N, P, 2) of the peer's points (N, Q, 2)."""
        along, across = _axes(predicted, self.axis)
        return (
            predicted[:, self.vertices]
            + self.offsets[:, :1] * along[:, None]
            + self.offsets[:, 1:] * across[:, None]
        )


def fit(
    predicted: Points, truth: Points, axis: tuple[int, int], error: Any, *, same_points: bool
) -> Alignment:
    """Fit nearest points and median offsets on stills.

    Args:
        predicted: (M, Q, 2) points of a peer, NaN without a face.
        truth: (M, P, 2) common points.
        error: metric of predicted and true points (M, P, 2).
        same_points: the peer has the common points, in the same order.

    Raises:
        ValueError: faces on too few stills.
    """
    valid = np.isfinite(predicted).all((1, 2))
    if valid.sum() < _MIN_STILLS:
        raise ValueError(f"a face on {valid.sum()} of {len(valid)} sharp stills")
    predicted, truth = predicted[valid], truth[valid]
    along, across = _axes(predicted, axis)
    scale = np.linalg.norm(along, axis=-1)
    if same_points:
        vertices = np.arange(truth.shape[1])
    else:
        apart = (
            np.linalg.norm(truth[:, :, None] - predicted[:, None], axis=-1) / scale[:, None, None]
        )
        vertices = np.median(apart, axis=0).argmin(-1)
    gap = truth - predicted[:, vertices]
    within = np.stack([(gap * along[:, None]).sum(-1), (gap * across[:, None]).sum(-1)], -1)
    offsets = np.median(within / scale[:, None, None] ** 2, axis=0)
    raw = Alignment(vertices, np.zeros_like(offsets), axis, np.nan, np.nan)
    fitted = Alignment(vertices, offsets, axis, np.nan, np.nan)
    return Alignment(
        vertices,
        offsets,
        axis,
        100 * float(error(fitted(predicted), truth).mean()),
        100 * float(error(raw(predicted), truth).mean()),
    )


def _axes(predicted: Points, axis: tuple[int, int]) -> tuple[Points, Points]:
    """Return the axis (N, 2), and the axis rotated by 90 degrees."""
    along = predicted[:, axis[1]] - predicted[:, axis[0]]
    return along, np.stack([-along[:, 1], along[:, 0]], -1)


def common_points(points: Points) -> dict[str, Points]:
    """Return the common points of (N, 98, 2) for each metric."""
    return {"nme51": to_51(points), "nme5": to_5(points)}


ERRORS = {"nme51": nme51, "nme5": nme5}
