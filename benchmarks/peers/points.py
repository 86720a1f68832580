"""Points of peers → the points that all have in common.

Two sets: the five of YuNet (pupils, tip of the nose, corners of the mouth), and the 51 of iBUG's 68
that do not lie on the outline of the face, which a mesh has as well. Nobody's scheme is exactly
another's: for each common point the nearest point of the peer is taken, and the median of what is
then left is added, both found on sharp still images of other people. So a peer is not charged for
meaning something slightly else by "corner of the mouth"; ours get no such correction.
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
#: Points of each peer that span the face from its right to its left: outer eye corners of the mesh,
#: eyes of the five.
AXES = {"MediaPipe": (33, 263), "YuNet": (0, 1)}
#: Fewer stills with a face than this tell nothing.
_LEAST_STILLS = 5


def to_51(points: Points) -> Points:
    """(…, 98, 2) → (…, 51, 2)."""
    return to_68(points)[..., _OUTLINE_68:, :]


def nme51(predicted: Points, truth: Points) -> NDArray[np.float64]:
    """(…, 51, 2) → (…): mean distance ÷ distance between the outer eye corners; inf for no face."""
    return _without_nan(nme(predicted, truth, EYE_CORNERS_51))


def nme5(predicted: Points, truth: Points) -> NDArray[np.float64]:
    """(…, 5, 2) → (…): mean distance ÷ distance between the pupils; inf for no face."""
    return _without_nan(nme(predicted, truth, (0, 1)))


def _without_nan(errors: Any) -> NDArray[np.float64]:
    return np.where(np.isnan(errors), np.inf, errors).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Translation:
    """Which points of a peer stand for the P common ones, and what is added to them.

    Attributes:
        vertices: (P,) of the peer's points.
        offsets: (P, 2) along the peer's own axis and across it, in lengths of the axis.
        axis: two of the peer's points.
        left_percent: mean error that is left on the stills, and raw_percent: without the offsets.
    """

    vertices: NDArray[np.int64]
    offsets: NDArray[np.float64]
    axis: tuple[int, int]
    left_percent: float
    raw_percent: float

    def __call__(self, found: Points) -> Points:
        """(N, Q, 2) of the peer → (N, P, 2)."""
        along, across = _axes(found, self.axis)
        return (
            found[:, self.vertices]
            + self.offsets[:, :1] * along[:, None]
            + self.offsets[:, 1:] * across[:, None]
        )


def fit(
    found: Points, truth: Points, axis: tuple[int, int], error: Any, *, as_they_are: bool
) -> Translation:
    """The nearest points, and the median of what is left, on stills.

    Args:
        found: (M, Q, 2) of a peer, NaN where it saw no face; truth: (M, P, 2).
        error: of (M, P, 2) against (M, P, 2), a fraction.
        as_they_are: Q is P, and they stand for each other in this order.

    Raises:
        ValueError: it saw hardly any face.
    """
    seen = np.isfinite(found).all((1, 2))
    if seen.sum() < _LEAST_STILLS:
        raise ValueError(f"found a face on {seen.sum()} of {len(seen)} sharp stills")
    found, truth = found[seen], truth[seen]
    along, across = _axes(found, axis)
    scale = np.linalg.norm(along, axis=-1)
    if as_they_are:
        vertices = np.arange(truth.shape[1])
    else:
        apart = np.linalg.norm(truth[:, :, None] - found[:, None], axis=-1) / scale[:, None, None]
        vertices = np.median(apart, axis=0).argmin(-1)
    gap = truth - found[:, vertices]
    within = np.stack([(gap * along[:, None]).sum(-1), (gap * across[:, None]).sum(-1)], -1)
    offsets = np.median(within / scale[:, None, None] ** 2, axis=0)
    raw = Translation(vertices, np.zeros_like(offsets), axis, np.nan, np.nan)
    fitted = Translation(vertices, offsets, axis, np.nan, np.nan)
    return Translation(
        vertices,
        offsets,
        axis,
        100 * float(error(fitted(found), truth).mean()),
        100 * float(error(raw(found), truth).mean()),
    )


def _axes(found: Points, axis: tuple[int, int]) -> tuple[Points, Points]:
    """(N, 2) from the first to the second point of the axis, and the same turned by 90 degrees."""
    along = found[:, axis[1]] - found[:, axis[0]]
    return along, np.stack([-along[:, 1], along[:, 0]], -1)


def common_truth(points: Points) -> dict[str, Points]:
    """(N, 98, 2) → the common points, by the name of their error."""
    return {"nme51": to_51(points), "nme5": to_5(points)}


ERRORS = {"nme51": nme51, "nme5": nme5}
