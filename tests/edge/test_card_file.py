"""Cards in model files: written here, read here and by the libraries of the formats."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.card_file import (
    CARD_KEY,
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


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_only_onnx_models_get_a_card(content: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        embed_card(content, CARD)
    assert caught.value.field == "model"


def _saved_again(model: bytes) -> bytes:
    loaded = onnx.load_from_string(model)
    loaded.producer_name = "another tool"
    return loaded.SerializeToString()


def _second_entry(model: bytes) -> bytes:
    loaded = onnx.load_from_string(model)
    loaded.metadata_props.add(key=CARD_KEY, value=CARD.to_json())
    return loaded.SerializeToString()


def _card(**changes: Any) -> bytes:
    return embed_card(MODEL, dataclasses.replace(CARD, **changes))


@pytest.mark.parametrize(
    ("content", "field", "value"),
    [
        (b"", None, b""),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), None, b"\x89PNG\r\n\x1a\n"),
        (EMBEDDED[:-1], CARD_KEY, None),
        (EMBEDDED[: len(EMBEDDED) // 8], CARD_KEY, None),
        (MODEL, CARD_KEY, None),
        (_second_entry(EMBEDDED), CARD_KEY, None),
        (_saved_again(EMBEDDED), "sha256", None),
        (_card(card_version=2), "card_version", 2),
        (_card(landmarks="ibug68"), "landmarks", "ibug68"),
    ],
)
def test_refused_files(tmp_path: Path, content: bytes, field: str, value: object) -> None:
    path = _written(tmp_path / "model.onnx", content)
    with pytest.raises(ModelError) as caught:
        read_card(path)
    error = caught.value
    assert (error.path, error.field) == (path, field)
    assert value is None or error.value == value
    assert "evface-edge" in str(error.fix)


@pytest.mark.parametrize(
    "change",
    [
        {"window": {"events_per_px": 0, "min_events": 1, "max_events": 1, "max_duration_us": 1}},
        {"window": {"events_per_px": 1}},
        {"inputs": [{"name": "x"}]},
        {"unknown": 1},
        {"name": None},
    ],
    ids=["range", "incomplete window", "incomplete tensor", "unknown field", "missing field"],
)
def test_refused_cards(change: dict[str, Any]) -> None:
    values = {k: v for k, v in (json.loads(CARD.to_json()) | change).items() if v is not None}
    with pytest.raises(ModelError) as caught:
        ModelCard.from_json(json.dumps(values), origin="model.onnx")
    assert caught.value.path == Path("model.onnx")


def test_no_file_to_read(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    for name in ("absent.onnx", "folder.onnx", "absent.xml", "absent.engine", "absent.pt"):
        with pytest.raises(ModelError) as caught:
            read_card(tmp_path / name)
        assert caught.value.path == tmp_path / name
    with pytest.raises(ModelError) as caught:
        read_card(tmp_path / "model.mlmodel")
    assert caught.value.expected == ".onnx, .tflite, .xml, .engine, .plan, .pt"


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


def test_refused_openvino_models(openvino_model: Path) -> None:
    xml = openvino_model.read_bytes()
    for content, field in (
        (b"<svg></svg>", CARD_KEY),
        (xml[:-400], CARD_KEY),
        (xml.replace(b"evface", b"others"), CARD_KEY),
        (xml[:-10], "sha256"),
        (xml.replace(b"1.25", b"1.50"), "sha256"),
        (xml.replace(b"Multiply", b"Divide"), "sha256"),
    ):
        with pytest.raises(ModelError) as caught:
            read_card(_written(openvino_model, content))
        assert (caught.value.path, caught.value.field) == (openvino_model, field)
    openvino_model.write_bytes(xml)
    weights = openvino_model.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(ModelError) as caught:
        read_card(openvino_model)
    assert caught.value.field == "sha256"
    weights.unlink()
    with pytest.raises(ModelError) as caught:
        read_card(openvino_model)
    assert caught.value.path == weights


def test_only_openvino_models_get_a_card() -> None:
    with pytest.raises(ModelError) as caught:
        embed_openvino_card(b"<svg></svg>", b"", CARD)
    assert caught.value.field == "xml"


def test_tensors_are_compared_with_the_card() -> None:
    check_tensors(CARD, {"x": (-1, 3)}, {"y": (-1, 3)}, origin="model.onnx")
    with pytest.raises(ModelError) as caught:
        check_tensors(CARD, {"x": (-1, 3)}, {"y": (-1, 4)}, origin="model.onnx")
    error = caught.value
    assert (error.path, error.field, error.value) == (Path("model.onnx"), "outputs", {"y": (-1, 4)})
