"""What a file is, told from its beginning."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

import evface_runtimes
from evface_edge.errors import ModelError
from evface_runtimes.files import recognise


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_real_files(linear: Path, tmp_path: Path) -> None:
    ov = pytest.importorskip("openvino")
    torch = pytest.importorskip("torch")
    ov.save_model(ov.convert_model(linear), tmp_path / "linear.xml")
    torch.save({"card": "none"}, tmp_path / "linear.pt")
    assert recognise(linear) == "onnx"
    assert recognise(tmp_path / "linear.xml") == "openvino"
    assert recognise(tmp_path / "linear.pt") == "checkpoint"


def test_engine_of_tensorrt_rtx(linear: Path, tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    from evface_runtimes.tensorrt_build import BuildSettings, build_engine

    plan = build_engine(trt, linear.read_bytes(), BuildSettings(), origin="linear").plan
    assert recognise(_written(tmp_path / "linear.engine", plan)) == "engine"
    assert recognise(_written(tmp_path / "linear", plan)) == "engine"


def test_name_without_a_suffix_is_no_obstacle(linear: Path, tmp_path: Path) -> None:
    bare = _written(tmp_path / "model", linear.read_bytes())
    assert evface_runtimes.load(bare).name == "onnxruntime"


@pytest.mark.parametrize(
    ("name", "content", "value", "expected"),
    [
        ("model.onnx", b"", None, None),
        ("model.onnx", b"\x89PNG\r\n\x1a\n!", b"\x89PNG\r\n\x1a\n", ".onnx (onnx)"),
        ("model.onnx", b"<html>not found</html>", b"<html>no", ".onnx (onnx)"),
        ("model.onnx", b"<?xml version='1.0'?><net>", "openvino", "onnx"),
        ("model.xml", b"\x08\x0a\x12\x00", "onnx", "openvino"),
        ("model.engine", b"<net name='x'>", "openvino", "engine"),
        ("model.pt", b"ftrt\x00\x00", "engine", "checkpoint"),
    ],
)
def test_refused_files(
    tmp_path: Path, name: str, content: bytes, value: object, expected: str | None
) -> None:
    path = _written(tmp_path / name, content)
    with pytest.raises(ModelError) as caught:
        recognise(path)
    assert (caught.value.path, caught.value.value) == (path, value)
    assert str(expected) in str(caught.value.expected)


def test_other_archives_are_no_checkpoints(tmp_path: Path) -> None:
    np.savez(tmp_path / "clips.npz", x=np.zeros(3))
    with pytest.raises(ModelError) as caught:
        recognise(tmp_path / "clips.npz")
    assert caught.value.field == "kind"
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "no pickle")
    with pytest.raises(ModelError) as caught:
        recognise(tmp_path / "a.pt")
    assert caught.value.field == "kind"
    # An incomplete download has no directory at its end; its loader reports that.
    assert recognise(_written(tmp_path / "half.pt", b"PK\x03\x04half")) == "checkpoint"


def test_file_that_a_named_runtime_does_not_read(linear: Path) -> None:
    with pytest.raises(ModelError) as caught:
        evface_runtimes.load(linear, runtime="torch")
    error = caught.value
    assert (error.path, error.value, error.expected) == (linear, "onnx", ".pt")
