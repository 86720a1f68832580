"""A network that answers as the tests say, and what it takes for a face."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import evface_runtimes
from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.predictor import Predictor
from evface_edge.tracking import face_detector as detector_module
from evface_edge.tracking import network as network_module
from evface_edge.tracking.detector_network import Candidate
from evface_edge.tracking.event_buffer import EventBuffer

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


class BlobNetwork:
    """Calls a ring of events a face: its points lie on the ring."""

    name, device = "blob", "cpu"

    def __init__(self) -> None:
        self.inputs = {spec.name: spec.shape for spec in CARD.inputs}
        self.outputs = {spec.name: spec.shape for spec in CARD.outputs}
        angle = np.linspace(0, 2 * np.pi, 98, endpoint=False)
        self._circle = np.stack([np.cos(angle), np.sin(angle)], -1)

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        frames = tensors["events"].sum(1)
        cells = (np.arange(16) + 0.5) / 16
        total = frames.sum((1, 2)) + 1e-9
        x = (frames.sum(1) * cells).sum(1) / total
        y = (frames.sum(2) * cells).sum(1) / total
        spread = np.sqrt(
            (
                frames
                * ((cells - x[:, None])[:, None] ** 2 + (cells - y[:, None])[:, :, None] ** 2)
            ).sum((1, 2))
            / total
        )
        center = np.stack([x, y], -1)[:, None]
        landmarks = center + self._circle * spread[:, None, None]
        # A ring is empty within; noise is not.
        distance = np.hypot((cells - x[:, None])[:, None], (cells - y[:, None])[:, :, None])
        inner = (frames * (distance < 0.6 * spread[:, None, None])).sum((1, 2)) / total
        presence = np.where((spread > 0.08) & (inner < 0.05) & (total > 30), 8.0, -8.0)
        return {
            "landmarks": landmarks.astype(np.float32),
            "log_sigma": np.full((len(frames), 98), np.log(0.01), np.float32),
            "presence": presence[:, None].astype(np.float32),
        }

    def close(self) -> None: ...


class FullestSquares:
    """A fake detector network: squares of 60 pixels, those with most events first."""

    def __init__(self, size: SensorSize) -> None:
        self._size = size

    def candidates(self, recent: EventBuffer, now_us: int, count: int) -> list[Candidate]:
        events = recent.newest(20_000)
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


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "test-face.onnx"
    path.write_bytes(b"a network")
    monkeypatch.setattr(network_module, "read_card", lambda _: CARD)
    monkeypatch.setattr(evface_runtimes, "load", lambda *_, **__: BlobNetwork())
    monkeypatch.setattr(detector_module, "DetectorNetwork", FullestSquares)
    return path


@pytest.fixture
def predictor(model: Path) -> Iterator[Predictor]:
    with Predictor(model) as made:
        yield made


@pytest.fixture
def card() -> ModelCard:
    """Of the network that `model` stands for."""
    return CARD


@pytest.fixture
def ring() -> Callable[..., EventArray]:
    """Draws a face."""

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
