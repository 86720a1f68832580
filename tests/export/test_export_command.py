"""The command: what it refuses, what it plans, what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ExportError, ModelError
from evface_export.command import export, parse_share


@pytest.fixture
def run(checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, with the toy in place of every checkpoint."""
    module = pytest.importorskip("evface_training.checkpoint")
    monkeypatch.setattr(module, "load_checkpoint", lambda path: checkpoint)
    app = typer.Typer()
    app.command()(export)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_export_writes_and_says_what_comes_next(run: Any, clips_path: Path, tmp_path: Path) -> None:
    result: Result = run("toy.ckpt", "-t", "onnx-int8", "--calibration", clips_path, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    path = tmp_path / "toy-int8.onnx"
    assert read_card(path).precision == "int8"
    for part in ("[1/4] quantise", "[4/4] write", "NME", f"evface-edge info {path}"):
        assert part in result.output


def test_dry_run_writes_nothing(run: Any, clips_path: Path, tmp_path: Path) -> None:
    result: Result = run(
        "toy.ckpt", "-t", "all", "--calibration", clips_path, "-o", tmp_path, "--dry-run"
    )
    assert result.exit_code == 0, result.output
    for name in ("toy-fp32.onnx", "toy-int8.onnx", "toy-int8.xml", "convert to OpenVINO"):
        assert name in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "onnx-in8"), r"the nearest is onnx-int8"),
        (("--target", "coreml"), r"one of onnx-fp32, .*, all$"),
        (("--max-nme-loss", "2"), r"expected a share such as 2% or 0\.02"),
        ((), "--calibration = None: expected an .npz of clips"),
        (("--calibration", "absent.npz"), "absent.npz.*there is no such file"),
    ],
)
def test_refusals(run: Any, arguments: tuple[str, ...], message: str) -> None:
    result: Result = run("toy.ckpt", *arguments)
    with pytest.raises(ConfigError, match=message):
        raise result.exception or AssertionError(result.output)


def test_all_goes_on_after_a_refusal(
    run: Any, clips_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evface_export import pipeline

    sound = pipeline.export_model

    def refuse_all_but_one(checkpoint: Any, target: Any, *args: Any, **options: Any) -> Any:
        if target.name != "onnx-fp32":
            raise ExportError("the gate is closed")
        return sound(checkpoint, target, *args, **options)

    monkeypatch.setattr(pipeline, "export_model", refuse_all_but_one)
    result: Result = run("toy.ckpt", "-t", "all", "--calibration", clips_path, "-o", tmp_path)
    assert isinstance(result.exception, ExportError)
    assert "5 of 6 targets were refused" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["toy-fp32.onnx"]


def test_checkpoint_that_is_absent(clips_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("evface_training.checkpoint")
    with pytest.raises(ModelError, match="no such checkpoint"):
        export(tmp_path / "absent.ckpt", "onnx-int8", clips_path, "2%", False, tmp_path)


@pytest.mark.parametrize(
    ("text", "value"), [("2%", 0.02), ("0.5 %", 0.005), ("0.02", 0.02), ("0", 0)]
)
def test_shares(text: str, value: float) -> None:
    assert parse_share("field", text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["2", "-1%", "100%", "2%%", "nan", "two", ""])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(ConfigError, match=r"field = .*: expected a share"):
        parse_share("field", text)
