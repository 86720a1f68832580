"""Export of a tiny face detector: the artefact agrees with the network, or is not written."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import typer
from typer.testing import CliRunner

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ExportError, ModelError
from evface_edge.geometry import SensorSize
from evface_edge.tracking.detector_grid import GridShape
from evface_edge.tracking.detector_network import DetectorNetwork
from evface_edge.tracking.event_buffer import EventBuffer
from evface_export import detector as export
from evface_export.command_export import export as command
from evface_training.checkpoint import save_checkpoint
from evface_training.data.avatars import load_avatars
from evface_training.data.faces import FaceSet
from evface_training.detector import maker
from evface_training.detector.network import STRIDE, Detector, DetectorConfig
from evface_training.detector.scenes import Scenes, SceneSimulator
from evface_training.recipe import TrainRecipe

GRID = GridShape(width=48, height=32)


@pytest.fixture(scope="module")
def made() -> dict[Any, Any]:
    """Scenes by seed, and the quantised model: made once for all tests."""
    return {}


@pytest.fixture(autouse=True)
def few_scenes(made: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CALIBRATION_SCENES", 16)
    monkeypatch.setattr(export, "EVALUATION_SCENES", 16)
    monkeypatch.setattr(maker, "SceneSimulator", partial(SceneSimulator, images=(6, 6)))
    draw, quantise = export.draw_scenes, export._quantised

    def draw_once(faces: FaceSet, recipe: TrainRecipe, count: int, seed: int) -> Scenes:
        if seed not in made:
            made[seed] = draw(faces, recipe, count, seed)
        return made[seed]  # type: ignore[no-any-return]

    def quantise_once(network: Detector, scenes: Scenes) -> bytes:
        if "model" not in made:
            made["model"] = quantise(network, scenes)
        return made["model"]  # type: ignore[no-any-return]

    monkeypatch.setattr(export, "draw_scenes", draw_once)
    monkeypatch.setattr(export, "_quantised", quantise_once)


@pytest.fixture(scope="module")
def network() -> Detector:
    """Not trained; its heat map varies over all cells."""
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


def test_the_artefact_agrees_with_the_network(
    network: Detector, checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "detector.onnx"
    done = export.export_detector(checkpoint, load_avatars(), output)
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
    assert (card.name, card.precision, card.training) == ("tiny", "int8", {"recipe": "tiny"})
    assert GridShape.from_config(card.representation) == GRID
    detector = DetectorNetwork(SensorSize(346, 260), output)
    assert detector.candidates(EventBuffer(200_000), 0, 3) == []


def test_a_detector_with_less_recall_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(path: Path, scenes: object) -> dict[str, float]:
        return {"found_percent": -3.0, "iou_percent": 0.0, "threshold": 0.5}

    monkeypatch.setattr(export, "_metrics", blind)
    with pytest.raises(ExportError) as caught:
        export.export_detector(checkpoint, load_avatars(), tmp_path)
    assert caught.value.field == "recall loss"
    assert not list(tmp_path.iterdir())


def test_checkpoints_of_other_networks(network: Detector, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    save_checkpoint(path, network, None, kind="student")
    assert not export.is_detector(str(path))
    assert not export.is_detector("evface-s")
    with pytest.raises(ModelError) as caught:
        export.load_detector(path)
    assert (caught.value.path, caught.value.value) == (path, "student")


def test_command(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MAX_LOSS", 100.0)
    app = typer.Typer()
    app.command()(command)
    folder = tmp_path / "new"
    result = CliRunner().invoke(app, [str(checkpoint), "-o", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    path = folder / "tiny-int8.onnx"
    assert json.loads(result.output)["size_bytes"] == path.stat().st_size
    assert read_card(path).name == "tiny"
    refused = CliRunner().invoke(app, [str(checkpoint), "-t", "onnx-fp32"])
    assert isinstance(refused.exception, ConfigError)
    assert refused.exception.field == "--target"
