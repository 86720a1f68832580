from __future__ import annotations

import json
from pathlib import Path

import pytest

from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.card_file import embed_card

# The smallest ONNX file: IR version 8, and an empty graph.
ONNX = bytes([0x08, 8, 0x3A, 0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("evface_edge.models.FOLDER", tmp_path)
    for precision in ("fp32", "int8"):
        card = ModelCard(
            name="evface-x",
            version="1.2",
            precision=precision,
            target=f"onnx-{precision}",
            representation={"name": "voxel_grid", "bins": 5},
            crop_scale=1.5,
            window=WindowPolicy(0.5, 1000, 20_000, 50_000),
            inputs=(TensorSpec("events", (-1, 5, 128, 128)),),
            outputs=(TensorSpec("landmarks", (-1, 98, 2)),),
            presence_threshold=0.5,
            sigma_limit=0.1,
            training={"data": "made-up faces", "licence": "no commercial use, as its data ask"},
            metrics={"normal_nme68_percent": 4.25},
        )
        (tmp_path / f"evface-x-{precision}.onnx").write_bytes(embed_card(ONNX, card))
    (tmp_path / "evface-x-int8.tflite").write_bytes(b"\0\0\0\0TFL3")  # its card is not shown
    return tmp_path


def test_one_row_a_model(command, folder: Path) -> None:
    answer = command("models")
    assert answer.code == 0
    rows = [line.split() for line in answer.out.splitlines() if line.startswith("evface-x")]
    shared = ["1.2", "4.25", "%", "no", "commercial", "use"]
    assert rows == [
        ["evface-x-fp32", "fp32", ".onnx", "0.0", *shared],
        ["evface-x-int8", "int8", ".onnx", "0.0,", ".tflite", "0.0", *shared],
    ]


def test_details_of_one_model(command, folder: Path) -> None:
    answer = command("models", "evface-x")  # INT8 is the default precision
    assert answer.code == 0
    lines = {line.partition(": ")[0]: line for line in answer.out.splitlines()}
    assert lines["precision"].split() == ["precision:", "int8"]
    assert "made-up faces" in answer.out
    assert "normal nme68 percent" in answer.out
    found = json.loads(command("models", "evface-x", "--json").out)
    assert [card["precision"] for card in found] == ["int8"]


def test_an_unknown_model(command, folder: Path) -> None:
    answer = command("models", "evface-z")
    assert answer.code == 1
    assert "evface-z" in answer.err


def test_json_has_whole_cards(command, folder: Path) -> None:
    found = json.loads(command("models", "--json").out)
    assert [card["precision"] for card in found] == ["fp32", "int8"]
    assert found[0]["path"] == str(folder / "evface-x-fp32.onnx")
    assert found[0]["bytes"] == (folder / "evface-x-fp32.onnx").stat().st_size
    assert [list(card["files"]) for card in found] == [
        ["evface-x-fp32.onnx"],
        ["evface-x-int8.onnx", "evface-x-int8.tflite"],
    ]
    assert found[0]["window"]["max_duration_us"] == 50_000


def test_a_damaged_model_is_named(command, folder: Path) -> None:
    path = folder / "evface-x-fp32.onnx"
    path.write_bytes(path.read_bytes()[:-5])
    answer = command("models")
    assert answer.code == 1
    assert answer.err.startswith(f"error: {path}: ")
    assert len(answer.err.splitlines()) == 1
