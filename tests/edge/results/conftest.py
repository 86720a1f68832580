from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evface_edge.geometry import Box
from evface_edge.results import FaceLandmarks, FaceState

MakeFace = Callable[..., FaceLandmarks]


@pytest.fixture
def make_face() -> MakeFace:
    """Makes faces on a ring around (60, 50): all points differ, none lies at a pixel centre."""

    def make(t_us: int = 1000, **changes: object) -> FaceLandmarks:
        angle = np.arange(98) / 98 * 2 * np.pi
        points = np.stack([60.3 + 30 * np.cos(angle), 50.7 + 20 * np.sin(angle)], axis=1)
        values: dict[str, object] = {
            "t_us": t_us,
            "landmarks": points.astype(np.float32),
            "sigma": np.linspace(0.5, 2, 98, dtype=np.float32),
            "presence": 0.75,
            "box": Box.around(points),
            "state": FaceState.FOLLOWING,
            "face_id": 3,
        }
        return FaceLandmarks(**{**values, **changes})  # type: ignore[arg-type]

    return make
