"""Bad input: one sentence, exit code 1, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evface_edge import DEMO_RECORDING
from evface_edge.cli import main
from evface_edge.events import read_events, write_events
from evface_edge.models import FOLDER


def missing(_: Path) -> None: ...


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not a recording, whatever its name says")


def truncated(path: Path) -> None:
    events, size = read_events(DEMO_RECORDING)
    write_events(path, events[:20_000], size)
    path.write_bytes(path.read_bytes()[:-1])


def columns(path: Path, **changes: object) -> None:
    events, size = read_events(DEMO_RECORDING)
    events = events[:20_000]
    values = {name: events[name] for name in ("t", "x", "y", "p")}
    values |= {"width": size.width, "height": size.height}
    with path.open("wb") as file:
        np.savez(file, **(values | changes))  # type: ignore[arg-type]


def one_pixel(path: Path) -> None:
    columns(path, x=np.zeros(20_000, "u2"), y=np.zeros(20_000, "u2"), width=1, height=1)


def outside(path: Path) -> None:
    columns(path, x=np.full(20_000, 400, "u2"))


def backward(path: Path) -> None:
    events, _ = read_events(DEMO_RECORDING)
    columns(path, t=events["t"][:20_000][::-1])


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (missing, "rec.raw", "rec.raw"),
        (empty, "rec.raw", "rec.raw"),
        (text, "rec.raw", "Prophesee RAW"),
        (truncated, "rec.raw", "byte"),
        (one_pixel, "rec.npz", "1×1"),
        (outside, "rec.npz", "346×260"),
        (backward, "rec.npz", "rec.npz"),
    ],
)
def test_a_bad_recording(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    name: str,
    words: str,
) -> None:
    path = tmp_path / name
    make(path)
    before = sorted(tmp_path.iterdir())
    outputs = ["-o", str(tmp_path / "out.csv"), "-o", str(tmp_path / "out.gif")]
    assert main(["predict", str(path), *outputs]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert name in lines[0] or "size" in lines[0]
    assert words in lines[0]
    assert sorted(tmp_path.iterdir()) == before


def test_damage_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncated(tmp_path / "rec.raw")
    for arguments in (["predict"], ["view", "-o", str(tmp_path / "a.gif")]):
        assert main([arguments[0], str(tmp_path / "rec.raw"), *arguments[1:]]) == 1
        assert "--damage salvage uses the 19,999 events before it" in capsys.readouterr().err


def test_a_box_beside_the_sensor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(DEMO_RECORDING), "--box", "500,10,50,50"]) == 1
    assert "overlaps the 346×260 sensor" in capsys.readouterr().err


def test_salvage_uses_the_sound_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncated(tmp_path / "rec.raw")
    output = tmp_path / "out.csv"
    assert (
        main(["predict", str(tmp_path / "rec.raw"), "--damage", "salvage", "-o", str(output)]) == 0
    )
    assert "warning: " in capsys.readouterr().err
    assert output.is_file()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: b"", "ONNX"),
        (lambda: b"text" * 50, "ONNX"),
        (lambda: (FOLDER / "evface-s-int8.onnx").read_bytes()[:700_000], "truncated"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_a_bad_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Callable[[], bytes], words: str
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(content())
    output = tmp_path / "out.csv"
    assert main(["predict", str(DEMO_RECORDING), "-m", str(model), "-o", str(output)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "model.onnx" in lines[0]
    assert words in lines[0]
    assert not output.exists()


def test_a_model_without_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx makes a foreign model")
    shape = [1, 10, 128, 128]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "foreign",
        [value("x", onnx.TensorProto.FLOAT, shape)],
        [value("y", onnx.TensorProto.FLOAT, shape)],
    )
    model = tmp_path / "foreign.onnx"
    onnx.save(onnx.helper.make_model(graph), model)
    assert main(["predict", str(DEMO_RECORDING), "-m", str(model)]) == 1
    assert "no model card inside" in capsys.readouterr().err
