"""Runtimes against a network whose answer is known in closed form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import evface_runtimes
from evface_edge.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_runtimes import RUNTIMES, MockRuntime

WEIGHTS = np.arange(15, dtype=np.float32).reshape(3, 5) / 7
BIAS = np.array([1, -2, 3, -4, 5], np.float32)


def _linear(path: Path, dtype: int = TensorProto.FLOAT) -> Path:
    """y = x W + b, any batch size."""
    numpy_dtype = helper.tensor_dtype_to_np_dtype(dtype)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"]),
            helper.make_node("Add", ["xw", "b"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", dtype, ["batch", 3])],
        [helper.make_tensor_value_info("y", dtype, ["batch", 5])],
        [
            onnx.numpy_helper.from_array(WEIGHTS.astype(numpy_dtype), "w"),
            onnx.numpy_helper.from_array(BIAS.astype(numpy_dtype), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return _linear(tmp_path / "linear.onnx")


@pytest.fixture(params=[spec.name for spec in RUNTIMES])
def runtime_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name, reason=f"{name} is not installed")
    return name


@pytest.mark.parametrize("batch", [1, 5])
def test_result_is_the_closed_form(linear: Path, runtime_name: str, batch: int) -> None:
    x = np.random.default_rng(1).normal(size=(batch, 3)).astype(np.float32)
    with evface_runtimes.load(linear, runtime=runtime_name, device="cpu") as runtime:
        assert (runtime.name, runtime.device) == (runtime_name, "cpu")
        assert (runtime.inputs, runtime.outputs) == ({"x": (-1, 3)}, {"y": (-1, 5)})
        first = runtime.run({"x": x})["y"]
        runtime.run({"x": x + 1})
    np.testing.assert_allclose(first, x @ WEIGHTS + BIAS, rtol=1e-6)  # and is no shared buffer


def test_inputs_may_be_views(linear: Path, runtime_name: str) -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    with evface_runtimes.load(linear, runtime=runtime_name) as runtime:
        np.testing.assert_allclose(runtime.run({"x": x.T})["y"], x.T @ WEIGHTS + BIAS, rtol=1e-5)


def test_bad_inputs_are_named(linear: Path, runtime_name: str) -> None:
    with evface_runtimes.load(linear, runtime=runtime_name) as runtime:
        with pytest.raises(ConfigError, match=r"\['events'\]: expected exactly \['x'\]"):
            runtime.run({"events": np.zeros((1, 3), np.float32)})
        with pytest.raises(ConfigError, match=r"'x'.*\(1, 4\): expected \(-1, 3\)"):
            runtime.run({"x": np.zeros((1, 4), np.float32)})
        with pytest.raises(ConfigError, match=r"'x'.*\(0, 3\): expected \(-1, 3\)"):
            runtime.run({"x": np.zeros((0, 3), np.float32)})
        with pytest.raises(ConfigError, match=r"float64.*expected a float32 array"):
            runtime.run({"x": np.zeros((1, 3))})  # type: ignore[dict-item]


def test_run_after_close(linear: Path, runtime_name: str) -> None:
    runtime = evface_runtimes.load(linear, runtime=runtime_name)
    runtime.close()
    runtime.close()
    with pytest.raises(RuntimeUnavailable, match=r"run\(\) after close\(\); load it again"):
        runtime.run({"x": np.zeros((1, 3), np.float32)})


def test_named_device_that_is_absent_is_refused(linear: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(linear, device="cuda")
    message = str(caught.value)
    for part in ("Tried cuda", "no CUDAExecutionProvider", "it has", "onnxruntime-gpu"):
        assert part in message


def test_named_openvino_device_that_is_absent_is_refused(linear: Path) -> None:
    ov = pytest.importorskip("openvino")
    if any(name.startswith("NPU") for name in ov.Core().available_devices):
        pytest.skip("this machine has an NPU")
    with pytest.raises(RuntimeUnavailable, match=r"Tried npu: OpenVINO .* finds no NPU"):
        evface_runtimes.load(linear, runtime="openvino", device="npu")


def test_provider_that_falls_back_is_refused(linear: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA listed, but its driver broken: onnxruntime answers with a session on the CPU."""
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession

    def broken_driver(path: str, options: object, providers: list[str]) -> object:
        return session(path, options, providers=["CPUExecutionProvider"])

    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: both)
    monkeypatch.setattr(ort, "InferenceSession", broken_driver)
    with pytest.raises(RuntimeUnavailable, match="obtained only CPUExecutionProvider"):
        evface_runtimes.load(linear, device="cuda")
    # "auto" goes on to the next device, and says so.
    assert evface_runtimes.load(linear, device="auto").device == "cpu"


def test_settings_are_the_ones_asked_for(linear: Path, runtime_name: str) -> None:
    assert evface_runtimes.load(linear, runtime=runtime_name).details["threads"] == 1
    assert evface_runtimes.load(linear, runtime=runtime_name, threads=2).details["threads"] == 2


def test_openvino_computes_in_float32(linear: Path) -> None:
    pytest.importorskip("openvino")
    runtime = evface_runtimes.load(linear, runtime="openvino")
    assert runtime.details["precision"] == "f32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "openvin"}, "nearest: openvino"),
        ({"device": "cdua"}, "auto, cuda, cpu with onnxruntime"),
        ({"threads": 0}, "threads = 0: expected 1 or more"),
    ],
)
def test_settings_outside_the_table(linear: Path, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evface_runtimes.load(linear, **arguments)  # type: ignore[arg-type]


def test_files_that_are_no_network(tmp_path: Path, runtime_name: str, linear: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        evface_runtimes.load(tmp_path / "absent.onnx", runtime=runtime_name)
    with pytest.raises(ModelError, match=r"expected \.onnx, \.xml"):
        evface_runtimes.load(tmp_path / "model.pt")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(linear.read_bytes()[:-20])
    with pytest.raises(ModelError, match=r"garbage\.onnx: .* cannot load it"):
        evface_runtimes.load(garbage, runtime=runtime_name)
    with pytest.raises(ModelError, match=r"'x'.*expected"):
        evface_runtimes.load(
            _linear(tmp_path / "double.onnx", TensorProto.DOUBLE), runtime=runtime_name
        )


def test_library_that_is_not_installed(linear: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeUnavailable, match=r"pip install 'evface-edge\[openvino\]'"):
        evface_runtimes.load(linear, runtime="openvino")


def test_mock_runtime() -> None:
    mock = MockRuntime({"x": (-1, 3)}, {"y": (-1, 5), "z": (-1,)})
    outputs = mock.run({"x": np.ones((2, 3), np.float32)})
    assert {name: array.shape for name, array in outputs.items()} == {"y": (2, 5), "z": (2,)}
    assert len(mock.calls) == 1
    with pytest.raises(ConfigError, match="expected exactly"):
        mock.run({})
    doubling = MockRuntime({"x": (-1, 3)}, {"y": (-1, 3)}, lambda tensors: {"y": 2 * tensors["x"]})
    np.testing.assert_array_equal(doubling.run({"x": np.ones((1, 3), np.float32)})["y"], 2)


def test_import_is_light() -> None:
    heavy = {"onnxruntime", "openvino", "torch", "numba"}
    code = f"import sys, evface_runtimes; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
