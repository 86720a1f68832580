"""Number of multiply-adds of a network, counted from the shapes of its operators."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.card import ModelCard
from evface_runtimes.telemetry import switch_off

#: Key in the metrics of a model card.
METRIC = "million_multiply_adds"


def mega_macs(path: Path, card: ModelCard) -> float | None:
    """Return million multiply-adds of convolutions and matrix products for one input.

    The number is taken from the card, or counted by running an ONNX file once in ONNX Runtime,
    which reports the shapes of all operators. None for other formats.
    """
    if METRIC in card.metrics:
        return card.metrics[METRIC]
    if path.suffix.lower() != ".onnx":
        return None
    feed = {
        spec.name: np.zeros([1 if size < 0 else size for size in spec.shape], np.float32)
        for spec in card.inputs
    }
    return count_macs(_profile(path, feed)) * 1e-6


def _profile(path: Path, feed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return ONNX Runtime's profile of one inference, without graph optimisation."""
    switch_off()
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory(prefix="evface-") as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, dict(feed))
        entries: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
        return entries


def count_macs(profile: Iterable[Mapping[str, Any]]) -> int:
    """Count the multiply-adds of the operators in a profile of ONNX Runtime."""
    total = 0
    for entry in profile:
        if not entry.get("name", "").endswith("_kernel_time"):
            continue
        args = entry.get("args", {})
        operator = args.get("op_name", "")
        inputs = [next(iter(shape.values())) for shape in args.get("input_type_shape", [])]
        outputs = [next(iter(shape.values())) for shape in args.get("output_type_shape", [])]
        if operator in ("Conv", "FusedConv", "QLinearConv", "ConvInteger"):
            weights = next(shape for shape in inputs[1:] if len(shape) >= 3)
            total += math.prod(outputs[0]) * math.prod(weights[1:])
        elif operator in ("MatMul", "MatMulInteger", "QLinearMatMul"):
            total += math.prod(outputs[0]) * inputs[0][-1]
        elif operator in ("Gemm", "FusedGemm", "QGemm"):
            rows = outputs[0][0]
            total += math.prod(outputs[0]) * (math.prod(inputs[0]) // rows)
    return total
