"""Runtimes against a network whose answer is known in closed form."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import evface_runtimes
from evface_edge.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_edge.models import find_model
from evface_runtimes import MockRuntime

#: Those that run an ONNX model on the CPU.
_ONNX_ON_CPU = ("onnxruntime", "openvino")


@pytest.fixture(params=_ONNX_ON_CPU)
def runtime_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name, reason=f"{name} is not installed")
    return name


@pytest.mark.parametrize("batch", [1, 5])
def test_result_is_the_closed_form(
    linear: Path, closed_form: Callable[[Any], Any], runtime_name: str, batch: int
) -> None:
    x = np.random.default_rng(1).normal(size=(batch, 3)).astype(np.float32)
    with evface_runtimes.load(linear, runtime=runtime_name, device="cpu") as runtime:
        assert (runtime.name, runtime.device) == (runtime_name, "cpu")
        assert (runtime.inputs, runtime.outputs) == ({"x": (-1, 3)}, {"y": (-1, 5)})
        first = runtime.run({"x": x})["y"]
        runtime.run({"x": x + 1})
    np.testing.assert_allclose(first, closed_form(x), rtol=1e-6)  # and is no shared buffer


def test_inputs_may_be_views(
    linear: Path, closed_form: Callable[[Any], Any], runtime_name: str
) -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    with evface_runtimes.load(linear, runtime=runtime_name) as runtime:
        np.testing.assert_allclose(runtime.run({"x": x.T})["y"], closed_form(x.T), rtol=1e-5)


def test_bad_inputs_are_named(linear: Path, runtime_name: str) -> None:
    with evface_runtimes.load(linear, runtime=runtime_name) as runtime:
        inputs: tuple[tuple[dict[str, Any], str, object], ...] = (
            ({"events": np.zeros((1, 3), np.float32)}, "tensors", ["events"]),
            ({"x": np.zeros((1, 4), np.float32)}, "tensors['x'].shape", (1, 4)),
            ({"x": np.zeros((0, 3), np.float32)}, "tensors['x'].shape", (0, 3)),
            ({"x": np.zeros((1, 3))}, "tensors['x']", np.dtype("float64")),
            ({"x": [[1.0, 2.0, 3.0]]}, "tensors['x']", "list"),
        )
        for tensors, field, value in inputs:
            with pytest.raises(ConfigError) as caught:
                runtime.run(tensors)
            assert (caught.value.field, caught.value.value) == (field, value)


def test_run_after_close(linear: Path, runtime_name: str) -> None:
    runtime = evface_runtimes.load(linear, runtime=runtime_name)
    runtime.close()
    runtime.close()
    with pytest.raises(RuntimeUnavailable) as caught:
        runtime.run({"x": np.zeros((1, 3), np.float32)})
    assert (caught.value.field, caught.value.fix) == ("closed", "load it again")


@pytest.mark.parametrize(
    ("device", "provider"),
    [("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")],
)
def test_named_device_that_is_absent_is_refused(linear: Path, device: str, provider: str) -> None:
    ort = pytest.importorskip("onnxruntime")
    if provider in ort.get_available_providers():
        pytest.skip(f"this onnxruntime has {provider}")
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(linear, device=device)
    assert (caught.value.field, caught.value.value) == ("device", device)
    for part in (provider, "CPUExecutionProvider", "onnxruntime-gpu"):
        assert part in str(caught.value)


def test_named_openvino_device_that_is_absent_is_refused(linear: Path) -> None:
    ov = pytest.importorskip("openvino")
    if any(name.startswith("NPU") for name in ov.Core().available_devices):
        pytest.skip("this machine has an NPU")
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(linear, runtime="openvino", device="npu")
    assert (caught.value.path, caught.value.value) == (linear, "npu")


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_provider_that_falls_back_is_refused(
    linear: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str
) -> None:
    """CUDA is listed but its driver is broken: onnxruntime returns a session on the CPU."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession

    def broken_driver(path: str, options: object, providers: list[str]) -> object:
        return session(path, options, providers=["CPUExecutionProvider"])

    listed = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: listed)
    monkeypatch.setattr(ort, "InferenceSession", broken_driver)
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(linear, device=device)
    cause = caught.value.__cause__
    assert isinstance(cause, RuntimeUnavailable)
    assert cause.value == ["CPUExecutionProvider"]
    # "auto" goes on to the next device.
    assert evface_runtimes.load(linear, device="auto").device == "cpu"


def test_threads_are_applied(linear: Path, runtime_name: str) -> None:
    assert evface_runtimes.load(linear, runtime=runtime_name).details["threads"] == 1
    assert evface_runtimes.load(linear, runtime=runtime_name, threads=2).details["threads"] == 2


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_openvino_on_arm_gets_float_weights_of_products(
    monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    """On Arm the INT8 models do not compile otherwise; their convolutions stay INT8."""
    ov = pytest.importorskip("openvino")
    compiled: list[Any] = []
    compile_model = ov.Core.compile_model

    def keep(core: Any, model: Any, *rest: Any) -> Any:
        compiled.append(model.clone())
        return compile_model(core, model, *rest)

    monkeypatch.setattr(ov.Core, "compile_model", keep)
    monkeypatch.setattr("platform.machine", lambda: machine)
    x = np.random.default_rng(1).random((1, 10, 128, 128), dtype=np.float32)
    found = {}
    for runtime in _ONNX_ON_CPU:
        with evface_runtimes.load(find_model("evface-n-int8"), runtime=runtime) as network:
            found[runtime] = network.run({"events": x})["landmarks"]
    weights = {
        kind: {
            node.input_value(1).get_node().get_type_name()
            for node in compiled[0].get_ops()
            if node.get_type_name() == kind
        }
        for kind in ("MatMul", "Convolution")
    }
    assert (weights["MatMul"] == {"Constant"}) == (machine == "aarch64")
    assert "Multiply" in weights["Convolution"]  # `to_points` is in float
    assert np.abs(found["openvino"] - found["onnxruntime"]).max() * 128 < 3


def test_openvino_computes_in_float32(linear: Path) -> None:
    pytest.importorskip("openvino")
    runtime = evface_runtimes.load(linear, runtime="openvino")
    assert runtime.details["precision"] == "f32"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("runtime", "openvin", "openvino"),
        ("device", "cdua", "auto, cpu, cuda, tensorrt"),
        ("device", "npu", "auto, cpu, cuda, tensorrt"),
        ("parallel", 0, "1"),
        ("threads", 0, "1"),
    ],
)
def test_settings_outside_the_table(linear: Path, field: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        evface_runtimes.load(linear, **{field: value})  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.value) == (field, value)
    assert expected in str(caught.value.expected)


def test_files_that_are_no_network(
    tmp_path: Path, runtime_name: str, linear: Path, make_linear: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(tmp_path / "absent.onnx", runtime=runtime_name)
    assert caught.value.path == tmp_path / "absent.onnx"
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(linear.read_bytes()[:-20])
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(truncated, runtime=runtime_name)
    assert caught.value.path == truncated
    double = make_linear(tmp_path / "double.onnx", TensorProto.DOUBLE)
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(double, runtime=runtime_name)
    assert (caught.value.path, caught.value.field) == (double, "x")


def test_library_that_is_not_installed(linear: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(linear, runtime="openvino")
    assert caught.value.fix == "pip install 'evface-edge[openvino]'"


def test_mock_runtime() -> None:
    mock = MockRuntime({"x": (-1, 3)}, {"y": (-1, 5), "z": (-1,)})
    outputs = mock.run({"x": np.ones((2, 3), np.float32)})
    assert {name: array.shape for name, array in outputs.items()} == {"y": (2, 5), "z": (2,)}
    assert len(mock.calls) == 1
    with pytest.raises(ConfigError) as caught:
        mock.run({})
    assert caught.value.field == "tensors"
    doubling = MockRuntime({"x": (-1, 3)}, {"y": (-1, 3)}, lambda tensors: {"y": 2 * tensors["x"]})
    np.testing.assert_array_equal(doubling.run({"x": np.ones((1, 3), np.float32)})["y"], 2)


@pytest.mark.parametrize("parallel", [1, 2])
def test_many_in_their_order(
    linear: Path, closed_form: Callable[[Any], Any], runtime_name: str, parallel: int
) -> None:
    x = np.random.default_rng(1).normal(size=(37, 2, 3)).astype(np.float32)
    with evface_runtimes.load(linear, runtime=runtime_name, parallel=parallel) as runtime:
        assert f"parallel {parallel}" in runtime.describe()
        found = [outputs["y"] for outputs in runtime.run_many({"x": part} for part in x)]
    np.testing.assert_allclose(found, closed_form(x), rtol=1e-5, atol=1e-6)


def test_parallel_inferences_run_at_once_and_no_more() -> None:
    """Each waits for another one to be inside: without two at once, this would time out."""
    meeting = threading.Barrier(2, timeout=10)
    inside: list[int] = []
    most = 0

    def meet(tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal most
        inside.append(1)
        most = max(most, len(inside))
        meeting.wait()
        inside.pop()
        meeting.wait()
        return {"y": tensors["x"]}

    mock = MockRuntime({"x": (-1,)}, {"y": (-1,)}, meet, parallel=2)
    batches = [{"x": np.full(1, value, np.float32)} for value in range(8)]
    assert [outputs["y"][0] for outputs in mock.run_many(batches)] == list(range(8))
    assert most == 2


def test_many_read_no_further_than_needed_and_stop_at_a_failure() -> None:
    taken: list[int] = []

    def batches() -> Iterator[dict[str, Any]]:
        for value in range(1000):
            taken.append(value)
            yield {"x": np.full(1, value, np.float32)}

    def fail_at_five(tensors: dict[str, Any]) -> dict[str, Any]:
        if tensors["x"][0] == 5:
            raise RuntimeError("the fifth")
        return {"y": tensors["x"]}

    mock = MockRuntime({"x": (-1,)}, {"y": (-1,)}, fail_at_five, parallel=3)
    results = mock.run_many(batches())
    assert [int(next(results)["y"][0]) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="the fifth"):
        next(results)
    assert len(taken) <= 5 + 2 * 3
    mock.close()


def test_close_waits_for_running_inferences() -> None:
    started, may_end = threading.Event(), threading.Event()

    def slow(tensors: dict[str, Any]) -> dict[str, Any]:
        started.set()
        may_end.wait(10)
        return {"y": tensors["x"]}

    mock = MockRuntime({"x": (-1,)}, {"y": (-1,)}, slow, parallel=2)
    found: list[Any] = []
    running = threading.Thread(target=lambda: found.append(mock.run({"x": np.ones(1, np.float32)})))
    running.start()
    started.wait(10)
    closing = threading.Thread(target=mock.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    may_end.set()
    for thread in (running, closing):
        thread.join(10)
    assert found[0]["y"] == 1
    with pytest.raises(RuntimeUnavailable) as caught:
        mock.run({"x": np.ones(1, np.float32)})
    assert caught.value.field == "closed"


def test_describe(linear: Path, runtime_name: str) -> None:
    with evface_runtimes.load(linear, runtime=runtime_name, threads=2) as runtime:
        described = runtime.describe()
    assert described.startswith(f"{runtime_name} on cpu: parallel 1, version ")
    assert "threads 2" in described
    assert {"onnxruntime": "CPUExecutionProvider", "openvino": "precision f32"}[
        runtime_name
    ] in described


def test_model_that_forbids_an_optimisation(
    linear: Path, monkeypatch: pytest.MonkeyPatch, closed_form: Callable[[Any], Any]
) -> None:
    ort = pytest.importorskip("onnxruntime")
    model = onnx.load(linear)
    model.metadata_props.add(key="onnxruntime.disabled_optimizers", value="MatMulAddFusion")
    onnx.save(model, linear)
    forbidden: list[object] = []
    session = ort.InferenceSession

    def spy(*args: Any, **options: Any) -> Any:
        forbidden.append(options.get("disabled_optimizers"))
        return session(*args, **options)

    monkeypatch.setattr(ort, "InferenceSession", spy)
    with evface_runtimes.load(linear) as runtime:
        x = np.ones((1, 3), np.float32)
        np.testing.assert_allclose(runtime.run({"x": x})["y"], closed_form(x), rtol=1e-6)
    assert forbidden[-1] == ["MatMulAddFusion"]


def test_differences_of_runtimes(
    linear: Path, make_linear: Callable[..., Path], tmp_path: Path
) -> None:
    x = np.random.default_rng(1).normal(size=(4, 6, 3)).astype(np.float32)
    offset = np.array([3, 0, 0, 4, 0], np.float32)
    with evface_runtimes.load(linear) as reference:

        def off(tensors: dict[str, Any]) -> dict[str, Any]:
            return {"y": reference.run(tensors)["y"] + offset}

        others = {
            "openvino": evface_runtimes.load(linear, runtime="openvino"),
            "off": MockRuntime(reference.inputs, reference.outputs, off),
        }
        found = evface_runtimes.differences(reference, others, [{"x": part} for part in x])
        for other in others.values():
            other.close()
        with pytest.raises(ConfigError) as caught:
            evface_runtimes.differences(reference, others, [])
        assert (caught.value.field, caught.value.value) == ("batches", 0)
        strange = MockRuntime({"x": (-1, 3)}, {"z": (-1, 5)})
        with pytest.raises(ConfigError) as caught:
            evface_runtimes.differences(reference, {"strange": strange}, [{"x": x[0]}])
        assert (caught.value.field, caught.value.value) == ("outputs of strange", ["z"])
    assert found["openvino"]["y"].largest < 1e-5
    away = found["off"]["y"]
    assert (away.largest, away.mean) == pytest.approx((4, 7 / 5), rel=1e-5)
    assert (away.distance_mean, away.distance_p99) == pytest.approx((5, 5), rel=1e-5)


def test_import_is_light() -> None:
    heavy = {"onnxruntime", "openvino", "ai_edge_litert", "torch", "numba", "cuda", "tensorrt"}
    code = f"import sys, evface_runtimes; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
