from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evface_edge.errors import ConfigError


def test_cannot_be_changed(make_face) -> None:
    points = np.ones((98, 2), np.float64)
    face = make_face(landmarks=points)
    points[:] = 7  # the caller changes its array later
    assert face.landmarks.dtype == np.float32
    np.testing.assert_array_equal(face.landmarks, 1)
    with pytest.raises(ValueError, match="read-only"):
        face.landmarks[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        face.sigma[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        face.presence = 1.0


def test_equal_only_to_itself(make_face) -> None:
    face = make_face()
    assert face == face
    assert face != make_face()
    assert len({face, make_face()}) == 2


def test_fewer_points(make_face) -> None:
    face = make_face()
    assert face.points68.shape == (68, 2)
    # Of iBUG's 68: chin, nose tip, outer eye corners, mouth corners.
    np.testing.assert_array_equal(
        face.points68[[8, 30, 36, 45, 48, 54]], face.landmarks[[16, 54, 60, 72, 76, 82]]
    )
    np.testing.assert_array_equal(face.points5, face.landmarks[[96, 97, 54, 76, 82]])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("landmarks", np.zeros((68, 2))),
        ("landmarks", np.full((98, 2), np.nan)),
        ("sigma", np.zeros(97)),
        ("sigma", np.full(98, np.inf)),
        ("sigma", np.full(98, -1.0)),
        ("presence", 1.5),
        ("presence", float("nan")),
    ],
)
def test_values_out_of_range(make_face, field: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        make_face(**{field: value})
    assert caught.value.field == f"FaceLandmarks.{field}"
