"""A network that INT8 spoils, and the short training that recovers it."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError
from evface_export import qat
from evface_export.calibration import CalibrationSet
from evface_export.conversion import Conversion, Int8
from evface_export.graph import expected_warnings, to_onnx
from evface_export.onnx_network import from_onnx
from evface_export.parity import torch_run
from evface_export.pipeline import export_target
from evface_export.qat import quantize_with_training
from evface_export.quantize import layer_names, quantize
from evface_export.targets import find_targets

INT8 = find_targets("onnx-int8")[0]
SHAPE = (2, 10, 32, 32)


@pytest.fixture(scope="module")
def fragile(checkpoint: Any) -> Any:
    """The toy, with large weights on a channel that is always 0.

    In float they have no effect; in INT8 they make the steps of all other weights too long.
    """
    network = copy.deepcopy(checkpoint.network)
    with torch.no_grad():
        network.backbone[1].weight[0] = 0
        network.backbone[1].bias[0] = -1
        network.backbone[3].weight[:, 0] = 4
    return dataclasses.replace(checkpoint, network=network)


@pytest.fixture(scope="module")
def fragile_clips(fragile: Any, sparse: Any) -> CalibrationSet:
    """1,280 clips, 512 for calibration, labelled with the outputs of the network and noise."""
    inputs = sparse(1280, seed=3)
    with torch.no_grad():
        landmarks = fragile.network(torch.from_numpy(inputs / np.float32(255)))[0].numpy()
    landmarks = landmarks + np.random.default_rng(3).normal(0, 0.01, landmarks.shape)
    return CalibrationSet("fragile", inputs, landmarks.astype(np.float32), sha256="0" * 64)


@pytest.fixture(scope="module")
def conversion(fragile: Any, fragile_clips: CalibrationSet) -> Conversion:
    return Conversion(fragile, fragile_clips, Int8(qat_steps=70))


def test_training_after_a_refusal(
    conversion: Conversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration alone is refused; a network that is trained to perfection is written.

    Without training, the refusal ends the export (test_export_pipeline).
    """
    path = tmp_path / "toy.onnx"
    monkeypatch.setattr(qat, "quantize_with_training", lambda network, *args, **options: network)
    lines: list[str] = []
    done = export_target(conversion, INT8, path, report=lines.append)
    assert done.trained
    assert any("70 steps" in line for line in lines)
    assert read_card(path).calibration["qat_steps"] == 70
    assert read_card(path).calibration["quantizer"] == "pt2e"


def test_training_reduces_the_displacement(conversion: Conversion) -> None:
    batches = [torch.from_numpy(batch) for batch in conversion.calibration.batches(conversion.used)]
    plain = from_onnx(conversion.traced())
    with expected_warnings():
        trained = quantize_with_training(plain, torch.zeros(SHAPE), batches, steps=60)
    before, after = (
        conversion.reference.compare(torch_run(network, conversion.card))
        for network in (conversion.prepared(INT8), trained)
    )
    assert after.mean_px < before.mean_px


def test_training_first_where_it_is_asked_for(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path
) -> None:
    conversion = Conversion(checkpoint, clips, Int8(qat_steps=1, train_first=True))
    done = export_target(conversion, INT8, tmp_path / "toy.onnx")
    assert done.trained
    assert read_card(done.path).calibration["qat_steps"] == 1
    for wrong in ({"qat_steps": 0}, {"quantizer": "nncf"}):
        with pytest.raises(ConfigError) as caught:
            Int8(train_first=True, **wrong)  # type: ignore[arg-type]
        assert caught.value.field == "--train-first"


def test_the_head_of_a_network_that_was_rebuilt_twice(toy: Conversion) -> None:
    """A network from a file is rebuilt once more for its training; its head is still quantised."""
    example = torch.zeros(SHAPE)
    once = from_onnx(toy.traced())
    twice = from_onnx(to_onnx(once, example, "events", [out.name for out in toy.card.outputs]))
    marked = layer_names(twice, example)
    assert marked == layer_names(toy.network, example)
    assert "head.to_bins" in marked


def test_zero_steps_are_calibration_alone(toy: Conversion) -> None:
    """Without a training step, both functions give the same rounding."""
    example = torch.zeros(SHAPE)
    plain = from_onnx(toy.traced())
    batches = [torch.rand(8, *SHAPE[1:]) * (torch.rand(8, *SHAPE[1:]) < 0.1) for _ in range(4)]
    with expected_warnings():
        one = quantize(plain, example, batches)
        other = quantize_with_training(plain, example, batches, steps=0)
    before = copy.deepcopy(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(one(batches[0])[0], other(batches[0])[0], rtol=0, atol=2e-3)
    for name, value in plain.state_dict().items():  # the network is not changed
        assert torch.equal(value, before[name])
