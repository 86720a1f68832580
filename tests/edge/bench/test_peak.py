"""The peak: bundled graphs compared with the onnx package and NumPy, fractions in closed form."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evface_edge.bench.latency import Latency
from evface_edge.bench.peak import MATMUL_FP32, MATMUL_INT8, Peak, peak_of


@pytest.mark.parametrize(
    ("path", "left", "right"),
    [(MATMUL_FP32, np.float32, np.float32), (MATMUL_INT8, np.uint8, np.int8)],
    ids=["fp32", "int8"],
)
def test_bundled_graphs_multiply_matrices(path: Path, left: type, right: type) -> None:
    import onnxruntime as ort

    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    a = rng.integers(0, 100, (7, 5)).astype(left)
    b = rng.integers(-100, 100, (5, 3)).astype(right)
    product = session.run(None, {"a": a, "b": b})[0]
    np.testing.assert_array_equal(product, a.astype(np.int64) @ b.astype(np.int64))


def test_bundled_graphs_are_those_of_the_tool() -> None:
    onnx = pytest.importorskip("onnx")
    tool = importlib.import_module("tools.make_matmul_models")
    for path in (MATMUL_FP32, MATMUL_INT8):
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert model == tool.matmul_model(path.stem.rpartition("_")[2])


def test_the_best_measurement_is_the_peak() -> None:
    times = {"x matrices fp32": 2.0, "y convolution fp32": 1.0, "x matrices int8": 0.5}
    peak = peak_of({name: Latency(np.full(9, ms)) for name, ms in times.items()})
    gemm, convolution = 2 * 1024 * 256 * 512, 2 * 9 * 128 * 128 * 28 * 28
    assert peak.tried["x matrices fp32"] == pytest.approx(gemm / 2e-3 * 1e-9)
    assert peak.fp32_gops == pytest.approx(convolution / 1e-3 * 1e-9)
    assert peak.int8_gops == pytest.approx(gemm / 0.5e-3 * 1e-9)


def test_fraction_of_the_peak() -> None:
    peak = Peak(fp32_gops=250, int8_gops=1000, tried={})
    # 125 million multiply-adds are 0.25 billion operations: 250 GOP/s in a millisecond.
    assert peak.fraction(125, 1.0, "fp32") == pytest.approx(1)
    assert peak.fraction(125, 2.0, "fp16") == pytest.approx(0.5)
    assert peak.fraction(125, 0.5, "int8") == pytest.approx(0.5)


def test_no_training_library_is_imported() -> None:
    code = (
        "import sys, evface_edge.bench.peak as p; p._onnxruntime_calls();"
        "print([m for m in ('torch', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
