"""From an exported model to an engine with its card, and to landmarks, on a GPU of plain memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from evface_edge import DEMO_RECORDING, Predictor
from evface_edge.card_file import embed_card, read_card
from evface_edge.errors import ConfigError, DeviceMismatch, ExportError, ModelError
from evface_edge.events import open_events
from evface_edge.models import find_model
from evface_export.command_build_engine import build_engine_command, demo_inputs

FP32 = find_model("evface-s-fp32")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("evface_export.command_build_engine._TIMED", 3)
    path = tmp_path / "evface-s-trt-fp32.onnx"
    path.write_bytes(FP32.read_bytes())
    return path


def _run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(build_engine_command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def engine(model: Path, fake_tensorrt: Any) -> Path:
    result = _run(model)
    assert result.exit_code == 0, result.output
    for part in ("Orin", "8.7", "TensorRT 10.3.0", "Building engine", "evface-edge predict"):
        assert part in result.output
    return model.with_suffix(".engine")


def test_engine_has_the_card_of_its_model(engine: Path) -> None:
    card, source = read_card(engine), read_card(FP32)
    assert (card.name, card.precision, card.outputs) == (source.name, "fp32", source.outputs)
    assert card.built_with["tensorrt"] == "10.3.0"
    assert (card.built_with["gpu"], card.built_with["compute_capability"]) == ("Orin", "8.7")
    assert card.metrics["engine_displacement_mean_px"] < 0.01  # it is the same network
    assert card.metrics["engine_p50_ms"] > 0


def test_predictor_runs_an_engine(engine: Path, fake_cuda: Any) -> None:
    """The same landmarks as from the ONNX model that the (fake) engine holds."""
    with open_events(DEMO_RECORDING) as source:
        events, size = np.concatenate(list(source))[:60_000], source.size
    with Predictor(engine) as predictor, Predictor(FP32) as reference:
        assert "on tensorrt, cuda" in predictor.describe()
        found, expected = predictor.run(events, size=size), reference.run(events, size=size)
    assert len(found) == len(expected) > 3
    for one, other in zip(found, expected, strict=True):
        assert one.t_us == other.t_us
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.01)
    assert fake_cuda.alive == {}


def test_predictor_builds_from_onnx_where_tensorrt_is_named(
    model: Path, fake_tensorrt: Any
) -> None:
    with Predictor(model, runtime="tensorrt") as predictor:
        assert "on tensorrt, cuda" in predictor.describe()
    assert len(fake_tensorrt.built) == 1
    Predictor(model, runtime="tensorrt").close()
    assert len(fake_tensorrt.built) == 1


def test_engine_on_another_device(engine: Path, fake_cuda: Any) -> None:
    fake_cuda.gpu.name = b"NVIDIA Thor"
    with pytest.raises(DeviceMismatch) as caught:
        Predictor(engine)
    assert "Orin" in str(caught.value.value)
    assert "NVIDIA Thor" in str(caught.value.expected)
    command = f"evface-edge build-engine {FP32.stem[:8]}-trt-fp32.onnx -o"
    assert command in str(caught.value.fix)


def test_refused_sidecars(engine: Path) -> None:
    sidecar = engine.with_name(f"{engine.name}.json")
    whole = sidecar.read_text()
    for text, field in (
        (whole[: len(whole) // 2], None),
        ("{}", None),
        (whole.replace('"Orin"', '"Thor"'), "sha256"),
        (whole.replace('"fp32"', '"int8"'), "sha256"),
    ):
        sidecar.write_text(text)
        with pytest.raises(ModelError) as caught:
            read_card(engine)
        assert (caught.value.path, caught.value.field) == (sidecar, field)
        assert "evface-edge build-engine" in str(caught.value.fix)
    sidecar.unlink()
    with pytest.raises(ModelError) as caught:
        read_card(engine)
    assert (caught.value.path, caught.value.field) == (engine, "evface_card")
    assert sidecar.name in str(caught.value)  # the file that is missing
    sidecar.write_text(whole)
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(ModelError) as caught:
        read_card(engine)
    assert (caught.value.path, caught.value.field) == (engine, "sha256")


def test_engine_that_computes_something_else(
    model: Path, fake_tensorrt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import evface_runtimes as runtimes

    sound = runtimes.load

    def sabotaged(path: Path, **options: Any) -> Any:
        loaded = sound(path, **options)
        if loaded.name == "tensorrt":
            infer = loaded._infer
            loaded._infer = lambda tensors, slot: {
                name: array + 0.02 for name, array in infer(tensors, slot).items()
            }
        return loaded

    monkeypatch.setattr(runtimes, "load", sabotaged)
    result = _run(model)
    error = result.exception
    assert isinstance(error, ExportError)
    assert error.field == "displacement_px"
    assert error.value == pytest.approx(0.02 * 2**0.5 * 128, abs=0.05)
    assert not model.with_suffix(".engine").exists()


def test_read_only_folder(model: Path, fake_tensorrt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from evface_runtimes import tensorrt_build

    write = tensorrt_build.replace_file

    def refuse(path: Path, content: bytes) -> None:
        if path.parent == model.parent:
            raise PermissionError(13, "Permission denied", str(path))
        write(path, content)

    monkeypatch.setattr(tensorrt_build, "replace_file", refuse)
    result = _run(model)
    error = result.exception
    assert isinstance(error, ExportError)
    assert error.path == model.with_suffix(".engine")
    assert isinstance(error.__cause__, PermissionError)


def test_models_that_are_not_for_tensorrt(model: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"\x08\x0a\x3a\x00")
    card = read_card(FP32)
    wrong = dataclasses.replace(card, precision="int8", target="onnx-int8")
    unsigned = tmp_path / "u8.onnx"
    unsigned.write_bytes(embed_card(FP32.read_bytes(), wrong))
    for arguments, field, value in (
        ((tmp_path / "model.xml",), "MODEL", str(tmp_path / "model.xml")),
        ((unsigned,), "MODEL", str(unsigned)),
        ((model, "-o", tmp_path / "m.onnx"), "output", str(tmp_path / "m.onnx")),
        ((model, "--max-batch", 0), "max_batch", 0),
    ):
        error = _run(*arguments).exception
        assert isinstance(error, ConfigError)
        assert (error.field, error.value) == (field, value)
    assert isinstance(_run(foreign).exception, ModelError)


def test_inputs_of_the_demo() -> None:
    card = read_card(FP32)
    inputs = demo_inputs(card, 4)
    assert inputs.shape == (4, *card.inputs[0].shape[1:])
    assert 0.005 < np.mean(inputs != 0) < 0.5
    assert not np.array_equal(inputs[0], inputs[1])


def test_check_needs_no_gpu() -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    result = _run(FP32, "--check")
    assert result.exit_code == 0, result.output
    assert all(part in result.output for part in (FP32.name, "TensorRT-RTX"))
