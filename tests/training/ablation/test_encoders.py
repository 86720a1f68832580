"""python -m benchmarks encoders: a regression with a known answer, and encoders of an ablation."""

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

from evface_edge.metrics import nme98
from evface_training.ablation.measure import draw_moments
from evface_training.ablation.results import Finished
from evface_training.ablation.run import Ablation, run_ablation
from evface_training.data.faces import FaceSet
from evface_training.trainer.machine import Machine


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("benchmarks.encoders")


def test_the_regression_is_least_squares_with_a_penalty(script: ModuleType) -> None:
    """Least squares of the same equations, with one more for each weight: it should be 0."""
    random = np.random.default_rng(0)
    features = random.normal(3, 1, (200, 12))
    targets = features @ random.normal(0, 1, (12, 4)) + 2 + random.normal(0, 2, (200, 4))
    found = script.Ridge(torch.from_numpy(features), torch.from_numpy(targets))
    x, y = features - features.mean(0), targets - targets.mean(0)
    distances = []
    for ridge in script._RIDGES:
        small = np.eye(12) * np.sqrt(ridge * (x**2).sum(0).mean())
        weight, *_ = np.linalg.lstsq(
            np.concatenate([x, small]), np.concatenate([y, np.zeros((12, 4))]), rcond=None
        )
        distances.append(np.abs(found.weight.numpy() - weight).max())
    assert min(distances) < 1e-8 < sorted(distances)[1]
    # What is all noise is best answered with the mean.
    values = torch.from_numpy(random.normal(5, 1, (200, 4)))
    noise = script.Ridge(torch.from_numpy(features), values)
    assert abs(noise(torch.from_numpy(features)) - 5).max() < 0.7


def test_normalisation_is_that_of_the_clips(script: ModuleType) -> None:
    encoder = nn.Sequential(nn.BatchNorm2d(1)).eval()
    inputs = torch.randn(96, 1, 8, 8) * 3 + 7
    out = script.settled(encoder, inputs)(inputs)
    assert float(out.detach().mean()) == pytest.approx(0, abs=0.05)
    assert float(out.detach().std()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(encoder(inputs), inputs, atol=1e-3, rtol=1e-3)  # left as it was


def test_encoders_of_an_ablation(script: ModuleType, tmp_path: Path, drawn_faces: FaceSet) -> None:
    row = "events + SSMER, all three, Adam, by place"
    smoke = Ablation("smoke", steps=1, pretraining_steps=1, seeds=1, clips=4, rows=("events", row))
    run_ablation(smoke, drawn_faces, drawn_faces, tmp_path, Machine("cpu", 1, 0))
    stored = json.loads((tmp_path / "results.json").read_text())
    ablation = Finished(tmp_path, stored["settings"], stored["rows"], drawn_faces, drawn_faces)
    recipe = ablation.plan["events"].recipe
    longer = replace(ablation, settings={**ablation.settings, "steps": 2})
    assert longer.checkpoint("events") is None  # it stands at the first step of two
    clips = draw_moments(drawn_faces, recipe, 40)
    found, moved = {}, {}
    for one in script.encoders(ablation, recipe):
        name, moved[one.name] = one.name, one.moved
        errors = script.probe(one.network, clips, clips)
        found[name] = {(fraction, 4): errors[4] for fraction in script.FRACTIONS} | {
            (1.0, 1): errors[1]
        }
        if name.startswith("none"):  # whatever it looks at, the same points
            mean = torch.cat([one.points for one in clips.values()]).mean(0)
            expected = 100 * nme98(mean.expand(40, 98, 2).numpy(), clips["dark"].points.numpy())
            assert errors[4]["dark"] == pytest.approx(expected.mean(), rel=1e-4)
        else:  # its own clips: more numbers to fit them with leave less error
            assert sum(errors[4].values()) < sum(errors[1].values())
    assert list(found) == [
        "none: the mean of the points",
        "weights from scratch",
        "SSMER, all three, Adam, by place",
        "trained with all labels",
    ]
    assert moved["none: the mean of the points"] == moved["weights from scratch"] == 0
    assert 0 < moved[row.replace("events + ", "")] < 0.1  # one step
    assert moved["trained with all labels"] < 1e-3  # a step of the warm-up, averaged
    lines = script.as_table(found, moved).splitlines()
    assert lines[5].startswith("| weights from scratch | ")
    assert lines[5].endswith(" | 0% |")
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_how_far_weights_have_moved(script: ModuleType) -> None:
    began = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Conv2d(1, 2, 1))
    trained = copy.deepcopy(began)
    for network, (first, second) in ((began, (3.0, (0.0, 4.0))), (trained, (3.0, (3.0, 0.0)))):
        network[0].weight.data.fill_(first)
        network[1].weight.data.fill_(7.0)  # norms are no part of it
        network[2].weight.data = torch.tensor(second).view(2, 1, 1, 1)
    assert script.moved(began, began) == 0
    assert script.moved(began, trained) == pytest.approx(5 / 5)  # |(0, 3, -4)| ÷ |(3, 0, 4)|
