"""σ of whole networks in float16 and bfloat16: finite, and within 0.1 of float32 (log σ)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from evface_edge.card_file import read_card
from evface_edge.models import find_model
from evface_export.command_build_engine import demo_inputs
from evface_export.graph import half_backbone, to_onnx
from evface_export.onnx_network import from_onnx

OUTPUTS = ("landmarks", "log_sigma", "presence")


@pytest.fixture(scope="module")
def path() -> Path:
    return find_model("evface-n-fp32")


@pytest.fixture(scope="module")
def inputs(path: Path) -> NDArray[np.float32]:
    return demo_inputs(read_card(path), 6)


def _in_ort(model: bytes, inputs: NDArray[np.floating]) -> list[NDArray[np.float32]]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [output.astype(np.float32) for output in session.run(OUTPUTS, {"events": inputs})]


def _check(found: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]) -> None:
    assert np.isfinite(found[1]).all()
    assert np.abs(found[1] - expected[1]).max() < 0.1
    assert np.linalg.norm(found[0] - expected[0], axis=-1).mean() * 128 < 0.3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_torch(path: Path, inputs: NDArray[np.float32], dtype: torch.dtype) -> None:
    network = from_onnx(path.read_bytes()).to(dtype)
    with torch.inference_mode():
        outputs = network(torch.from_numpy(inputs).to(dtype))
    expected = _in_ort(path.read_bytes(), inputs)
    _check([output.float().numpy() for output in outputs], expected)


def _all_half(network: torch.nn.Module) -> torch.nn.Module:
    return network.half()


@pytest.mark.parametrize("halve", [half_backbone, _all_half])
def test_onnx(
    path: Path,
    inputs: NDArray[np.float32],
    halve: Callable[[torch.nn.Module], torch.nn.Module],
) -> None:
    """The fp16 targets, whose head stays in float32; and a conversion of everything."""
    dtype = np.float16 if halve is _all_half else np.float32
    typed = inputs.astype(dtype)
    network = halve(from_onnx(path.read_bytes()))
    model = to_onnx(network, torch.from_numpy(typed[:2]), "events", OUTPUTS)
    _check(_in_ort(model, typed), _in_ort(path.read_bytes(), inputs))


@pytest.mark.parametrize("precision", ["f16", "bf16"])
@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_openvino(path: Path, inputs: NDArray[np.float32], precision: str, kind: str) -> None:
    ov = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = path.with_name(path.name.replace("fp32", kind))
    hint = "INFERENCE_PRECISION_HINT"
    outputs = []
    for wanted in ("f32", precision):
        compiled = ov.Core().compile_model(str(model), "CPU", {hint: wanted})
        if compiled.get_property(hint).to_string() != wanted:
            pytest.skip(f"this processor does not compute in {wanted}")
        results = compiled({"events": inputs})
        outputs.append([np.array(results[name]) for name in OUTPUTS])
    _check(outputs[1], outputs[0])
