"""`benchmarks.encoders`: a regression with a known result, and encoders of an ablation study."""

from __future__ import annotations

import copy
import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.ablation_results import AblationResults
from evface_edge.metrics import nme98
from evface_training.ablation.measure import draw_clip_sets
from evface_training.ablation.run import Ablation, run_ablation
from evface_training.data.faces import FaceSet
from evface_training.trainer.machine import Machine


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("benchmarks.encoders")


def test_ridge_regression_is_least_squares_with_more_equations(script: ModuleType) -> None:
    """One more equation for each weight: its scaled value is 0."""
    random = np.random.default_rng(0)
    features = random.normal(3, 1, (200, 12))
    targets = features @ random.normal(0, 1, (12, 4)) + 2 + random.normal(0, 2, (200, 4))
    regression = script.Ridge(torch.from_numpy(features), torch.from_numpy(targets))
    x, y = features - features.mean(0), targets - targets.mean(0)
    distances = []
    for ridge in script._PENALTIES:
        small = np.eye(12) * np.sqrt(ridge * (x**2).sum(0).mean())
        weight, *_ = np.linalg.lstsq(
            np.concatenate([x, small]), np.concatenate([y, np.zeros((12, 4))]), rcond=None
        )
        distances.append(np.abs(regression.weight.numpy() - weight).max())
    assert min(distances) < 1e-8 < sorted(distances)[1]
    # For pure noise the best prediction is the mean.
    values = torch.from_numpy(random.normal(5, 1, (200, 4)))
    noise = script.Ridge(torch.from_numpy(features), values)
    assert abs(noise(torch.from_numpy(features)) - 5).max() < 0.7


def test_batch_norm_gets_the_statistics_of_the_clips(script: ModuleType) -> None:
    encoder = nn.Sequential(nn.BatchNorm2d(1)).eval()
    inputs = torch.randn(96, 1, 8, 8) * 3 + 7
    out = script.with_statistics_of(encoder, inputs)(inputs)
    assert float(out.detach().mean()) == pytest.approx(0, abs=0.05)
    assert float(out.detach().std()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(encoder(inputs), inputs, atol=1e-3, rtol=1e-3)  # unchanged


def test_encoders_of_an_ablation(script: ModuleType, tmp_path: Path, drawn_faces: FaceSet) -> None:
    row = "events + SSMER, all three, Adam, by place"
    smoke = Ablation("smoke", steps=1, pretraining_steps=1, seeds=1, clips=4, rows=("events", row))
    run_ablation(smoke, drawn_faces, drawn_faces, tmp_path, Machine("cpu", 1, 0))
    stored = json.loads((tmp_path / "results.json").read_text())
    ablation = AblationResults(
        tmp_path, stored["settings"], stored["rows"], drawn_faces, drawn_faces
    )
    recipe = ablation.plan["events"].recipe
    longer = replace(ablation, settings={**ablation.settings, "steps": 2})
    assert longer.checkpoint("events") is None  # it has one step of two
    clips = draw_clip_sets(drawn_faces, recipe, 40)
    errors, moved = {}, {}
    for one in script.encoders(ablation, recipe):
        moved[one.name] = one.moved
        errors[one.name] = script.probe(one.network, clips, clips)
    constant, *others = errors
    assert constant == "none: the mean of the points"
    assert others == [
        "untrained weights",
        "SSMER, all three, Adam, by place",
        "trained on all labels",
    ]
    mean = torch.cat([one.points for one in clips.values()]).mean(0)
    expected = 100 * nme98(mean.expand(40, 98, 2).numpy(), clips["dark"].points.numpy())
    assert errors[constant][4]["dark"] == pytest.approx(expected.mean(), rel=1e-4)
    for name in others:  # tested on the training clips: more features leave a smaller error
        assert sum(errors[name][4].values()) < sum(errors[name][1].values())
    assert moved[constant] == moved["untrained weights"] == 0
    assert 0 < moved[row.replace("events + ", "")] < 0.1  # one step
    assert moved["trained on all labels"] < 1e-3  # a step of the warm-up, averaged


def test_the_report(
    script: ModuleType, tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke = Ablation("smoke", steps=1, pretraining_steps=1, seeds=1, clips=4, rows=("events",))
    run_ablation(smoke, drawn_faces, drawn_faces, tmp_path, Machine("cpu", 1, 0))
    stored = json.loads((tmp_path / "results.json").read_text())
    ablation = AblationResults(
        tmp_path, stored["settings"], stored["rows"], drawn_faces, drawn_faces
    )
    monkeypatch.setattr(script, "load_results", lambda options: ablation)
    output = tmp_path / "report.json"
    monkeypatch.setattr("sys.argv", ["x", str(tmp_path), "--clips", "24", "-o", str(output)])
    script.main()
    report = json.loads(output.read_text())
    assert report["settings"]["size"] == "smoke"
    assert len(report["rows"]) == 3 * len(script.FRACTIONS) * len(script.GRIDS)
    assert set(report["rows"][0]["nme98_percent"]) == {"sharp", "dark", "blurred"}


def test_weights_moved(script: ModuleType) -> None:
    began = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Conv2d(1, 2, 1))
    trained = copy.deepcopy(began)
    for network, (first, second) in ((began, (3.0, (0.0, 4.0))), (trained, (3.0, (3.0, 0.0)))):
        network[0].weight.data.fill_(first)
        network[1].weight.data.fill_(7.0)  # norms do not count
        network[2].weight.data = torch.tensor(second).view(2, 1, 1, 1)
    assert script.moved(began, began) == 0
    assert script.moved(began, trained) == pytest.approx(5 / 5)  # |(0, 3, -4)| ÷ |(3, 0, 4)|
