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
    ("name", "content", "message"),
    [
        ("model.onnx", b"", "an empty file"),
        ("model.onnx", b"\x89PNG\r\n\x1a\n", r"begins with 89 50 4e 47.*expected \.onnx \(onnx\)"),
        ("model.onnx", b"<html>not found</html>", "not a network of a known kind"),
        ("model.onnx", b"<?xml version='1.0'?><net>", r"holds 'openvino'.*rename it to model\.xml"),
        ("model.xml", b"\x08\x0a\x12\x00", r"holds 'onnx' although its name ends in \.xml"),
        ("model.engine", b"<net name='x'>", r"holds 'openvino' although its name ends in \.engine"),
        ("model.pt", b"ftrt\x00\x00", r"holds 'engine'.*rename it to model\.engine"),
    ],
)
def test_refusals(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        recognise(_written(tmp_path / name, content))


def test_other_archives_are_no_checkpoints(tmp_path: Path) -> None:
    np.savez(tmp_path / "clips.npz", x=np.zeros(3))
    with pytest.raises(ModelError, match="not a network of a known kind"):
        recognise(tmp_path / "clips.npz")
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "no pickle")
    with pytest.raises(ModelError, match="not a network of a known kind"):
        recognise(tmp_path / "a.pt")
    # A download that broke off has no directory at its end: its loader says what is wrong.
    assert recognise(_written(tmp_path / "half.pt", b"PK\x03\x04half")) == "checkpoint"


def test_file_that_a_named_runtime_does_not_read(linear: Path) -> None:
    with pytest.raises(ModelError, match=r"not a file that torch reads \(onnx\); expected \.pt"):
        evface_runtimes.load(linear, runtime="torch")
