"""Export of a tiny face detector: the file computes what the network does, or is not written."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from evface_edge.card_file import read_card
from evface_edge.errors import ExportError, ModelError
from evface_edge.geometry import SensorSize
from evface_edge.tracking.detector_grid import GridShape
from evface_edge.tracking.detector_network import DetectorNetwork
from evface_edge.tracking.event_buffer import EventBuffer
from evface_export import detector as export
from evface_training.checkpoint import save_checkpoint
from evface_training.data.avatars import load_avatars
from evface_training.detector import maker
from evface_training.detector.network import STRIDE, Detector, DetectorConfig
from evface_training.detector.scenes import SceneSimulator
from evface_training.recipe import TrainRecipe

GRID = GridShape(width=48, height=32)
NOTES = {"data": "none", "licence": "MIT", "recipe": "none"}


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CALIBRATION", 16)
    monkeypatch.setattr(export, "JUDGING", 16)
    monkeypatch.setattr(maker, "SceneSimulator", partial(SceneSimulator, images=(6, 6)))


@pytest.fixture(scope="module")
def network() -> Detector:
    """Not trained, and with an opinion about every place."""
    torch.manual_seed(3)
    network = Detector(DetectorConfig(GRID, (8, 16, 16, 16)))
    with torch.no_grad():
        network.to_heat.weight.normal_(0, 1.0)
        network.to_heat.bias.zero_()  # type: ignore[union-attr]
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(network: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "last.pt"
    recipe = TrainRecipe(name="tiny", task="detector", detector=network.config, batch=16)
    stored = dataclasses.asdict(recipe) | {"representation": dict(recipe.representation)}
    save_checkpoint(path, network, None, kind="detector", recipe=stored)
    return path


def test_the_file_says_what_the_network_says(
    network: Detector, checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "detector.onnx"
    done = export.export_detector(checkpoint, load_avatars(), output, training=NOTES)
    assert done.path == output
    assert done.size_bytes == output.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == [output.name]

    _, recipe = export.load_detector(checkpoint)
    cells = maker.draw_scenes(load_avatars(), recipe, 8, seed=99).inputs
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    heat, place = session.run(["heat", "place"], {"cells": cells.numpy()})
    with torch.no_grad():
        expected = [tensor.numpy() for tensor in network(cells)]
    assert heat.shape == (8, 1, GRID.height // STRIDE, GRID.width // STRIDE)
    for found, right in zip((heat, place), expected, strict=True):
        assert np.abs(found - right).mean() < 0.1 * right.std()

    card = read_card(output)
    assert (card.precision, card.training) == ("int8", NOTES)
    assert GridShape.from_config(card.representation) == GRID
    detector = DetectorNetwork(SensorSize(346, 260), output)
    assert detector.candidates(EventBuffer(200_000), 0, 3) == []


def test_one_that_finds_less_is_not_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(path: Path, scenes: object) -> dict[str, float]:
        return {"found_percent": -3.0, "iou_percent": 0.0, "threshold": 0.5}

    monkeypatch.setattr(export, "_measured", blind)
    with pytest.raises(ExportError, match="nothing was written"):
        export.export_detector(
            checkpoint, load_avatars(), tmp_path / "detector.onnx", training=NOTES
        )
    assert not list(tmp_path.iterdir())


def test_another_network_is_no_detector(network: Detector, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    save_checkpoint(path, network, None, kind="student")
    with pytest.raises(ModelError, match="expected a face detector"):
        export.load_detector(path)
