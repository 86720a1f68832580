"""Eye and mouth aspect ratio: how far eyes and mouth are open.

Soukupová and Čech, "Real-Time Eye Blink Detection using Facial Landmarks", CVWW 2016, with three
pairs of points an eye where they have two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evface_edge.landmarks import INNER_LIPS, LEFT_EYE, RIGHT_EYE

# An outline of eight points: a corner, three above, the other corner, three below, backwards.
_CORNERS = (0, 4)
_ABOVE, _BELOW = (1, 2, 3), (7, 6, 5)


def eye_aspect_ratio(landmarks: NDArray[np.floating]) -> tuple[float, float]:
    """EAR of the right and left eye: mean distance of the lids ÷ distance of the eye's corners.

    About 0.3 for an open eye and below 0.1 for a closed one; it differs from person to person.

    Args:
        landmarks: (98, 2).
    """
    right, left = aspect_ratios(landmarks[None], (RIGHT_EYE, LEFT_EYE))[0].tolist()
    return right, left


def mouth_aspect_ratio(landmarks: NDArray[np.floating]) -> float:
    """MAR: mean distance of the inner lips ÷ distance of their corners.

    0 for a closed mouth, about 1 for one that is wide open.

    Args:
        landmarks: (98, 2).
    """
    return float(aspect_ratios(landmarks[None], (INNER_LIPS,))[0, 0])


def aspect_ratios(
    landmarks: NDArray[np.floating], outlines: Sequence[slice] = (RIGHT_EYE, LEFT_EYE, INNER_LIPS)
) -> NDArray[np.floating]:
    """Landmarks (N, 98, 2) → the aspect ratio of each outline (N, outlines).

    By default the columns are EAR right, EAR left and MAR.
    """
    points = np.stack([landmarks[:, outline] for outline in outlines], axis=1)
    height = np.linalg.norm(points[..., _ABOVE, :] - points[..., _BELOW, :], axis=-1).mean(axis=-1)
    first, last = _CORNERS
    width = np.linalg.norm(points[..., first, :] - points[..., last, :], axis=-1)
    ratios: NDArray[np.floating] = height / np.maximum(width, 1e-6)
    return ratios
