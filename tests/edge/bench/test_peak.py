"""The peak: models written by hand against the onnx package and NumPy, fractions in closed form."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from evface_edge.bench.latency import Latency
from evface_edge.bench.peak import Peak, peak_of, product_model


@pytest.mark.parametrize(
    ("operator", "types", "left", "right"),
    [
        ("MatMul", (1, 1, 1), np.float32, np.float32),
        ("MatMulInteger", (2, 3, 6), np.uint8, np.int8),
    ],
)
def test_handwritten_models_are_models(
    operator: str, types: tuple[int, int, int], left: type, right: type
) -> None:
    import onnxruntime as ort

    model = product_model(operator, types)
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    a, b = (
        rng.integers(0, 100, value.shape).astype(kind)
        for value, kind in zip(session.get_inputs(), (left, right), strict=True)
    )
    found = session.run(None, {"a": a, "b": b})[0]
    np.testing.assert_array_equal(found, a.astype(np.int64) @ b.astype(np.int64))


def test_the_best_way_counts() -> None:
    times = {"x matrices fp32": 2.0, "y convolution fp32": 1.0, "x matrices int8": 0.5}
    peak = peak_of({name: Latency(np.full(9, ms)) for name, ms in times.items()})
    gemm, convolution = 2 * 1024 * 256 * 512, 2 * 9 * 128 * 128 * 28 * 28
    assert peak.tried["x matrices fp32"] == pytest.approx(gemm / 2e-3 * 1e-9)
    assert peak.fp32_gops == pytest.approx(convolution / 1e-3 * 1e-9)
    assert peak.int8_gops == pytest.approx(gemm / 0.5e-3 * 1e-9)


def test_share_of_the_peak() -> None:
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
