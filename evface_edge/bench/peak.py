"""The most that one core of this machine computes, to hold a network's speed against.

A large product of matrices, in float32 and in 8 bits, keeps a core busy with nothing but multiply
and add. The best that any installed runtime makes of it counts as the peak: it is measured in the
same run as the networks, on the same core, and not read from a data sheet.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evface_edge.bench.latency import Latency, measure

#: Rows, columns and inner size of the product. About a millisecond each, so that a call fits into
#: what a scheduler gives at once, even on a machine that has other work.
_M, _N, _K = 1024, 256, 512
#: Of the convolution: channels in and out, and the side of its image.
_CHANNELS, _SIDE = 128, 28
_CONV_OPS = 2 * 9 * _CHANNELS**2 * _SIDE**2
_GEMM_OPS = 2 * _M * _N * _K

_FLOAT, _UINT8, _INT8, _INT32 = 1, 2, 3, 6  # TensorProto.DataType


@dataclass(frozen=True)
class Peak:
    """Of one core.

    Attributes:
        fp32_gops, int8_gops: billion operations a second; a multiply-add is two.
        tried: what → billion operations a second.
    """

    fp32_gops: float
    int8_gops: float
    tried: dict[str, float]

    def fraction(self, mega_macs: float, milliseconds: float, precision: str) -> float:
        """How much of the peak a network uses, 0 to 1; float16 is held against float32.

        Args:
            milliseconds: of one inference: `Latency.fast_ms`, as the peak is measured.
        """
        gops = 2e-3 * mega_macs / (milliseconds * 1e-3)
        return gops / (self.int8_gops if precision == "int8" else self.fp32_gops)


def measure_peak(seconds: float = 1.0) -> Peak:
    """Measure for about `seconds` each way; pin the thread before (`latency.pinned`)."""
    calls = {f"onnxruntime {name}": call for name, call in _onnxruntime_calls().items()}
    if importlib.util.find_spec("openvino") is not None:
        calls |= {f"openvino {name}": call for name, call in _openvino_calls().items()}
    return peak_of(measure(calls, seconds=seconds, rounds=5, warm_up=2))


def peak_of(latencies: Mapping[str, Latency]) -> Peak:
    """The best of several ways, whose names end in the kind of product and its precision."""
    tried = {}
    for name, latency in latencies.items():
        operations = _CONV_OPS if "convolution" in name else _GEMM_OPS
        tried[name] = operations / latency.fast_ms * 1e-6
    best = {
        precision: max(gops for name, gops in tried.items() if name.endswith(precision))
        for precision in ("fp32", "int8")
    }
    return Peak(best["fp32"], best["int8"], tried)


def _onnxruntime_calls() -> dict[str, Callable[[], object]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    rng = np.random.default_rng(0)
    kinds: dict[str, tuple[str, tuple[int, int, int], Any, Any]] = {
        "matrices fp32": ("MatMul", (_FLOAT, _FLOAT, _FLOAT), np.float32, np.float32),
        "matrices int8": ("MatMulInteger", (_UINT8, _INT8, _INT32), np.uint8, np.int8),
    }
    calls: dict[str, Callable[[], object]] = {}
    for name, (operator, types, left, right) in kinds.items():
        model = product_model(operator, types)
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = {
            "a": rng.integers(0, 100, (_M, _K)).astype(left),
            "b": rng.integers(0, 100, (_K, _N)).astype(right),
        }
        calls[name] = lambda session=session, feed=feed: session.run(None, feed)  # type: ignore[misc]
    return calls


def product_model(operator: str, types: tuple[int, int, int]) -> bytes:
    """An ONNX model of one operator, a @ b → c, written without the onnx package.

    Source: onnx.proto3 of ONNX 1.x, and "Encoding" in the Protocol Buffers documentation.
    """
    shapes = {"a": (_M, _K), "b": (_K, _N), "c": (_M, _N)}

    def value(name: str, kind: int) -> bytes:
        sizes = b"".join(_message(1, _number(1, size)) for size in shapes[name])
        tensor = _number(1, kind) + _message(2, sizes)
        return _message(1, name.encode()) + _message(2, _message(1, tensor))

    node = (
        _message(1, b"a") + _message(1, b"b") + _message(2, b"c") + _message(4, operator.encode())
    )
    graph = (
        _message(1, node)
        + _message(2, b"product")
        + _message(11, value("a", types[0]))
        + _message(11, value("b", types[1]))
        + _message(12, value("c", types[2]))
    )
    return _number(1, 8) + _message(7, graph) + _message(8, _number(2, 13))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _openvino_calls() -> dict[str, Callable[[], object]]:
    import openvino as ov
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (_CHANNELS, _CHANNELS, 3, 3)).astype(np.float32)
    image = rng.uniform(0, 1, (1, _CHANNELS, _SIDE, _SIDE)).astype(np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for name in ("convolution fp32", "convolution int8"):
        x = ops.parameter(list(image.shape), np.float32)
        values, kernel = x, ops.constant(weights)
        if name.endswith("int8"):
            values = ops.fake_quantize(x, *_limits(0, 1), *_limits(0, 1), 256)
            kernel = ops.fake_quantize(kernel, *_limits(-1, 1), *_limits(-1, 1), 255)
        out = ops.convolution(values, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
        out = ops.relu(out)
        # One number leaves: writing a large float tensor is no arithmetic.
        out = ops.reduce_max(out, ops.constant(np.array([1, 2, 3])), False)
        config = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        request = (
            ov.Core().compile_model(ov.Model([out], [x]), "CPU", config).create_infer_request()
        )
        calls[name] = lambda request=request: request.infer([image])  # type: ignore[misc]
    return calls


def _limits(low: float, high: float) -> tuple[np.float32, np.float32]:
    return np.float32(low), np.float32(high)
