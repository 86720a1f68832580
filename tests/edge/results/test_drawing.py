from __future__ import annotations

import numpy as np
import pytest

from evface_edge.events.array import make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceState
from evface_edge.results.drawing import (
    BACKGROUND,
    BRIGHTER,
    DARKER,
    STATE_COLOURS,
    event_image,
    face_image,
    image_scale,
)

NO_EVENTS = make_events([], [], [], [])


def test_position_and_polarity_of_events() -> None:
    x, y = [3, 3, 3, 0, 0, 0, 0, 2], [1, 1, 1, 0, 0, 0, 0, 1]
    events = make_events(range(8), x, y, [1] * 3 + [0] * 4 + [1])
    image = event_image(events, SensorSize(5, 2))
    assert image.shape == (2, 5, 3)
    assert tuple(image[1, 3]) == BRIGHTER  # three or more: full colour
    assert tuple(image[0, 0]) == DARKER
    assert tuple(image[0, 4]) == BACKGROUND
    one = image[1, 2].astype(int)  # one event alone: between the background and the colour
    assert (one > BACKGROUND).all()
    assert (one < BRIGHTER).all()
    assert (image != np.array(BACKGROUND)).any(axis=2).sum() == 3


@pytest.mark.parametrize(
    ("size", "scale"),
    [((1, 1), 6), ((128, 128), 5), ((346, 260), 2), ((640, 480), 1), ((1280, 720), 1)],
)
def test_small_sensors_are_enlarged(size: tuple[int, int], scale: int) -> None:
    sensor = SensorSize(*size)
    assert image_scale(sensor) == scale
    image = face_image(NO_EVENTS, [], sensor)
    assert image.width % 2 == image.height % 2 == 0
    assert image.width >= size[0] * scale
    assert image.height >= size[1] * scale


def test_landmarks_are_drawn_with_subpixel_accuracy(make_face) -> None:
    size = SensorSize(120, 100)
    scale = image_scale(size)
    points = np.full((98, 2), 20.0)
    points[:, 1] = 80  # all others in one place, away from the one that is measured
    points[54] = (70.25, 30.5)  # the nose tip
    points[51:54] = points[55:60] = points[54]
    face = make_face(landmarks=points, sigma=np.full(98, 0.1), box=Box(10, 10, 90, 80))
    drawn = np.asarray(face_image(NO_EVENTS, [face], size)).astype(float)
    empty = np.asarray(face_image(NO_EVENTS, [], size)).astype(float)
    light = np.abs(drawn - empty).sum(axis=2)
    light[:, : 60 * scale] = 0  # the other points
    light[60 * scale :] = light[:, 80 * scale :] = light[: 20 * scale] = 0  # the box
    rows, columns = np.indices(light.shape)
    offset = (drawn.shape[1] - size.width * scale) / 2
    # Pixel edges: the centre of image pixel c is c + 0.5, that of sensor pixel x is x + 0.5.
    x = ((columns * light).sum() / light.sum() + 0.5 - offset) / scale - 0.5
    y = ((rows * light).sum() / light.sum() + 0.5) / scale - 0.5
    np.testing.assert_allclose((x, y), (70.25, 30.5), atol=0.15)


@pytest.mark.parametrize("state", list(FaceState))
def test_every_state_has_a_colour(make_face, state: FaceState) -> None:
    image = face_image(NO_EVENTS, [make_face(state=state)], SensorSize(346, 260))
    colours = {colour for _, colour in image.getcolors(1 << 20) or []}
    nearest = min(np.abs(np.array(colour) - STATE_COLOURS[state]).max() for colour in colours)
    assert nearest <= 60  # of a translucent line


@pytest.mark.parametrize("shift", [(-1000, 0), (0, 1000), (-60, -50), (286, 210)])
def test_a_face_outside_the_image(make_face, shift: tuple[int, int]) -> None:
    face = make_face()
    moved = face.landmarks + np.array(shift, np.float32)
    size = SensorSize(346, 260)
    image = face_image(NO_EVENTS, [make_face(landmarks=moved, box=Box.around(moved))], size)
    assert image.size == face_image(NO_EVENTS, [], size).size


def test_uncertain_points_are_drawn_wider(make_face) -> None:
    size = SensorSize(346, 260)

    def drawn(sigma: float) -> np.ndarray:
        face = make_face(sigma=np.full(98, sigma))
        return np.asarray(face_image(NO_EVENTS, [face], size))

    certain = drawn(0.1)

    def wider_by(sigma: float) -> int:
        return int((drawn(sigma) != certain).any(axis=2).sum())

    assert wider_by(0.2) == 0  # smaller than the point itself
    assert 1000 < wider_by(4) < 0.7 * wider_by(8)
