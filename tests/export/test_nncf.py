"""INT8 by NNCF."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ExportError, RuntimeUnavailable
from evface_export.calibration import CalibrationSet
from evface_export.conversion import Conversion, Int8
from evface_export.nncf_quantize import quantize_nncf, quantize_nncf_controlled
from evface_export.parity import Limits
from evface_export.pipeline import export_target
from evface_export.targets import find_targets

pytest.importorskip("nncf", reason="needs evface-edge[nncf]")
# NNCF's own imports warn of what they use.
pytestmark = pytest.mark.filterwarnings("ignore")

_OUTPUTS = ["landmarks", "log_sigma", "presence"]


@pytest.fixture(scope="module")
def model(toy: Conversion) -> bytes:
    return toy.traced()


@pytest.fixture(scope="module")
def batches(clips: CalibrationSet) -> list[np.ndarray]:
    return list(clips.batches(np.arange(48)))


def _run(model: bytes, inputs: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["landmarks"], {"events": inputs})[0]
    return found


def _quantised(model: bytes) -> list[bool]:
    """Of each convolution in order: is its input quantised?"""
    graph = onnx.load_from_string(model).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    return [
        made_by.get(node.input[0]) == "DequantizeLinear"
        for node in graph.node
        if node.op_type == "Conv"
    ]


def test_the_backbone_and_nothing_else(
    model: bytes, batches: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    found = quantize_nncf(model, batches)
    assert _quantised(found) == [True] * 4 + [False]  # the last one is the head's
    distance = np.linalg.norm(_run(found, batches[0]) - _run(model, batches[0]), axis=-1)
    assert 0 < distance.mean() < 0.02
    assert capsys.readouterr().out == ""


def test_accuracy_control_gives_layers_back(model: bytes, batches: list[np.ndarray]) -> None:
    """An error that counts every difference keeps every layer in float."""
    truth = np.concatenate([_run(model, batch) for batch in batches])

    def error(run: Any) -> float:
        found = np.concatenate([run(batch)["landmarks"] for batch in batches])
        return 1e-6 + float(np.abs(found - truth).mean())

    free = quantize_nncf_controlled(model, batches, lambda run: 1.0, max_loss=0.01)
    assert sum(_quantised(free)) == 4
    with pytest.raises(ExportError) as caught:
        quantize_nncf_controlled(model, batches, error, max_loss=0.01)
    assert caught.value.field == "--quantizer"


@pytest.mark.usefixtures("toy_traced_once")
def test_exported_and_named_in_the_card(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path
) -> None:
    conversion = Conversion(checkpoint, clips, Int8("nncf"))
    path = tmp_path / "toy.onnx"
    limits = Limits(max_nme_loss=0.1)
    done = export_target(conversion, find_targets("onnx-int8")[0], path, limits=limits)
    card = read_card(done.path)
    assert card.calibration["quantizer"] == "nncf"
    assert "nncf" in card.built_with
    with pytest.raises(ConfigError) as caught:
        export_target(conversion, find_targets("trt-int8")[0], path)
    assert (caught.value.field, caught.value.value) == ("--quantizer", "nncf")


def test_absent_it_names_the_extra(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(RuntimeUnavailable) as caught:
        quantize_nncf(model, [])
    assert "evface-edge[nncf]" in str(caught.value.fix)
