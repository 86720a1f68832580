"""The export command: refusals, plan, and output."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ExportError, RuntimeUnavailable
from evface_export.command_export import export, parse_fraction
from evface_export.targets import TARGETS


@pytest.fixture
def run(checkpoint: Any, toy_traced_once: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, with the toy in place of every checkpoint."""
    monkeypatch.setattr("evface_export.source.load_source", lambda model: checkpoint)
    app = typer.Typer()
    app.command()(export)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_export_writes_and_says_what_comes_next(run: Any, clips_path: Path, tmp_path: Path) -> None:
    result: Result = run("toy.ckpt", "-t", "onnx-int8", "--calibration", clips_path, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    path = tmp_path / "toy-int8.onnx"
    assert read_card(path).precision == "int8"
    for part in ("[1/4]", "[4/4]", "NME", f"evface-edge info {path}"):
        assert part in result.output


def test_dry_run_writes_nothing(run: Any, clips_path: Path, tmp_path: Path) -> None:
    result: Result = run(
        "toy.ckpt", "-t", "all", "--calibration", clips_path, "-o", tmp_path, "--dry-run"
    )
    assert result.exit_code == 0, result.output
    for name in ("toy-fp32.onnx", "toy-int8.onnx", "toy-int8.xml", "OpenVINO"):
        assert name in result.output
    assert not list(tmp_path.iterdir())


def test_several_targets(run: Any, clips_path: Path, tmp_path: Path) -> None:
    chosen = [
        part for name in ("openvino-fp32", "onnx-fp32", "openvino-fp32") for part in ("-t", name)
    ]
    plan = ("toy.ckpt", *chosen, "--calibration", clips_path, "--dry-run", "-o")
    result: Result = run(*plan, tmp_path)
    assert result.exit_code == 0, result.output
    assert result.output.count("toy-fp32.xml") == 1
    assert result.output.count("toy-fp32.onnx") == 1
    assert "int8" not in result.output
    together = ("-t", "onnx-fp32", "-t", "onnx-int8", "-o", tmp_path / "one.onnx")
    error = run("toy.ckpt", *together).exception
    assert isinstance(error, ConfigError)
    assert (error.field, error.value) == ("--output", str(tmp_path / "one.onnx"))


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (("--target", "coreml"), "target", "coreml"),
        (("--max-nme-loss", "2"), "--max-nme-loss", "2"),
        ((), "--calibration", None),  # the toy has no voxel grid, so avatars cannot be made
        (("--quantizer", "best"), "--quantizer", "best"),
        (("--qat-steps", "-1"), "--qat-steps", -1),
        (("--report", "absent"), "--report", "absent"),
        (("--calibration", "absent.npz"), "calibration", "absent.npz"),
    ],
)
def test_refusals(run: Any, arguments: tuple[str, ...], field: str, value: object) -> None:
    error = run("toy.ckpt", *arguments).exception
    assert isinstance(error, ConfigError)
    assert (error.field, error.value) == (field, value)


def test_the_nearest_target_is_suggested(run: Any) -> None:
    error = run("toy.ckpt", "--target", "onnx-in8").exception
    assert isinstance(error, ConfigError)
    assert "onnx-int8" in str(error.fix)


def test_all_goes_on_after_a_refusal(
    run: Any, clips_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evface_export import pipeline, summary

    sound = pipeline.export_target

    def refuse_all_but_one(conversion: Any, target: Any, *args: Any, **options: Any) -> Any:
        if target.name != "onnx-fp32":
            raise ExportError("the gate is closed")
        return sound(conversion, target, *args, **options)

    monkeypatch.setattr(pipeline, "export_target", refuse_all_but_one)
    monkeypatch.setattr(summary, "measure_speed", lambda conversion, rows: None)
    result: Result = run("toy.ckpt", "-t", "all", "--calibration", clips_path, "-o", tmp_path)
    assert isinstance(result.exception, ExportError)
    assert len(result.exception.value) == len(TARGETS) - 1  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["toy-fp32.onnx"]


def test_a_row_of_each_target_for_scripts(
    run: Any, clips_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every target has a row with its metrics, or with a reason."""
    pytest.importorskip("openvino")
    from evface_export import command_export, summary

    quick = partial(summary.measure_speed, seconds=0.02)
    monkeypatch.setattr(summary, "measure_speed", quick)
    monkeypatch.setattr(command_export.importlib.util, "find_spec", _without("tensorrt_rtx"))
    arguments = ("-t", "all", "--calibration", clips_path, "-o", tmp_path, "--json")
    result: Result = run("toy.ckpt", *arguments, "--quantizer", "nncf")
    found = json.loads(result.stdout)
    assert [row["target"] for row in found["targets"]] == [target.name for target in TARGETS]
    for row in found["targets"]:
        if row["target"] == "trt-int8":  # NNCF makes zero points, which TensorRT does not take
            assert "--quantizer" in row["reason"]
            continue
        assert row["written"]
        path = Path(row["path"])
        files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
        assert row["bytes"] == sum(file.stat().st_size for file in files)
        assert ("p50_ms" in row) == (not row["target"].startswith("trt-"))
        assert 0 < row.get("fraction_of_peak", 0.5) < 1
    distances = found["agreement_px"]
    assert distances["torch"]["onnx-fp32"] < 0.01 < distances["torch"]["onnx-int8"]
    assert distances["onnx-int8"]["torch"] == pytest.approx(distances["torch"]["onnx-int8"])
    assert isinstance(result.exception, ExportError)
    assert result.exception.value == ["trt-int8"]


def _without(package: str) -> Any:
    from importlib.util import find_spec

    return lambda name, *rest: None if name == package else find_spec(name, *rest)


def test_report_names_the_layers(
    run: Any, clips_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    from evface_export import sensitivity

    layers = ["backbone.0", "backbone.3"]  # the others take as long, and show no more
    monkeypatch.setattr(sensitivity, "layer_names", lambda *_: layers)
    arguments = ("-t", "onnx-fp32", "--calibration", clips_path, "-o", tmp_path)
    result: Result = run("toy.ckpt", *arguments, "--report", tmp_path)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "toy-sensitivity.json").read_text())
    assert [row["layer"] for row in figures] == [*layers, sensitivity.ALL]
    assert (tmp_path / "toy-sensitivity.png").read_bytes().startswith(b"\x89PNG")
    assert "| backbone.0 " in result.output


def test_without_matplotlib_it_says_which_extra(
    run: Any, clips_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evface_export import sensitivity

    monkeypatch.setattr(sensitivity.importlib.util, "find_spec", _without("matplotlib"))
    result: Result = run("toy.ckpt", "--calibration", clips_path, "--report", tmp_path)
    assert isinstance(result.exception, RuntimeUnavailable)
    assert "evface-edge[report]" in str(result.exception.fix)


@pytest.mark.parametrize(
    ("text", "value"), [("2%", 0.02), ("0.5 %", 0.005), ("0.02", 0.02), ("0", 0)]
)
def test_fractions(text: str, value: float) -> None:
    assert parse_fraction("field", text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["2", "-1%", "100%", "2%%", "nan", "two", ""])
def test_what_is_no_fraction(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_fraction("field", text)
    assert (caught.value.field, caught.value.value) == ("field", text)
