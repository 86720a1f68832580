from __future__ import annotations

import numpy as np
import pytest

from evface_edge.results import eye_aspect_ratio, mouth_aspect_ratio
from evface_edge.results.aspect_ratios import aspect_ratios


def outline(width: float, height: float) -> np.ndarray:
    """Eight points: a corner, three above, the other corner, three below."""
    x = np.array([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]) * width
    y = np.array([0, -0.5, -0.5, -0.5, 0, 0.5, 0.5, 0.5]) * height
    return np.stack([x, y], 1)


def test_ratios_of_drawn_eyes_and_lips_at_any_angle() -> None:
    points = np.zeros((98, 2))
    points[60:68] = outline(30, 9)
    points[68:76] = outline(20, 2) + np.array([60, 0])
    points[88:96] = outline(40, 24) + np.array([20, 50])
    rotation = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    for face in (points, points @ rotation.T):
        assert eye_aspect_ratio(face) == pytest.approx((0.3, 0.1))
        assert mouth_aspect_ratio(face) == pytest.approx(0.6)
    np.testing.assert_allclose(aspect_ratios(np.stack([points, points])), [[0.3, 0.1, 0.6]] * 2)


def test_points_in_one_place_are_closed() -> None:
    assert eye_aspect_ratio(np.zeros((98, 2))) == (0.0, 0.0)
