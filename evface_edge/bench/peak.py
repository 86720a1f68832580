"""Measured peak of one CPU core, in multiply-adds a second: the reference for a network's speed.

A large matrix product or convolution, in float32 and in INT8, keeps a core busy with multiply-adds
only. The best result of all installed runtimes is the peak. It is measured in the same run and on
the same core as the networks.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evface_edge.bench.latency import Latency, measure
from evface_runtimes.telemetry import switch_off

#: Graphs of one operator, a @ b; `tools/make_matmul_models.py` writes them.
_DATA = Path(__file__).parents[1] / "data"
MATMUL_FP32, MATMUL_INT8 = _DATA / "matmul_fp32.onnx", _DATA / "matmul_int8.onnx"

#: Rows, columns and inner size of the product. It takes about a millisecond, so that most calls
#: are not interrupted by the scheduler, even on a busy machine.
_M, _N, _K = 1024, 256, 512
#: Channels in and out of the convolution, and side of its image.
_CHANNELS, _SIDE = 128, 28
_CONV_OPS = 2 * 9 * _CHANNELS**2 * _SIDE**2
_GEMM_OPS = 2 * _M * _N * _K


@dataclass(frozen=True)
class Peak:
    """Peak of one core.

    Attributes:
        fp32_gops, int8_gops: billion operations a second; a multiply-add is two operations.
        tried: name of a measurement → its billion operations a second.
    """

    fp32_gops: float
    int8_gops: float
    tried: dict[str, float]

    @classmethod
    def of(cls, tried: Mapping[str, float]) -> Peak:
        """Take the best of several measurements; their names end in "fp32" or "int8"."""
        fp32, int8 = (
            max(gops for name, gops in tried.items() if name.endswith(precision))
            for precision in ("fp32", "int8")
        )
        return cls(fp32, int8, dict(tried))

    def fraction(self, mega_macs: float, milliseconds: float, precision: str) -> float:
        """Return the fraction of the peak that a network reaches; float16 counts as float32.

        Args:
            milliseconds: of one inference, `Latency.fast_ms`, as for the peak.
        """
        gops = 2e-3 * mega_macs / (milliseconds * 1e-3)
        return gops / (self.int8_gops if precision == "int8" else self.fp32_gops)


def measure_peak(seconds: float = 1.0) -> Peak:
    """Measure each operation for about `seconds`. Pin the thread before (`latency.pinned`)."""
    calls = _onnxruntime_calls()
    if importlib.util.find_spec("openvino") is not None:
        calls |= _openvino_calls()
    return peak_of(measure(calls, seconds=seconds, rounds=5, warm_up=2))


def peak_of(latencies: Mapping[str, Latency]) -> Peak:
    """Return the peak from the latencies of matrix products and convolutions."""
    ops = {name: _CONV_OPS if "convolution" in name else _GEMM_OPS for name in latencies}
    return Peak.of({name: ops[name] / latencies[name].fast_ms * 1e-6 for name in latencies})


def _onnxruntime_calls() -> dict[str, Callable[[], object]]:
    switch_off()
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    rng = np.random.default_rng(0)
    calls: dict[str, Callable[[], object]] = {}
    for path, left, right in (
        (MATMUL_FP32, np.float32, np.float32),
        (MATMUL_INT8, np.uint8, np.int8),
    ):
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed = {
            "a": rng.integers(0, 100, (_M, _K)).astype(left),
            "b": rng.integers(0, 100, (_K, _N)).astype(right),
        }
        name = f"onnxruntime matrices {path.stem.rpartition('_')[2]}"
        calls[name] = lambda session=session, feed=feed: session.run(None, feed)  # type: ignore[misc]
    return calls


def _openvino_calls() -> dict[str, Callable[[], object]]:
    switch_off()
    import openvino as ov
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (_CHANNELS, _CHANNELS, 3, 3)).astype(np.float32)
    image = rng.uniform(0, 1, (1, _CHANNELS, _SIDE, _SIDE)).astype(np.float32)
    config = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    calls: dict[str, Callable[[], object]] = {}
    for precision in ("fp32", "int8"):
        x = ops.parameter(list(image.shape), np.float32)
        values, kernel = x, ops.constant(weights)
        if precision == "int8":
            low, zero, high = (np.float32(value) for value in (-1, 0, 1))
            values = ops.fake_quantize(x, zero, high, zero, high, 256)
            kernel = ops.fake_quantize(kernel, low, high, low, high, 255)
        out = ops.relu(ops.convolution(values, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
        # Reduce to one number, so that writing a large tensor is not measured.
        out = ops.reduce_max(out, ops.constant(np.array([1, 2, 3])), False)
        model = ov.Core().compile_model(ov.Model([out], [x]), "CPU", config)
        request = model.create_infer_request()
        calls[f"openvino convolution {precision}"] = lambda request=request: request.infer([image])  # type: ignore[misc]
    return calls
