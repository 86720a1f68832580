"""LiteRT against a network whose answer is known in closed form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evface_runtimes
from evface_edge.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_runtimes.files import recognise
from evface_runtimes.table import find_device

pytest.importorskip("ai_edge_litert", reason="needs evface-edge[litert]")


WEIGHTS = np.arange(15, dtype=np.float32).reshape(3, 5) / 7
BIAS = np.array([1, -2, 3, -4, 5], np.float32)


def write_linear(path: Path, *, batch: int = 1, integers: bool = False) -> Path:
    """y = x W + b."""
    from evface_export.tflite_file import Scales, TfliteFile

    file = TfliteFile()
    x, y = file.add_tensor((batch, 3), name="x"), file.add_tensor((batch, 5), name="y")
    weight = file.add_constant(np.ascontiguousarray(WEIGHTS.T))
    file.add_operator("FULLY_CONNECTED", [x, weight, file.add_constant(BIAS)], [y])
    if integers:
        q = file.add_tensor((batch, 5), np.int8, Scales(np.array([0.1], np.float32)), name="q")
        file.add_operator("QUANTIZE", [y], [q])
        path.write_bytes(file.finish({"x": x}, {"q": q}))
    else:
        path.write_bytes(file.finish({"x": x}, {"y": y}))
    return path


@pytest.fixture
def litert_linear(tmp_path: Path) -> Path:
    return write_linear(tmp_path / "linear.tflite")


@pytest.mark.parametrize("batch", [1, 5])
def test_result_is_the_closed_form(
    litert_linear: Path, closed_form: Callable[[Any], Any], batch: int
) -> None:
    x = np.random.default_rng(1).normal(size=(batch, 3)).astype(np.float32)
    with evface_runtimes.load(litert_linear, threads=2) as runtime:
        assert (runtime.name, runtime.device) == ("litert", "cpu")
        assert (runtime.inputs, runtime.outputs) == ({"x": (-1, 3)}, {"y": (-1, 5)})
        first = runtime.run({"x": x})["y"]
        runtime.run({"x": x + 1})
        assert "threads 2" in runtime.describe()
    np.testing.assert_allclose(first, closed_form(x), rtol=1e-5)  # and is no shared buffer


def test_a_fixed_batch_stays_fixed(tmp_path: Path, closed_form: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    path = write_linear(tmp_path / "four.tflite", batch=4)
    with evface_runtimes.load(path) as runtime:
        assert runtime.inputs == {"x": (4, 3)}
        np.testing.assert_allclose(runtime.run({"x": x})["y"], closed_form(x), rtol=1e-5)
        with pytest.raises(ConfigError) as caught:
            runtime.run({"x": x[:1]})
    assert caught.value.value == (1, 3)


def test_many_at_once_in_their_order(
    litert_linear: Path, closed_form: Callable[[Any], Any]
) -> None:
    x = np.random.default_rng(1).normal(size=(37, 2, 3)).astype(np.float32)
    with evface_runtimes.load(litert_linear, parallel=2) as runtime:
        found = [outputs["y"] for outputs in runtime.run_many({"x": part} for part in x)]
    np.testing.assert_allclose(found, closed_form(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeUnavailable) as caught:
        runtime.run({"x": x[0]})
    assert caught.value.field == "closed"


def test_files_that_are_no_network(litert_linear: Path, tmp_path: Path) -> None:
    content = litert_linear.read_bytes()
    broken = tmp_path / "broken.tflite"
    for size in (16, 100, len(content) // 2, len(content) - 20):
        broken.write_bytes(content[:size])
        with pytest.raises(ModelError) as caught:
            evface_runtimes.load(broken)
        assert caught.value.path == broken
    broken.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(broken)
    assert caught.value.field == "kind"


def test_tensors_that_are_not_float32(tmp_path: Path) -> None:
    path = write_linear(tmp_path / "integers.tflite", integers=True)
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(path)
    assert (caught.value.path, caught.value.field, caught.value.value) == (path, "q", "int8")


def test_kind_and_device(litert_linear: Path) -> None:
    assert recognise(litert_linear) == "litert"
    assert find_device("litert", "cpu")
    with pytest.raises(ConfigError) as caught:
        evface_runtimes.load(litert_linear, device="cuda")
    assert (caught.value.field, caught.value.value) == ("device", "cuda")
    with pytest.raises(ModelError) as refused:
        evface_runtimes.load(litert_linear, runtime="openvino")
    assert (refused.value.field, refused.value.value) == ("kind", "litert")


def test_not_installed(litert_linear: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(RuntimeUnavailable) as caught:
        evface_runtimes.load(litert_linear)
    assert caught.value.value == "litert"
    assert caught.value.fix == "pip install 'evface-edge[litert]'"
