"""Cards inside artefacts: written here, read back by onnx and onnxruntime as well."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from evface_edge.card import CARD_KEY, ModelCard, TensorSpec, WindowPolicy
from evface_edge.card_file import (
    HASH_KEY,
    check_tensors,
    embed_card,
    embed_openvino_card,
    read_card,
)
from evface_edge.errors import ModelError

CARD = ModelCard(
    name="toy",
    version="1",
    precision="fp32",
    target="onnx-fp32",
    representation={"name": "event_frame", "channels": 10},
    crop_scale=1.25,
    window=WindowPolicy(0.5, 100, 20_000, 50_000),
    inputs=(TensorSpec("x", (-1, 3)),),
    outputs=(TensorSpec("y", (-1, 3)),),
    presence_threshold=0.5,
    sigma_limit=0.1,
    training={"data": "“quoted” & <angled> µ"},
)


def _model() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["y"])],
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(np.full(300, 2, np.float32)[:1], "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"author": "someone"})
    return model.SerializeToString()


MODEL = _model()
EMBEDDED = embed_card(MODEL, CARD)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_read_back(tmp_path: Path) -> None:
    assert read_card(_written(tmp_path / "model.onnx", EMBEDDED)) == CARD


def test_onnx_and_onnxruntime_see_the_card() -> None:
    loaded = onnx.load_from_string(EMBEDDED)
    onnx.checker.check_model(loaded)
    entries = {entry.key: entry.value for entry in loaded.metadata_props}
    session = onnxruntime.InferenceSession(EMBEDDED, providers=["CPUExecutionProvider"])
    for found in (entries, session.get_modelmeta().custom_metadata_map):
        assert ModelCard.from_json(found[CARD_KEY], origin="test") == CARD
        assert found["author"] == "someone"
        assert len(found[HASH_KEY]) == 64
    y = session.run(None, {"x": np.ones((2, 3), np.float32)})[0]
    np.testing.assert_array_equal(y, 2)


def test_second_card_replaces_the_first(tmp_path: Path) -> None:
    other = dataclasses.replace(CARD, version="2")
    again = embed_card(EMBEDDED, other)
    assert read_card(_written(tmp_path / "model.onnx", again)) == other
    assert again == embed_card(MODEL, other)


def test_embedding_into_something_else() -> None:
    with pytest.raises(ModelError, match="the model: not an ONNX file"):
        embed_card(b"hello", CARD)


def _foreign_hash(model: bytes) -> bytes:
    loaded = onnx.load_from_string(model)
    loaded.producer_name = "another tool"
    return loaded.SerializeToString()


def _second_entry(model: bytes) -> bytes:
    loaded = onnx.load_from_string(model)
    loaded.metadata_props.add(key=CARD_KEY, value=CARD.to_json())
    return loaded.SerializeToString()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX file"),
        (b"just text\n", "not an ONNX file"),
        (EMBEDDED[:-1], "truncated"),
        (EMBEDDED[: len(EMBEDDED) // 8], "truncated"),
        (MODEL, "no model card inside"),
        (_foreign_hash(EMBEDDED), "changed after its export"),
        (_second_entry(EMBEDDED), "two entries 'evface_card', expected one"),
        (embed_card(MODEL, dataclasses.replace(CARD, card_version=2)), "version 2, this SDK reads"),
    ],
)
def test_refusals(tmp_path: Path, content: bytes, message: str) -> None:
    path = _written(tmp_path / "model.onnx", content)
    with pytest.raises(ModelError, match=message) as caught:
        read_card(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_no_file_to_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_card(tmp_path / "absent.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match=r"cannot be read \(Is a directory\)"):
        read_card(tmp_path / "folder.onnx")
    with pytest.raises(ModelError, match=r"ending in \.onnx, \.xml"):
        read_card(tmp_path / "model.tflite")


def _refused_or_equal(path: Path) -> None:
    try:
        card = read_card(path)
    except ModelError:
        return
    assert card == CARD


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(EMBEDDED)))
def test_any_truncation(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "truncated.onnx"
    _refused_or_equal(_written(path, EMBEDDED[:length]))


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, len(EMBEDDED) - 1), st.integers(1, 255))
def test_any_flipped_byte(tmp_path_factory: pytest.TempPathFactory, index: int, mask: int) -> None:
    flipped = bytearray(EMBEDDED)
    flipped[index] ^= mask
    path = _written(tmp_path_factory.getbasetemp() / "flipped.onnx", bytes(flipped))
    with pytest.raises(ModelError):
        read_card(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = _written(tmp_path_factory.getbasetemp() / "any.onnx", b"\x08\x0a" + content)
    with pytest.raises(ModelError):
        read_card(path)


@pytest.fixture
def openvino_model(tmp_path: Path) -> Path:
    ov = pytest.importorskip("openvino")
    model = ov.convert_model(_written(tmp_path / "model.onnx", MODEL))
    path = tmp_path / "model.xml"
    ov.save_model(model, path, compress_to_fp16=False)
    path.write_bytes(
        embed_openvino_card(path.read_bytes(), path.with_suffix(".bin").read_bytes(), CARD)
    )
    return path


def test_openvino_reads_the_card(openvino_model: Path) -> None:
    import openvino as ov

    assert read_card(openvino_model) == CARD
    model = ov.Core().read_model(openvino_model)
    text = model.get_rt_info(["evface", "card"]).astype(str)
    assert ModelCard.from_json(text, origin="test") == CARD


def test_openvino_second_card_replaces_the_first(openvino_model: Path) -> None:
    other = dataclasses.replace(CARD, version="2")
    weights = openvino_model.with_suffix(".bin").read_bytes()
    openvino_model.write_bytes(embed_openvino_card(openvino_model.read_bytes(), weights, other))
    assert read_card(openvino_model) == other


def test_openvino_refusals(openvino_model: Path) -> None:
    xml = openvino_model.read_bytes()
    for content, message in (
        (b"<svg></svg>", "not an OpenVINO model"),
        (xml[:-100], "truncated"),
        (xml.replace(b"evface", b"others"), "no model card inside"),
        (xml.replace(b"1.25", b"1.50"), "changed after its export"),
        (xml.replace(b"Multiply", b"Divide"), "changed after its export"),
    ):
        with pytest.raises(ModelError, match=message):
            read_card(_written(openvino_model, content))
    openvino_model.write_bytes(xml)
    weights = openvino_model.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="changed after its export"):
        read_card(openvino_model)
    weights.unlink()
    with pytest.raises(ModelError, match=r"model\.bin: no such file"):
        read_card(openvino_model)


def test_tensors_are_held_against_the_card() -> None:
    check_tensors(CARD, {"x": (-1, 3)}, {"y": (-1, 3)}, origin="model.onnx")
    with pytest.raises(ModelError, match=r"model\.onnx: the outputs .*\(-1, 3\).* \(-1, 4\)"):
        check_tensors(CARD, {"x": (-1, 3)}, {"y": (-1, 4)}, origin="model.onnx")
