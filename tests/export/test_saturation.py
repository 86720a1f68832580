"""The largest sums of two products of INT8 models, and models that are refused for them."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from evface_edge.errors import ExportError
from evface_edge.models import FOLDER
from evface_export import pipeline, quantize
from evface_export.calibration import CalibrationSet
from evface_export.conversion import Conversion, Int8
from evface_export.saturation import MAX_PAIR_SUM, check_saturation, pair_sums
from evface_export.targets import find_targets

#: What `vpmaddubsw` can hold of the sum of two neighbouring products.
INT16 = np.iinfo(np.int16)


def _model(weight: np.ndarray, operator: str, activation: type = np.uint8) -> bytes:
    """A float input, quantised; one layer with a quantised weight."""
    constants = {
        "scale": np.float32(0.1),
        "zero": activation(0),
        "weight": weight,
        "weight_zero": np.int8(0),
    }
    attributes: dict[str, Any] = {"transB": 1} if operator == "Gemm" else {}
    weight_name = "turned" if operator == "MatMul" else "weight_float"
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["integer"]),
        helper.make_node("DequantizeLinear", ["integer", "scale", "zero"], ["activation"]),
        helper.make_node("DequantizeLinear", ["weight", "scale", "weight_zero"], ["weight_float"]),
        helper.make_node("Transpose", ["weight_float"], ["turned"], perm=[1, 0]),
        helper.make_node(operator, ["activation", weight_name], ["y"], name="layer", **attributes),
    ]
    if operator != "MatMul":
        del nodes[3]
    spatial = weight.shape[2:]
    inputs = (1, weight.shape[1], *spatial)
    graph = helper.make_graph(
        nodes,
        "one layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize("operator", ["Conv", "Gemm", "MatMul"])
def test_pair_sums_are_the_worst_of_all_pairs(operator: str) -> None:
    rng = np.random.default_rng(0)
    shape = (5, 3, 2, 2) if operator == "Conv" else (5, 12)
    for _ in range(20):
        weight = rng.integers(-127, 128, shape).astype(np.int8)
        rows = weight.reshape(5, -1).astype(int)
        worst = [max(abs(255 * (a + b)) for a, b in combinations(row, 2)) for row in rows]
        (found,) = pair_sums(_model(weight, operator))
        assert (found.layer, found.value) == ("layer", max(worst))
        assert worst[found.channel] == max(worst)


def test_refused_exactly_where_16_bits_saturate() -> None:
    for largest in (63, 64, 65, 127):
        for weight in ([largest, largest], [-largest, -largest], [largest, -largest]):
            model = _model(np.array([weight], np.int8), "Gemm")
            exact = 255 * sum(weight)
            if np.clip(exact, INT16.min, INT16.max) == exact:
                check_saturation(model)
                continue
            with pytest.raises(ExportError) as caught:
                check_saturation(model)
            assert (caught.value.field, caught.value.value) == ("layer", abs(exact))


def test_symmetric_activations_are_for_tensorrt() -> None:
    assert pair_sums(_model(np.full((1, 2), 127, np.int8), "Gemm", np.int8)) == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("**/*int8.onnx")), ids=lambda path: path.stem)
def test_bundled_models_do_not_saturate(path: Path) -> None:
    layers = pair_sums(path.read_bytes())
    assert len(layers) >= 10
    assert max(layer.value for layer in layers) <= MAX_PAIR_SUM


def test_eight_bit_weights_are_not_exported(
    checkpoint: Any, clips_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(quantize.WEIGHTS, "u8", quantize.WEIGHTS["s8"])
    conversion = Conversion(checkpoint, CalibrationSet.load(clips_path), Int8(qat_steps=0))
    path = tmp_path / "toy.onnx"
    with pytest.raises(ExportError) as caught:
        pipeline.export_target(conversion, find_targets("onnx-int8")[0], path)
    assert str(caught.value.field).startswith(("backbone.", "head."))
    assert isinstance(caught.value.value, int)
    assert caught.value.value > MAX_PAIR_SUM
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quantizer", ["pt2e", "nncf"])
@pytest.mark.filterwarnings("ignore")  # NNCF's own imports warn
@pytest.mark.usefixtures("toy_traced_once")
def test_both_quantisers_use_seven_bits(
    checkpoint: Any, clips: CalibrationSet, quantizer: Any
) -> None:
    if quantizer == "nncf":
        pytest.importorskip("nncf")
    conversion = Conversion(checkpoint, clips, Int8(quantizer))
    target = find_targets("onnx-int8")[0]
    model = conversion.nncf() if quantizer == "nncf" else conversion.traced(target)
    layers = pair_sums(model)
    assert len(layers) >= 4
    assert max(layer.value for layer in layers) <= MAX_PAIR_SUM
