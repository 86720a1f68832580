"""The bundled INT8 models on an emulated processor without VNNI, as on a processor with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.emulation.comparison import bundled_files, compare, runs_of
from benchmarks.emulation.processors import emulated_x86, missing_emulator

_MISSING = missing_emulator("qemu-x86_64-static")
pytestmark = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))


def test_int8_models_give_the_same_landmarks_without_vnni() -> None:
    files = [path for path in bundled_files() if "int8" in path.name]
    runs = runs_of(files, ("onnxruntime",))
    rows, _ = compare(runs, [emulated_x86("Haswell")], windows=2, demo=False)
    emulated = [row for row in rows if row.processor == "Haswell"]
    assert {row.model for row in emulated} == {path.stem for path in files}
    for row in emulated:
        assert row.error == ""
        assert row.mean_px is not None
        assert row.p99_px is not None
        assert row.native_max_px is not None
        assert (row.mean_px <= 0.15, row.p99_px <= 3, row.native_max_px <= 0.1) == (True,) * 3


def test_the_emulated_processor_saturates(tmp_path: Path) -> None:
    """2 × 255 × 127 does not fit 16 bits: without VNNI the sum is wrong, and the test above sees
    such errors."""
    channels, pixels = 16, 4
    scales = [helper.make_tensor(name, TensorProto.FLOAT, [], [1.0]) for name in ("a", "b")]
    zeros = [
        helper.make_tensor("u8", TensorProto.UINT8, [], [0]),
        helper.make_tensor("s8", TensorProto.INT8, [], [0]),
    ]
    weights = numpy_helper.from_array(np.full((8, channels, 1, 1), 127, np.int8), "w")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "a", "u8"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "a", "u8"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "b", "s8"], ["v"]),
        helper.make_node("Conv", ["d", "v"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "e", "u8"], ["o"]),
        helper.make_node("DequantizeLinear", ["o", "e", "u8"], ["y"]),
    ]
    exact = 255 * 127 * channels
    last = helper.make_tensor("e", TensorProto.FLOAT, [], [exact / 200])
    shapes = {"x": [1, channels, pixels, pixels], "y": [1, 8, pixels, pixels]}
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [*scales, *zeros, weights, last])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "m.onnx")
    np.savez(tmp_path / "inputs.npz", full=np.full((1, *shapes["x"][1:]), 255, np.float32))
    run = {"key": "m", "path": str(tmp_path / "m.onnx"), "runtime": "onnxruntime"}
    job = {"runs": [run | {"inputs": "full"}], "demo": None}
    (tmp_path / "job.json").write_text(json.dumps(job))
    emulated_x86("Haswell").run(tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert ("AVX2" in report["features"], "AVX512F" in report["features"]) == (True, False)
    with np.load(tmp_path / "outputs.npz") as outputs:
        assert outputs["m y"].max() < 0.6 * exact
