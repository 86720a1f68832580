"""When a candidate is a face: a network whose σ the test sets, and a single candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evface_edge.card_file import read_card
from evface_edge.events.array import make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.models import find_model
from evface_edge.tracking.candidates import Candidate
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.face_detector import (
    MAX_SIGMA_FRACTION,
    REJECTED_US,
    SURE_SIGMA_FRACTION,
    UNCONFIRMED_US,
    FaceDetector,
)
from evface_edge.tracking.network import Crop, Detection, LandmarkNetwork
from evface_runtimes import MockRuntime

SIZE = SensorSize(346, 260)
FACE = Box(100, 80, 60, 60)
CARD = replace(read_card(find_model("evface-s")), sigma_limit=0.1)
#: σ as a fraction of the limit: certain; confirmed once; not confirmed.
SURE = SURE_SIGMA_FRACTION - 0.05
UNSURE = MAX_SIGMA_FRACTION - 0.02
DOUBTFUL = MAX_SIGMA_FRACTION + 0.1


class FakeNetwork(LandmarkNetwork):
    """The same landmarks for every box, with the σ of each instant."""

    def __init__(self, sigma_fractions: Mapping[int, float]) -> None:
        inputs, outputs = (
            {spec.name: spec.shape for spec in specs} for specs in (CARD.inputs, CARD.outputs)
        )
        super().__init__(CARD, runtime=MockRuntime(inputs, outputs))
        self.sigma_fractions, self.inferences = sigma_fractions, 0

    def infer(self, crops: Sequence[Crop]) -> list[Detection]:
        self.inferences += len(crops)
        steps = np.linspace(0, 1, 98)[:, None]
        corner, side = np.array([FACE.x, FACE.y]), np.array([FACE.width, FACE.height])
        points = (corner + side * steps).astype(np.float32)
        detections = []
        for crop in crops:
            sigma = self.sigma_fractions[crop.now_us] * CARD.sigma_limit * FACE.width
            sigmas = np.full(98, sigma, np.float32)
            detections.append(Detection(points, sigmas, 0.99, 100_000, crop.now_us))
        return detections


class OneCandidate:
    def candidates(self, buffer: EventBuffer, now_us: int, count: int) -> list[Candidate]:
        return [Candidate(0.9, FACE)]


def _detector(network: FakeNetwork, min_face_px: float = 28) -> FaceDetector:
    return FaceDetector(network, SIZE, min_face_px, OneCandidate())


def _buffer() -> EventBuffer:
    buffer = EventBuffer(200_000)
    buffer.append(make_events([0], [110], [90], [1]))
    return buffer


def _found_ms(sigma_fractions: Mapping[int, float], min_face_px: float = 28) -> list[int]:
    """The instants with a face, for σ by instant, both in milliseconds."""
    network = FakeNetwork({1000 * t_ms: fraction for t_ms, fraction in sigma_fractions.items()})
    detector, buffer = _detector(network, min_face_px), _buffer()
    return [t_ms for t_ms in sigma_fractions if detector.find(buffer, 1000 * t_ms)]


def test_a_certain_face_is_accepted_at_once() -> None:
    assert _found_ms({0: DOUBTFUL, 10: SURE}) == [10]


def test_a_face_that_is_too_small_is_never_accepted() -> None:
    assert _found_ms({0: SURE}, min_face_px=59) == [0]
    assert _found_ms({0: SURE, 10: SURE, 20: SURE}, min_face_px=61) == []


def test_one_confirmation_is_not_enough() -> None:
    assert _found_ms({0: UNSURE, 10: DOUBTFUL, 20: DOUBTFUL, 130: UNSURE, 240: UNSURE}) == []


def test_two_confirmations_are_enough_even_with_doubts_between() -> None:
    assert _found_ms({0: UNSURE, 10: DOUBTFUL, 20: UNSURE}) == [20]


def test_boxes_are_jittered_only_for_certain_detections() -> None:
    inferences = []
    for fraction in (DOUBTFUL, SURE):
        network = FakeNetwork({0: fraction})
        _detector(network).find(_buffer(), 0)
        inferences.append(network.inferences)
    assert inferences[1] - inferences[0] == 3


def test_a_candidate_that_is_never_confirmed_is_tried_less_often() -> None:
    instants_us = range(0, 2 * UNCONFIRMED_US, 10_000)
    network = FakeNetwork(dict.fromkeys(instants_us, DOUBTFUL))
    detector, buffer = _detector(network), _buffer()
    tried_us, before = [], 0
    for now_us in instants_us:
        detector.find(buffer, now_us)
        if network.inferences > before:
            tried_us.append(now_us)
        before = network.inferences
    early = [now_us for now_us in tried_us if now_us <= UNCONFIRMED_US]
    assert early == [now_us for now_us in instants_us if now_us <= UNCONFIRMED_US]
    late = np.array([now_us for now_us in tried_us if now_us > UNCONFIRMED_US])
    assert len(late) > 2
    assert (np.diff(late) >= REJECTED_US).all()
