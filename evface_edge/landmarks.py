"""The 98 landmarks of WFLW: order, groups, and conversion to schemes with fewer points.

WFLW (Wu et al., CVPR 2018). "Right" and "left" are the subject's own; the right eye lies on the
left of the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CONTOUR",
    "CURVES",
    "EYE_CORNERS",
    "INNER_LIPS",
    "LEFT_BROW",
    "LEFT_EYE",
    "LEFT_PUPIL",
    "MIRROR",
    "NOSE",
    "NUM_LANDMARKS",
    "OUTER_LIPS",
    "RIGHT_BROW",
    "RIGHT_EYE",
    "RIGHT_PUPIL",
    "nme",
    "to_5",
    "to_68",
]

NUM_LANDMARKS = 98

CONTOUR = slice(0, 33)
RIGHT_BROW = slice(33, 42)
LEFT_BROW = slice(42, 51)
NOSE = slice(51, 60)
RIGHT_EYE = slice(60, 68)
LEFT_EYE = slice(68, 76)
OUTER_LIPS = slice(76, 88)
INNER_LIPS = slice(88, 96)
RIGHT_PUPIL = 96
LEFT_PUPIL = 97

#: Outer corners of the eyes; their distance (inter-ocular) normalises errors.
EYE_CORNERS = (60, 72)

#: Lines through the points: (first, last, closed).
CURVES: tuple[tuple[int, int, bool], ...] = (
    (0, 32, False),
    (33, 41, True),
    (42, 50, True),
    (51, 54, False),
    (55, 59, False),
    (60, 67, True),
    (68, 75, True),
    (76, 87, True),
    (88, 95, True),
)

_68_FROM_98 = np.array(
    [
        *(*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 61)),
        *(61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, *range(76, 96)),
    ]
)
# Points of the eyelids: at quarters of a lid in the 98, at thirds in the 68.
# (index in the 68, the two neighbours in the 98, weight of the second)
_LID_THIRDS = (
    (37, 61, 62, 1 / 3),
    (38, 62, 63, 2 / 3),
    (40, 65, 66, 1 / 3),
    (41, 66, 67, 2 / 3),
    (43, 69, 70, 1 / 3),
    (44, 70, 71, 2 / 3),
    (46, 73, 74, 1 / 3),
    (47, 74, 75, 2 / 3),
)
_5_FROM_98 = np.array([96, 97, 54, 76, 82])


def _mirror() -> NDArray[np.intp]:
    pairs = [(i, 32 - i) for i in range(16)]
    pairs += [(33 + i, 46 - i) for i in range(5)] + [(38 + i, 50 - i) for i in range(4)]
    pairs += [(55, 59), (56, 58)]
    pairs += [(60 + i, 72 - i) for i in range(5)] + [(65 + i, 75 - i) for i in range(3)]
    pairs += [(76, 82), (77, 81), (78, 80), (87, 83), (86, 84)]
    pairs += [(88, 92), (89, 91), (95, 93), (96, 97)]
    order = np.arange(NUM_LANDMARKS)
    for a, b in pairs:
        order[a], order[b] = b, a
    return order


#: `points[..., MIRROR, :]` has the points of a mirrored face in the order of WFLW.
MIRROR: NDArray[np.intp] = _mirror()


def to_68(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points (..., 98, 2) → the 68 points of iBUG 300-W (..., 68, 2).

    The eight points of the eyelids are interpolated.
    """
    result = points[..., _68_FROM_98, :].copy()
    for target, first, second, fraction in _LID_THIRDS:
        result[..., target, :] = (1 - fraction) * points[..., first, :] + fraction * points[
            ..., second, :
        ]
    return result


def to_5(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points (..., 98, 2) → right pupil, left pupil, nose tip, right and left mouth corner."""
    return points[..., _5_FROM_98, :]


def nme(
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating],
    eye_corners: tuple[int, int] = EYE_CORNERS,
) -> NDArray[np.floating]:
    """Normalised mean error of each face (...,): mean distance ÷ inter-ocular distance.

    Args:
        predicted, truth: (..., P, 2); P is 98, or 68 with `eye_corners=(36, 45)`.
        eye_corners: the two points whose distance normalises.
    """
    right, left = eye_corners
    inter_ocular = np.linalg.norm(truth[..., right, :] - truth[..., left, :], axis=-1)
    error: NDArray[np.floating] = np.linalg.norm(predicted - truth, axis=-1).mean(axis=-1)
    normalised: NDArray[np.floating] = error / inter_ocular
    return normalised
