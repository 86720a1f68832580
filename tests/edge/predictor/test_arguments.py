"""What is asked wrongly is refused, and says what would be right."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError, EventFormatError, ModelError, RuntimeUnavailable
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.predictor import Predictor
from evface_edge.tracking import network as network_module

SIZE = SensorSize(160, 120)
Ring = Callable[..., EventArray]


@pytest.mark.parametrize("faces", [0, 9])
def test_an_impossible_number_of_faces_is_refused(model: Path, faces: int) -> None:
    with pytest.raises(ConfigError, match="faces"):
        Predictor(model, faces=faces)


@pytest.mark.parametrize("at_us", [[50_000, 50_000], [50_000, 40_000]])
def test_instants_that_do_not_rise_are_refused(
    predictor: Predictor, at_us: list[int], ring: Ring
) -> None:
    with pytest.raises(ConfigError, match="an instant after 50000"):
        predictor.run(ring(0, 100_000, (70, 60)), size=SIZE, at_us=at_us)


def test_it_warms_up_says_what_it_runs_on_and_closes(model: Path) -> None:
    with Predictor(model) as predictor:
        predictor.warmup()
        assert predictor.describe() == "test-face 1 (fp32) on blob, cpu"


def test_nothing_runs_after_the_end(ring: Ring) -> None:
    with Predictor("evface-s") as predictor:
        pass
    with pytest.raises(RuntimeUnavailable, match="after close"):
        predictor.run(ring(0, 100_000, (70, 60)), size=SIZE, box=Box(40, 30, 60, 60))


@pytest.mark.parametrize(
    ("events", "size", "error", "message"),
    [
        (make_events([5, 4], [0, 0], [0, 0], [1, 1]), SIZE, EventFormatError, "sort the events"),
        (make_events([5], [160], [0], [1]), SIZE, EventFormatError, "outside the 160×120"),
        (make_events([5], [0], [0], [1]), None, ConfigError, "size = None"),
        (np.zeros((3, 4)), SIZE, EventFormatError, "EVENT_DTYPE"),
    ],
    ids=["order", "outside", "no size", "no events"],
)
def test_bad_events_are_named(
    predictor: Predictor,
    events: EventArray,
    size: SensorSize | None,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        predictor.run(events, size=size)


def test_a_sensor_of_one_pixel_is_refused(predictor: Predictor) -> None:
    events = make_events(np.arange(1000) * 100, [0] * 1000, [0] * 1000, [1] * 1000)
    with pytest.raises(ConfigError, match="size = '1×1': expected a sensor of 16 pixels"):
        predictor.run(events, size=SensorSize(1, 1))


def test_another_thread_is_refused(predictor: Predictor, ring: Ring) -> None:
    caught: list[BaseException] = []

    def use() -> None:
        try:
            predictor.run(ring(0, 50_000, (70, 60)), size=SIZE)
        except ConfigError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "the thread that made it" in str(caught[0])


def test_a_card_that_does_not_fit_is_refused(
    model: Path, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = {"name": "voxel_grid", "bins": 5, "width": 16, "height": 16}
    wrong = dataclasses.replace(card, representation=voxels)
    monkeypatch.setattr(network_module, "read_card", lambda _: wrong)
    with pytest.raises(ModelError) as caught:
        Predictor(model)
    assert (caught.value.path, caught.value.field) == (model, "inputs")


@pytest.mark.parametrize("rate_hz", [0.0, -5.0, 2000.0, float("nan")])
def test_an_impossible_rate_is_refused(rate_hz: float) -> None:
    with pytest.raises(ConfigError, match="rate_hz"):
        Predictor("evface-s", rate_hz=rate_hz)


@pytest.mark.parametrize("model", ["evface-x", "no/such/model.onnx"])
def test_a_missing_model_is_named(model: str) -> None:
    with pytest.raises(ModelError, match=model):
        Predictor(model)
