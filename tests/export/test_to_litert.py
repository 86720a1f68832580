"""LiteRT models against ONNX Runtime on the ONNX models that they were made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("ai_edge_litert", reason="needs evface-edge[litert]")

import evface_runtimes
from evface_edge.errors import ExportError
from evface_edge.models import find_model
from evface_export.to_litert import to_litert

SHAPE = [1, 8, 6, 4]


def _litert(model: bytes, folder: Path, feed: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    path = folder / "model.tflite"
    path.write_bytes(to_litert(model))
    with evface_runtimes.load(path) as runtime:
        return runtime.run(feed)


def _sparse(shape: tuple[int, ...]) -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    return (rng.random(shape) * (rng.random(shape) < 0.05)).astype(np.float32)


@pytest.mark.parametrize("name", ["evface-n-fp32", "evface-n-int8", "evface-s-int8"])
def test_bundled_networks_compute_the_same(name: str, tmp_path: Path) -> None:
    """INT8 as well: the integers are the same, up to the last layer before the softmax."""
    model = find_model(name).read_bytes()
    feed = {"events": _sparse((3, 10, 128, 128))}
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    found = _litert(model, tmp_path, feed)
    for output, expected in zip(names, session.run(names, feed), strict=True):
        exact = name.endswith("fp32") or output == "presence"
        np.testing.assert_allclose(found[output], expected, atol=1e-4 if exact else 5e-3)
        assert np.abs(found[output] - expected).mean() < 1.5e-3


@pytest.mark.parametrize("name", ["evface-n-int8", "evface-s-int8"])
def test_the_bundled_file_has_the_integers_of_the_onnx_model(name: str) -> None:
    """If not: python tools/write_litert_models.py clips.npz"""
    from evface_export.tflite_file import read

    graph = onnx.load(find_model(name)).graph
    weights = [
        values
        for tensor in graph.initializer
        if (values := numpy_helper.to_array(tensor)).dtype == np.int8 and values.ndim > 1
    ]
    model = read(find_model(name, runtime="litert").read_bytes())
    stored = [
        np.frombuffer(model.buffers[tensor.buffer].data, np.int8).reshape(tensor.shape)
        for tensor in model.subgraphs[0].tensors
        if tensor.type == 9 and model.buffers[tensor.buffer].data
    ]
    assert len(stored) == len(weights) >= 10
    kept = {np.moveaxis(values, -1, 1).tobytes() for values in stored}
    assert kept == {values.tobytes() for values in weights}
    assert max(int(np.abs(values.astype(int)).max()) for values in stored) == 64


def _node(kind: str, *constants: NDArray[Any], **attributes: Any) -> bytes:
    """Stored channels last: x → convolution → x̂; then y = node(x̂, constants …)."""
    names = [f"c{index}" for index in range(len(constants))]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], kernel_shape=[1, 1]),
        helper.make_node(kind, ["h", *names], ["y"], **attributes),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    kernel = np.random.default_rng(0).normal(size=(8, 8, 1, 1)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(kernel, "w"))
    graph.initializer.extend(map(numpy_helper.from_array, constants, names))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


def _ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


_KERNEL = np.random.default_rng(1).normal(size=(5, 8, 3, 3)).astype(np.float32)
_MATRIX = np.random.default_rng(2).normal(size=(4, 7)).astype(np.float32)


@pytest.mark.parametrize(
    "model",
    [
        _node("Conv", _KERNEL, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        _node("Conv", _KERNEL, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        _node("Conv", _KERNEL, kernel_shape=[3, 3], pads=[0, 1, 2, 0], strides=[2, 1]),
        _node("MatMul", _MATRIX),
        _node("Transpose", perm=[0, 3, 1, 2]),
        _node("Reshape", _ints(1, 8, 24)),
        _node("Reshape", _ints(1, 4, 2, 24)),
        _node("Reshape", _ints(1, 48, 4)),
        _node("Flatten"),
        _node("Unsqueeze", _ints(2)),
        _node("Softmax", axis=-1),
        _node("Softmax", axis=1),
        _node("ReduceMean", _ints(2, 3), keepdims=0),
        _node("ReduceMean", _ints(1), keepdims=1),
        _node("ReduceSum", _ints(2), keepdims=0),
        _node("Slice", _ints(1, 0), _ints(-1, 2), _ints(1, 3)),
        _node("Gather", np.array(-2), axis=1),
        _node("Pad", _ints(0, 0, 1, 2, 0, 0, 0, 1)),
        _node("Resize", np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32),
              mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        _node("DepthToSpace", blocksize=2),
        _node("DepthToSpace", blocksize=2, mode="CRD"),
        _node("Add", np.arange(6, dtype=np.float32)[:, None]),
        _node("Mul", np.arange(4, dtype=np.float32)),
        _node("Pow", np.array(2, np.float32)),
        _node("Clip", np.array(-0.5, np.float32), np.array(0.5, np.float32)),
        _node("Clip", np.array(0, np.float32), np.array(6, np.float32)),
        _node("Relu"),
        _node("Sigmoid"),
        _node("Exp"),
    ],
    ids=lambda model: onnx.load_from_string(model).graph.node[1].op_type,
)  # fmt: skip
def test_operators(model: bytes, tmp_path: Path) -> None:
    x = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    (expected,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )
    found = _litert(model, tmp_path, {"x": x})["y"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (_node("Elu"), "Elu"),
        (_node("Pow", np.array(3, np.float32)), "Pow"),
        (_node("Gather", _ints(0, 2), axis=1), "Gather"),
        (_node("Conv", _KERNEL[:, :4], kernel_shape=[3, 3], group=2), "Conv"),
    ],
    ids=["Elu", "Pow", "Gather", "Conv"],
)
def test_what_is_not_supported_is_named(model: bytes, kind: str) -> None:
    with pytest.raises(ExportError) as caught:
        to_litert(model)
    assert (caught.value.field, caught.value.value) == (kind, "y")


def test_the_same_bytes_each_time() -> None:
    model = _node("Relu")
    assert to_litert(model) == to_litert(model)


def test_constants_are_aligned() -> None:
    """The schema demands 16 bytes, which some processors need."""
    from evface_edge.litert_metadata import _Table

    content = to_litert(_node("MatMul", _MATRIX))
    root = _Table(content, int.from_bytes(content[:4], "little"))
    places = [buffer.bytes(0) for buffer in root.tables(4)]
    assert [place.start % 16 for place in places if place] == [0] * sum(map(bool, places))


def test_cards(tmp_path: Path) -> None:
    import dataclasses

    from evface_edge.card_file import read_card
    from evface_edge.errors import ModelError
    from evface_export.tflite_file import embed_litert_card

    card = read_card(find_model("evface-n-int8"))
    bare = to_litert(_node("Relu"))
    path = tmp_path / "m.tflite"
    content = embed_litert_card(bare, card)
    path.write_bytes(content)
    assert read_card(path) == card
    other = dataclasses.replace(card, version="2")
    path.write_bytes(embed_litert_card(content, other))
    assert read_card(path) == other
    assert path.read_bytes().count(b"evface_card") == 1
    evface_runtimes.load(path).close()

    flipped = bytearray(content)
    flipped[content.index(b"1.25") if b"1.25" in content else len(content) // 2] ^= 1
    for changed, field in (
        (bare, "evface_card"),
        (content.replace(b"evface_card", b"evface_csrd"), "evface_card"),
        (bytes(flipped), "sha256"),
        (content + b"\0", "sha256"),
    ):
        path.write_bytes(changed)
        with pytest.raises(ModelError) as caught:
            read_card(path)
        assert (caught.value.path, caught.value.field) == (path, field)
    rng = np.random.default_rng(0)
    for _ in range(200):  # damage of any kind is an error of ours
        size = int(rng.integers(8, len(content)))
        damaged = bytearray(content[:size])
        damaged[int(rng.integers(8, size + 1)) - 1] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(ModelError):
            read_card(path)
    path.write_bytes(os.urandom(64))
    with pytest.raises(ModelError) as caught:
        read_card(path)
    assert caught.value.path == path
    with pytest.raises(ModelError):
        embed_litert_card(b"\x08 an ONNX model", card)
