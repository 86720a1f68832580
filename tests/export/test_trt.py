"""Models for TensorRT: types, placement of Q/DQ, and whether TensorRT-RTX builds them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import typer
from onnx import TensorProto
from typer.testing import CliRunner, Result

import evface_runtimes
from evface_edge.card_file import read_card
from evface_edge.errors import ExportError, RuntimeUnavailable
from evface_edge.models import find_model
from evface_export import check_trt as check_module
from evface_export.check_trt import check_trt
from evface_export.command_export import export
from evface_export.conversion import Conversion
from evface_export.half import halve_floats
from evface_export.pipeline import export_target
from evface_export.targets import find_targets

_OUTPUTS = ("landmarks", "log_sigma", "presence")


@pytest.fixture(scope="module")
def inputs(toy: Conversion) -> np.ndarray:
    return np.concatenate(list(toy.calibration.batches(toy.used)))


@pytest.fixture(scope="module")
def signed(toy: Conversion) -> bytes:
    """The s8 model as exported by torch, with float32 between."""
    return toy.traced(find_targets("trt-int8")[0])


@pytest.fixture(scope="module")
def halved(signed: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trt") / "toy-trt-int8.onnx"
    path.write_bytes(halve_floats(signed))
    return path


def test_quantisation_fits_tensorrt(halved: Path) -> None:
    """Signed, around zero, one scale an output channel for weights; no Q/DQ on a bias."""
    model = onnx.load(halved)
    weights = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
    }
    made_by = {name: node for node in model.graph.node for name in node.output}
    quantisers = [
        n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")
    ]
    assert len(quantisers) > 15
    for node in quantisers:
        zero = weights[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
        assert (weights[node.input[1]] > 0).all()
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    quantised = [node for node in convolutions if node.input[1] not in weights]
    assert len(quantised) == len(convolutions) - 1 == 4  # all but `to_points` of the head
    for node in quantised:
        weight = made_by[node.input[1]]
        assert weights[weight.input[1]].shape == weights[weight.input[0]].shape[:1]
        assert node.input[2] in weights
    # None between a convolution and its activation.
    for node in model.graph.node:
        if node.op_type == "Clip" and node.input[0] in made_by:
            assert made_by[node.input[0]].op_type in ("Conv", "Add", "MatMul", "ReduceMean")
    # Both sides of the addition are quantised.
    (add,) = [n for n in model.graph.node if n.op_type == "Add" and "add" in n.output[0]]
    assert [made_by[name].op_type for name in add.input] == ["DequantizeLinear"] * 2


def test_float16_up_to_the_decode(halved: Path) -> None:
    """By ONNX's own type inference."""
    model = onnx.shape_inference.infer_shapes(onnx.load(halved), strict_mode=True)
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
    }
    nodes = {node.op_type: node for node in model.graph.node}
    for kind in ("Conv", "Clip", "MatMul", "Gemm", "DequantizeLinear"):
        if kind != "Clip":  # the last Clip belongs to the decode
            assert types[nodes[kind].output[0]] == TensorProto.FLOAT16, kind
    for kind in ("Softmax", "Log", "ReduceSum", "Pow"):
        assert types[nodes[kind].output[0]] == TensorProto.FLOAT, kind
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT


def test_float16_moves_no_landmark(halved: Path, signed: bytes, inputs: np.ndarray) -> None:
    """Compared with the same Q/DQ graph in float32, without fusion."""
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(signed, plain, providers=["CPUExecutionProvider"])
    expected = dict(zip(_OUTPUTS, session.run(None, {"events": inputs}), strict=True))
    with evface_runtimes.load(halved, device="cpu") as runtime:
        found = runtime.run({"events": inputs})
    apart_px = np.linalg.norm(found["landmarks"] - expected["landmarks"], axis=-1) * 32
    assert apart_px.mean() < 0.15  # of 32: a sum near a rounding step may fall on the other side
    np.testing.assert_allclose(found["presence"], expected["presence"], atol=0.05)


def test_onnxruntime_needs_the_entry_in_the_metadata(halved: Path, inputs: np.ndarray) -> None:
    """If this fails, the entry with the disabled optimisation is no longer needed."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(halved, options, providers=["CPUExecutionProvider"])
    wrong = session.run(["landmarks"], {"events": inputs})[0]
    with evface_runtimes.load(halved, device="cpu") as runtime:
        right = runtime.run({"events": inputs})["landmarks"]
    assert np.linalg.norm(wrong - right, axis=-1).mean() * 32 > 1


def test_scale_too_small_for_float16_does_not_vanish() -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            onnx.helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ],
        "tiny",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
        [
            onnx.numpy_helper.from_array(np.float32(1e-9), "scale"),
            onnx.numpy_helper.from_array(np.int8(0), "zero"),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    session = ort.InferenceSession(halve_floats(model.SerializeToString()))
    assert session.run(None, {"x": np.ones(1, np.float32)})[0] > 0


@pytest.fixture(scope="module")
def with_tensorrt() -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed ([check-trt])")


@pytest.mark.usefixtures("with_tensorrt")
def test_models_that_tensorrt_refuses(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    for path in (find_model("evface-s-int8"), text):  # TensorRT takes no zero points
        with pytest.raises(ExportError) as caught:
            check_trt(path)
        assert (caught.value.path, caught.value.field) == (Path(path.name), "parser")
        assert caught.value.value  # the words of TensorRT
        assert "trt-int8" in str(caught.value.fix)


@pytest.mark.usefixtures("with_tensorrt")
@pytest.mark.parametrize("name", ["trt-fp32", "trt-fp16", "trt-int8"])
def test_export_checks_with_tensorrt(toy: Conversion, tmp_path: Path, name: str) -> None:
    (target,) = find_targets(name)
    path = tmp_path / f"toy-{name}.onnx"
    lines: list[str] = []
    done = export_target(toy, target, path, report=lines.append, check_with_tensorrt=True)
    assert done.check is not None
    assert done.check.layers > (40 if name == "trt-int8" else 15)
    assert done.check.plan_bytes > 10_000
    assert str(done.check) in lines[-2]
    assert done.note.endswith(f"evface-edge build-engine toy-{name}.onnx")
    card = read_card(path)
    assert (card.target, card.precision) == (name, target.precision)


@pytest.mark.usefixtures("with_tensorrt")
def test_a_model_that_tensorrt_refuses_is_not_written(
    toy: Conversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An s8 target that is u8 by mistake."""
    from evface_export import half

    unsigned = toy.traced(find_targets("onnx-int8")[0])
    monkeypatch.setattr(half, "halve_floats", lambda model: unsigned)
    with pytest.raises(ExportError) as caught:
        export_target(
            toy,
            find_targets("trt-int8")[0],
            tmp_path / "toy.onnx",
            check_with_tensorrt=True,
        )
    assert (caught.value.path, caught.value.field) == (Path("toy.onnx"), "parser")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "code", "field", "value"),
    [
        ("", -11, "exit code", -11),
        (
            '\nevface-check-trt:{"error": "no", "path": "m.onnx", "field": "f", "value": "v"}\n',
            0,
            "f",
            "v",
        ),
    ],
)
@pytest.mark.usefixtures("with_tensorrt")
def test_failures_of_the_other_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    code: int,
    field: str,
    value: object,
) -> None:
    done = subprocess.CompletedProcess([], code, output, "bad end\n")
    monkeypatch.setattr(check_module.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ExportError) as caught:
        check_trt(tmp_path / "m.onnx")
    error = caught.value
    assert (error.path, error.field, error.value) == (Path("m.onnx"), field, value)


@pytest.mark.usefixtures("with_tensorrt")
def test_a_crash_after_the_result_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = '{"version": "1", "layers": 3, "plan_bytes": 5, "seconds": 0.5}'
    done = subprocess.CompletedProcess([], -11, f"noise\nevface-check-trt:{result}\n", "")
    monkeypatch.setattr(check_module.subprocess, "run", lambda *_, **__: done)
    assert check_trt(tmp_path / "m.onnx").layers == 3


def test_tensorrt_rtx_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeUnavailable) as caught:
        check_trt(tmp_path / "m.onnx")
    assert "evface-edge[check-trt]" in str(caught.value.fix)


@pytest.fixture
def command(
    checkpoint: Any, clips_path: Path, toy_traced_once: None, monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setattr("evface_export.source.load_source", lambda model: checkpoint)
    app = typer.Typer()
    app.command()(export)
    fixed = ("toy.ckpt", "-t", "trt-fp32", "--calibration", str(clips_path))
    return lambda *arguments: CliRunner().invoke(app, [*fixed, *map(str, arguments)])


def test_command_prints_how_to_build_the_engine(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = check_module.TrtCheck("1", 3, 5, 0.5)
    monkeypatch.setattr("evface_export.pipeline.check_trt", lambda path: checked)
    result: Result = command("-o", tmp_path, "--check-trt")
    assert result.exit_code == 0, result.output
    for part in (str(checked), "evface-edge build-engine toy-trt-fp32.onnx"):
        assert part in " ".join(result.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["toy-trt-fp32.onnx"]


def test_command_without_the_check(command: Any, tmp_path: Path) -> None:
    result: Result = command("-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "TensorRT-RTX" not in result.output
    assert (tmp_path / "toy-trt-fp32.onnx").is_file()
