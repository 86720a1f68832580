"""A network that detects rings of events, in a `MockRuntime`, and rings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.predictor import Predictor
from evface_edge.tracking.candidates import Candidate
from evface_edge.tracking.event_buffer import EventBuffer
from evface_runtimes import MockRuntime

CARD = ModelCard(
    name="test-face",
    version="1",
    precision="fp32",
    target="onnx-fp32",
    representation={"name": "event_frame", "width": 16, "height": 16},
    crop_scale=1.5,
    window=WindowPolicy(0.1, min_events=40, max_events=2_000, max_duration_us=50_000),
    inputs=(TensorSpec("events", (-1, 2, 16, 16)),),
    outputs=(
        TensorSpec("landmarks", (-1, 98, 2)),
        TensorSpec("log_sigma", (-1, 98)),
        TensorSpec("presence", (-1, 1)),
    ),
    presence_threshold=0.5,
    sigma_limit=0.1,
)


def detect_ring(tensors: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """A network that takes a ring of events for a face; the landmarks lie on the ring."""
    frames = tensors["events"].sum(1)
    cells = (np.arange(16) + 0.5) / 16
    total = frames.sum((1, 2)) + 1e-9
    x = (frames.sum(1) * cells).sum(1) / total
    y = (frames.sum(2) * cells).sum(1) / total
    dx, dy = (cells - x[:, None])[:, None], (cells - y[:, None])[:, :, None]
    radius = np.sqrt((frames * (dx**2 + dy**2)).sum((1, 2)) / total)
    angle = np.linspace(0, 2 * np.pi, 98, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    landmarks = np.stack([x, y], -1)[:, None] + circle * radius[:, None, None]
    # A ring is empty inside; noise is not.
    inside = np.hypot(dx, dy) < 0.6 * radius[:, None, None]
    inner = (frames * inside).sum((1, 2)) / total
    presence = np.where((radius > 0.08) & (inner < 0.05) & (total > 30), 8.0, -8.0)
    return {
        "landmarks": landmarks.astype(np.float32),
        "log_sigma": np.full((len(frames), 98), np.log(0.01), np.float32),
        "presence": presence[:, None].astype(np.float32),
    }


def ring_runtime() -> MockRuntime:
    inputs, outputs = (
        {spec.name: spec.shape for spec in specs} for specs in (CARD.inputs, CARD.outputs)
    )
    return MockRuntime(inputs, outputs, detect_ring)


class FullestSquares:
    """Candidates of 60 × 60 pixels, those with most events first."""

    def __init__(self, size: SensorSize) -> None:
        self._size = size

    def candidates(self, buffer: EventBuffer, now_us: int, count: int) -> list[Candidate]:
        events = buffer.newest(20_000)
        totals = np.zeros((self._size.height + 1, self._size.width + 1))
        np.add.at(totals, (events["y"] + 1, events["x"] + 1), 1)
        totals = totals.cumsum(0).cumsum(1)
        held = totals[60:, 60:] - totals[:-60, 60:] - totals[60:, :-60] + totals[:-60, :-60]
        chosen: list[Candidate] = []
        for place in np.argsort(-held, axis=None, kind="stable"):
            y, x = divmod(int(place), held.shape[1])
            box = Box(x, y, 60, 60)
            if all(box.iou(other.box) < 0.4 for other in chosen):
                chosen.append(Candidate(0.9, box))
            if len(chosen) == count:
                break
        return chosen if len(events) else []


MakePredictor = Callable[..., Predictor]


@pytest.fixture
def make_predictor() -> Iterator[MakePredictor]:
    """A Predictor of the network above, with more settings."""
    with contextlib.ExitStack() as made:

        def make(card: ModelCard = CARD, **settings: Any) -> Predictor:
            options = {"runtime": ring_runtime(), "detector": FullestSquares, **settings}
            return made.enter_context(Predictor(card, **options))

        yield make


@pytest.fixture
def predictor(make_predictor: MakePredictor) -> Predictor:
    return make_predictor()


@pytest.fixture
def card() -> ModelCard:
    """The card of the network of `predictor`."""
    return CARD


@pytest.fixture
def ring() -> Callable[..., EventArray]:
    """Makes events of a face."""

    def draw(
        start_us: int,
        end_us: int,
        center: tuple[float, float],
        rate_hz: float = 100_000,
        seed: int = 0,
    ) -> EventArray:
        """Events on a ring of 22 to 28 pixels around a centre."""
        rng = np.random.default_rng(seed)
        count = int(rate_hz * (end_us - start_us) * 1e-6)
        angle, radius = rng.uniform(0, 2 * np.pi, count), rng.uniform(22, 28, count)
        return make_events(
            np.sort(rng.integers(start_us, end_us, count)),
            np.round(center[0] + radius * np.cos(angle)),
            np.round(center[1] + radius * np.sin(angle)),
            rng.integers(0, 2, count),
        )

    return draw
