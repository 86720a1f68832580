"""The finder's export on a tiny one: the file says what the network says, or is not written."""

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
from evface_edge.tracking.finder_grid import GridShape
from evface_edge.tracking.finder_network import FinderNetwork
from evface_edge.tracking.recent import RecentEvents
from evface_export import finder as export
from evface_training.checkpoint import save_checkpoint
from evface_training.data.heads import load_heads
from evface_training.finder import maker
from evface_training.finder.network import STRIDE, Finder, FinderConfig
from evface_training.finder.scenes import SceneSimulator
from evface_training.recipe import TrainRecipe

GRID = GridShape(width=48, height=32)
NOTES = {"data": "none", "licence": "MIT", "recipe": "none"}


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CALIBRATION", 16)
    monkeypatch.setattr(export, "JUDGING", 16)
    monkeypatch.setattr(maker, "SceneSimulator", partial(SceneSimulator, pictures=(6, 6)))


@pytest.fixture(scope="module")
def network() -> Finder:
    """Not trained, and with an opinion about every place."""
    torch.manual_seed(3)
    network = Finder(FinderConfig(GRID, (8, 16, 16, 16)))
    with torch.no_grad():
        network.to_heat.weight.normal_(0, 1.0)
        network.to_heat.bias.zero_()  # type: ignore[union-attr]
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(network: Finder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finder") / "last.pt"
    recipe = TrainRecipe(name="tiny", task="finder", finder=network.config, batch=16)
    stored = dataclasses.asdict(recipe) | {"representation": dict(recipe.representation)}
    save_checkpoint(path, network, None, kind="finder", recipe=stored)
    return path


def test_the_file_says_what_the_network_says(
    network: Finder, checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "finder.onnx"
    done = export.export_finder(checkpoint, load_heads(), output, training=NOTES)
    assert done.path == output
    assert done.size_bytes == output.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == [output.name]

    _, recipe = export.load_finder(checkpoint)
    cells = maker.draw_scenes(load_heads(), recipe, 8, seed=99).inputs
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
    finder = FinderNetwork(SensorSize(346, 260), output)
    assert finder.candidates(RecentEvents(200_000), 0, 3) == []


def test_one_that_finds_less_is_not_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(path: Path, scenes: object) -> dict[str, float]:
        return {"found_percent": -3.0, "iou_percent": 0.0, "threshold": 0.5}

    monkeypatch.setattr(export, "_measured", blind)
    with pytest.raises(ExportError, match="nothing was written"):
        export.export_finder(checkpoint, load_heads(), tmp_path / "finder.onnx", training=NOTES)
    assert not list(tmp_path.iterdir())


def test_another_network_is_no_finder(network: Finder, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    save_checkpoint(path, network, None, kind="student")
    with pytest.raises(ModelError, match="expected a finder"):
        export.load_finder(path)
