"""The bundled face detector on the demo recording, whose true face boxes are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evface_edge import DEMO_RECORDING, read_events
from evface_edge.errors import ModelError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.models import find_model
from evface_edge.tracking.detector_network import BUNDLED, DetectorNetwork
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.face_detector import FaceDetector
from evface_edge.tracking.network import LandmarkNetwork

TRUTH = Path(__file__).parents[1] / "data" / "demo_truth.npz"


def _recent(events: EventArray, t_us: int) -> EventBuffer:
    recent = EventBuffer(200_000)
    recent.append(events[events["t"] <= t_us])
    return recent


@pytest.fixture(scope="module")
def demo() -> tuple[EventArray, SensorSize, list[tuple[int, Box]]]:
    events, size = read_events(DEMO_RECORDING)
    with np.load(TRUTH) as stored:
        truth = dict(stored)
    chosen = range(5, len(truth["t_us"]), 5)
    boxes = [(int(truth["t_us"][k]), Box.around(truth["points98"][k])) for k in chosen]
    return events, size, boxes


def test_candidates_contain_the_face(
    demo: tuple[EventArray, SensorSize, list[tuple[int, Box]]],
) -> None:
    events, size, boxes = demo
    detector = DetectorNetwork(size)
    hits = 0
    for t_us, box in boxes:
        proposed = detector.candidates(_recent(events, t_us), t_us, 3)
        assert [c.score for c in proposed] == sorted((c.score for c in proposed), reverse=True)
        hits += any(c.box.iou(box.square(1.0)) > 0.35 for c in proposed)
    assert hits >= 0.8 * len(boxes)


def test_a_face_is_found_on_a_larger_sensor_too(
    demo: tuple[EventArray, SensorSize, list[tuple[int, Box]]],
) -> None:
    """The demo in a corner of 1280 × 720."""
    events, _, boxes = demo
    size = SensorSize(1280, 720)
    moved = events.copy()
    moved["x"], moved["y"] = moved["x"] + 800, moved["y"] + 300
    network = LandmarkNetwork(find_model("evface-s"))
    detector = FaceDetector(network, size, 28)
    hits = 0
    for t_us, box in boxes:
        found = detector.find(_recent(moved, t_us), t_us, max_faces=1)
        there = Box(box.x + 800, box.y + 300, box.width, box.height)
        hits += bool(found) and found[0].box.iou(there) > 0.5
        for face in found:
            assert not detector.find(_recent(moved, t_us), t_us, taken=[face.box])
    assert hits >= 0.5 * len(boxes)


def test_no_events_give_no_candidates() -> None:
    detector = DetectorNetwork(SensorSize(346, 260))
    assert detector.candidates(EventBuffer(200_000), 1_000, 3) == []


def test_a_landmark_model_is_refused() -> None:
    path = find_model("evface-s")
    with pytest.raises(ModelError) as caught:
        DetectorNetwork(SensorSize(346, 260), path)
    assert (caught.value.path, caught.value.field) == (path, "representation")


def test_it_is_small_and_has_a_card() -> None:
    detector = DetectorNetwork(SensorSize(346, 260))
    assert BUNDLED.stat().st_size < 100_000
    assert detector.card.precision == "int8"
    assert "licence" in detector.card.training
