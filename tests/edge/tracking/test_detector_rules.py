"""What makes a face convincing, with a network that says what the test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from evface_edge.card_file import read_card
from evface_edge.events.array import make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.models import find_model
from evface_edge.tracking import face_detector as detector_module
from evface_edge.tracking.detector_network import Candidate
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.face_detector import (
    DISMISSED_US,
    PATIENCE_US,
    SIGMA_FRACTION,
    SURE_SIGMA_FRACTION,
    FaceDetector,
)
from evface_edge.tracking.network import Detection

FACE = Box(100, 80, 60, 60)
CARD = replace(read_card(find_model("evface-s")), sigma_limit=0.1)
#: In the limit's fraction: below any doubt; convincing once; not convincing.
SURE, UNSURE, DOUBTFUL = SURE_SIGMA_FRACTION - 0.05, SIGMA_FRACTION - 0.02, SIGMA_FRACTION + 0.1


class Says:
    """A landmark network with the σ of each instant, whose points follow no box."""

    card = CARD

    def __init__(self, sigma_fractions: Mapping[int, float]) -> None:
        self.sigma_fractions, self.looks = sigma_fractions, 0

    def detect(self, recent: object, boxes: Sequence[Box], now_us: int) -> list[Detection]:
        self.looks += len(boxes)
        steps = np.linspace(0, 1, 98)[:, None]
        corner, side = np.array([FACE.x, FACE.y]), np.array([FACE.width, FACE.height])
        points = (corner + side * steps).astype(np.float32)
        sigma = self.sigma_fractions[now_us] * CARD.sigma_limit * FACE.width
        one = Detection(points, np.full(98, sigma, np.float32), 0.99, 100_000, now_us)
        return [one] * len(boxes)


class OneSquare:
    def __init__(self, size: SensorSize) -> None: ...

    def candidates(self, recent: object, now_us: int, count: int) -> list[Candidate]:
        return [Candidate(0.9, FACE)]


def _found(
    sigma_fractions: Mapping[int, float], monkeypatch: pytest.MonkeyPatch, min_face_px: float = 28
) -> list[int]:
    """The instants in milliseconds at which there was a face."""
    monkeypatch.setattr(detector_module, "DetectorNetwork", OneSquare)
    network = Says({1000 * t_ms: fraction for t_ms, fraction in sigma_fractions.items()})
    detector = FaceDetector(network, SensorSize(346, 260), min_face_px)  # type: ignore[arg-type]
    recent = EventBuffer(200_000)
    recent.append(make_events([0], [110], [90], [1]))
    return [t_ms for t_ms in sigma_fractions if detector.find(recent, 1000 * t_ms)]


def test_a_sure_face_is_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _found({0: DOUBTFUL, 10: SURE}, monkeypatch) == [10]


def test_what_is_too_small_is_no_face_however_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _found({0: SURE}, monkeypatch, min_face_px=59) == [0]
    assert _found({0: SURE, 10: SURE, 20: SURE}, monkeypatch, min_face_px=61) == []


def test_one_convincing_look_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {0: UNSURE, 10: DOUBTFUL, 20: DOUBTFUL, 130: UNSURE, 240: UNSURE}
    assert _found(seen, monkeypatch) == []


def test_two_convincing_looks_are_even_with_doubts_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _found({0: UNSURE, 10: DOUBTFUL, 20: UNSURE}, monkeypatch) == [20]


def test_what_is_not_sure_of_itself_is_not_moved_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_module, "DetectorNetwork", OneSquare)
    looks = []
    for fraction in (DOUBTFUL, SURE):
        network = Says({0: fraction})
        recent = EventBuffer(200_000)
        recent.append(make_events([0], [110], [90], [1]))
        detector = FaceDetector(network, SensorSize(346, 260), 28)  # type: ignore[arg-type]
        detector.find(recent, 0)
        looks.append(network.looks)
    assert looks[1] - looks[0] == 3


def test_what_never_convinces_makes_way_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_module, "DetectorNetwork", OneSquare)
    instants_us = range(0, 2 * PATIENCE_US, 10_000)
    network = Says(dict.fromkeys(instants_us, DOUBTFUL))
    detector = FaceDetector(network, SensorSize(346, 260), 28)  # type: ignore[arg-type]
    recent = EventBuffer(200_000)
    recent.append(make_events([0], [110], [90], [1]))
    looked_at_us, looks = [], 0
    for now_us in instants_us:
        detector.find(recent, now_us)
        if network.looks > looks:
            looked_at_us.append(now_us)
        looks = network.looks
    patient = [now_us for now_us in looked_at_us if now_us <= PATIENCE_US]
    assert patient == [now_us for now_us in instants_us if now_us <= PATIENCE_US]
    late = np.array([now_us for now_us in looked_at_us if now_us > PATIENCE_US])
    assert len(late) > 2
    assert (np.diff(late) >= DISMISSED_US).all()
