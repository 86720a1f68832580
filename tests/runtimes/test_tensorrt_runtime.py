"""TensorRT's runtime over a GPU of plain memory: results, order of frees, refusals.

What no fake can show, that kernels compute the right thing on a GPU, is not shown here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evface_runtimes
from evface_edge.errors import ConfigError, DeviceMismatch, ModelError, RuntimeUnavailable
from evface_runtimes.tensorrt_engine import EngineFacts, read_facts, sidecar_path

X = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)


def _cached(tmp_path: Path) -> Path:
    (engine,) = (tmp_path / "cache" / "evface-edge" / "engines").glob("*.engine")
    return engine


def test_result_is_the_closed_form(
    linear: Path, fake_tensorrt: Any, fake_cuda: Any, closed_form: Callable[[Any], Any]
) -> None:
    with evface_runtimes.load(linear, runtime="tensorrt") as runtime:
        assert (runtime.name, runtime.device) == ("tensorrt", "cuda")
        assert (runtime.inputs, runtime.outputs) == ({"x": (-1, 3)}, {"y": (-1, 5)})
        first = runtime.run({"x": X[:1]})["y"]
        second = runtime.run({"x": X[1:2]})["y"]
        np.testing.assert_allclose(first, closed_form(X[:1]), rtol=1e-5)  # and is no shared buffer
        np.testing.assert_allclose(second, closed_form(X[1:2]), rtol=1e-5)
        # Two batch sizes in turn, each with its graph; and more than the engine takes at once.
        for rows in (slice(0, 5), slice(5, 6), slice(6, 11), slice(0, 40)):
            found = runtime.run({"x": X[rows]})["y"]
            np.testing.assert_allclose(found, closed_form(X[rows]), rtol=1e-5)
        calls = Counter(fake_cuda.log)
        # Batches of 1, 5, and of 40 = 16 + 16 + 8.
        assert calls["cudaStreamBeginCapture"] == calls["cudaGraphInstantiate"] == 4
        assert calls["cudaGraphLaunch"] == 2 + 1 + 1 + 1 + 3
        assert calls["cudaStreamCreateWithFlags"] == 1
        assert "gpu Orin (8.7)" in runtime.describe()
        assert "cuda graph yes" in runtime.describe()
    assert fake_cuda.alive == {}


def test_all_is_freed_in_order(linear: Path, fake_tensorrt: Any, fake_cuda: Any) -> None:
    runtime = evface_runtimes.load(linear, runtime="tensorrt")
    runtime.run({"x": X[:2]})
    kinds = Counter(fake_cuda.alive.values())
    assert kinds == {"host": 2, "device": 2, "stream": 1, "graph": 1, "graph ready to run": 1}
    fake_cuda.log.clear()
    runtime.close()
    runtime.close()
    assert fake_cuda.alive == {}
    assert fake_cuda.log[:2] == ["cudaGraphExecDestroy", "cudaGraphDestroy"]
    assert fake_cuda.log[-1] == "cudaStreamDestroy"
    with pytest.raises(RuntimeUnavailable) as caught:
        runtime.run({"x": X[:2]})
    assert caught.value.field == "closed"


def test_gpu_without_memory(linear: Path, fake_tensorrt: Any, fake_cuda: Any) -> None:
    with evface_runtimes.load(linear, runtime="tensorrt") as runtime:
        fake_cuda.free_bytes = 16  # enough for the input of one, not for its output
        with pytest.raises(RuntimeUnavailable) as caught:
            runtime.run({"x": X[:1]})
        assert (caught.value.field, caught.value.value) == ("cudaMalloc", 2)
        assert set(fake_cuda.alive.values()) == {"stream"}  # nothing of the attempt is left
        fake_cuda.free_bytes = 1 << 20
        runtime.run({"x": X[:1]})
    assert fake_cuda.alive == {}


def test_network_that_cannot_be_recorded(
    linear: Path,
    fake_tensorrt: Any,
    fake_cuda: Any,
    closed_form: Callable[[Any], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_cuda.capture_fails = True
    with evface_runtimes.load(linear, runtime="tensorrt") as runtime:
        for _ in range(2):
            np.testing.assert_allclose(
                runtime.run({"x": X[:2]})["y"], closed_form(X[:2]), rtol=1e-5
            )
        assert "cuda graph no (TensorRT could not run the network" in runtime.describe()
    assert "no CUDA graph" in caplog.text
    assert fake_cuda.alive == {}


def test_engine_is_built_once(
    linear: Path, fake_tensorrt: Any, fake_cuda: Any, tmp_path: Path
) -> None:
    for _ in range(2):
        evface_runtimes.load(linear, runtime="tensorrt").close()
    assert len(fake_tensorrt.built) == 1
    # A damaged entry is built again, and so is one for another GPU or another TensorRT.
    engine = _cached(tmp_path)
    engine.write_bytes(engine.read_bytes()[:-1])
    evface_runtimes.load(linear, runtime="tensorrt").close()
    assert len(fake_tensorrt.built) == 2
    fake_cuda.gpu.name = b"Thor"
    evface_runtimes.load(linear, runtime="tensorrt").close()
    setattr(fake_tensorrt, "__version__", "11.0.0")  # noqa: B010
    evface_runtimes.load(linear, runtime="tensorrt").close()
    assert len(fake_tensorrt.built) == 4


@pytest.fixture
def engine(linear: Path, fake_tensorrt: Any, tmp_path: Path) -> Path:
    """An engine with its sidecar, away from the cache."""
    evface_runtimes.load(linear, runtime="tensorrt").close()
    cached, engine = _cached(tmp_path), tmp_path / "linear.engine"
    cached.rename(engine)
    sidecar_path(cached).rename(sidecar_path(engine))
    return engine


def test_engine_runs(engine: Path, closed_form: Callable[[Any], Any]) -> None:
    with evface_runtimes.load(engine) as runtime:
        assert runtime.name == "tensorrt"
        np.testing.assert_allclose(runtime.run({"x": X[:3]})["y"], closed_form(X[:3]), rtol=1e-5)


def test_sidecar_of_an_engine(engine: Path, linear: Path) -> None:
    facts = read_facts(engine)
    assert facts is not None
    assert (facts.gpu, facts.compute_capability, facts.tensorrt) == ("Orin", "8.7", "10.3.0")
    assert facts.flags == "strongly typed, no TF32, batch 1 to 16, workspace 256 MiB"
    assert facts.onnx_sha256 == hashlib.sha256(linear.read_bytes()).hexdigest()
    assert facts.engine_sha256 == hashlib.sha256(engine.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "change", [{"gpu": "NVIDIA H200", "compute_capability": "9.0"}, {"tensorrt": "10.7.0"}]
)
def test_engine_of_another_machine(engine: Path, change: dict[str, str]) -> None:
    facts = read_facts(engine)
    assert facts is not None
    moved = dataclasses.replace(facts, **change)  # type: ignore[arg-type]
    sidecar_path(engine).write_text(json.dumps(moved.to_entry()))
    with pytest.raises(DeviceMismatch) as caught:
        evface_runtimes.load(engine)
    error = caught.value
    assert error.path == engine
    assert all(value in str(error.value) for value in change.values())
    assert all(value in str(error.expected) for value in ("Orin", "8.7", "10.3.0"))
    assert "evface-edge build-engine linear.onnx -o linear.engine" in str(error.fix)


def test_damaged_engine(engine: Path) -> None:
    whole = engine.read_bytes()
    engine.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(engine)
    assert (caught.value.path, caught.value.field) == (engine, "sha256")
    assert "evface-edge build-engine linear.onnx" in str(caught.value.fix)
    # Without a sidecar TensorRT itself reports the damage.
    sidecar_path(engine).unlink()
    engine.write_bytes(b"no engine")
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(engine)
    assert caught.value.path == engine
    assert "Serialization" in str(caught.value)
    assert "evface-edge build-engine" in str(caught.value.fix)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"engine": {}}', '{"engine": {"gpu": "Orin"}}'])
def test_damaged_sidecar(engine: Path, text: str) -> None:
    sidecar_path(engine).write_text(text)
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(engine)
    assert caught.value.path == sidecar_path(engine)


def test_tensors_that_are_not_float32(
    make_linear: Callable[..., Path], fake_tensorrt: Any, tmp_path: Path
) -> None:
    half = make_linear(tmp_path / "half.onnx", 10)
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(half, runtime="tensorrt")
    error = caught.value
    assert (error.field, error.value, error.expected) == ("x", "float16", "float32")


@pytest.mark.parametrize(
    ("error", "number"), [("cudaErrorInsufficientDriver", 35), ("cudaErrorNoDevice", 100)]
)
def test_no_gpu(linear: Path, fake_tensorrt: Any, fake_cuda: Any, error: str, number: int) -> None:
    fake_cuda.device_count = (fake_cuda.error(error), 0)
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(linear, runtime="tensorrt")
    assert (caught.value.path, caught.value.field) == (linear, "device")
    cause = caught.value.__cause__
    assert isinstance(cause, RuntimeUnavailable)
    assert cause.value == number
    assert str(cause) in str(caught.value)


def test_one_inference_at_a_time(linear: Path, fake_tensorrt: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        evface_runtimes.load(linear, runtime="tensorrt", parallel=2)
    assert (caught.value.field, caught.value.value) == ("parallel", 2)


def test_cache_that_cannot_be_written(
    linear: Path, fake_tensorrt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(linear, runtime="tensorrt")
    assert str(tmp_path / "file") in str(caught.value)
    assert "XDG_CACHE_HOME" in str(caught.value)


def test_key_of_an_engine() -> None:
    facts = EngineFacts("Orin", "8.7", "10.3.0", "flags", "a.onnx", "1" * 64, "")
    same = dataclasses.replace(facts, source="b.onnx", engine_sha256="2" * 64)
    assert facts.key == same.key
    for field in ("gpu", "compute_capability", "tensorrt", "flags", "onnx_sha256"):
        assert dataclasses.replace(facts, **{field: "other"}).key != facts.key
