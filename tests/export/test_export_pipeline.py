"""Artefacts compared with their network, and the accuracy check that refuses bad ones."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import evface_runtimes
from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ExportError
from evface_export import conversion, pipeline
from evface_export.calibration import CalibrationSet
from evface_export.conversion import Conversion, Int8
from evface_export.parity import MAX_FLOAT_NME, Limits, torch_run
from evface_export.pipeline import artefact_path, export_target
from evface_export.targets import TARGETS, find_targets
from evface_runtimes.table import RUNTIMES

INT8 = find_targets("onnx-int8")[0]
FP32 = find_targets("onnx-fp32")[0]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_artefact_agrees_with_torch(
    checkpoint: Any, toy: Conversion, tmp_path: Path, target: Any
) -> None:
    spec = next(spec for spec in RUNTIMES if spec.name == target.runtime)
    for package in spec.packages:
        pytest.importorskip(package)
    path = tmp_path / f"toy{target.suffix}"
    lines: list[str] = []
    done = export_target(toy, target, path, report=lines.append)

    assert not done.trained  # calibration is enough
    assert [line.split("] ")[1].split(", ")[0] for line in lines] == list(target.stages)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == sorted(
        {".xml": [".bin", ".xml"]}.get(target.suffix, [target.suffix])
    )
    assert done.size_bytes == sum(p.stat().st_size for p in tmp_path.iterdir())

    card = read_card(path)
    assert (card.precision, card.target, card.name) == (target.precision, target.name, "toy")
    assert bool(card.calibration) == (target.precision == "int8")
    assert card.calibration.get("qat_steps", 0) == 0
    assert card.metrics["export_nme_percent"] == pytest.approx(100 * done.parity.nme_artefact)

    # Not the clips of the gate: new ones, in batches of 1 and 5.
    inputs = np.random.default_rng(5).random((6, 10, 32, 32), np.float32)
    inputs[inputs < 0.9] = 0
    with torch.no_grad():
        expected = [output.numpy() for output in checkpoint.network(torch.from_numpy(inputs))]
    tolerance = {"fp32": 1e-4, "fp16": 5e-3, "int8": 0.08}[target.precision]
    with evface_runtimes.load(path, runtime=target.runtime) as runtime:
        for rows in (slice(0, 1), slice(1, 6)):
            found = runtime.run({"events": inputs[rows]})
            for name, array in zip(("landmarks", "log_sigma", "presence"), expected, strict=True):
                np.testing.assert_allclose(found[name], array[rows], atol=tolerance)


@pytest.fixture(scope="module")
def int8_path(toy: Conversion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_target(toy, INT8, tmp_path_factory.mktemp("int8") / "a.onnx").path


def test_int8_is_int8_where_it_should_be(int8_path: Path) -> None:
    model = onnx.load(int8_path)
    made_by = {name: node for node in model.graph.node for name in node.output}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 5
    (in_float,) = [node for node in convolutions if node.input[1] in weights]
    assert in_float.input[1] == "head.to_points.weight"
    for node in convolutions:
        if node is in_float:
            continue
        assert [made_by[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
        weight = weights[made_by[node.input[1]].input[0]]
        assert weight.data_type == onnx.TensorProto.INT8
        assert len(onnx.numpy_helper.to_array(weights[made_by[node.input[1]].input[1]])) > 1
    (presence,) = (node for node in model.graph.node if node.op_type == "Gemm")
    assert presence.input[1] in weights  # in float
    for output in model.graph.output:
        assert made_by[output.name].op_type != "DequantizeLinear"
    assert "/" not in "".join(
        str(node.metadata_props) + node.doc_string for node in model.graph.node
    )


def test_onnxruntime_fuses_all_layers(int8_path: Path, tmp_path: Path) -> None:
    """A convolution with its activation becomes one integer kernel, as does the head's product."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(int8_path, options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node)
    assert (kinds["QLinearConv"], kinds["QLinearAdd"], kinds["Conv"]) == (5, 1, 0)
    assert kinds["MatMulIntegerToFloat"] == 1


def _broken(model: bytes, name: str, factor: float) -> bytes:
    """The model with one of its outputs scaled."""
    loaded = onnx.load_from_string(model)
    for node in loaded.graph.node:
        for index, output in enumerate(node.output):
            if output == name:
                node.output[index] = "before"
    loaded.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(factor), "factor"))
    loaded.graph.node.append(onnx.helper.make_node("Mul", ["before", "factor"], [name]))
    return bytes(loaded.SerializeToString())


@pytest.mark.parametrize(
    ("output", "factor", "field", "expected"),
    [
        ("landmarks", 1.05, "relative NME loss", "at most 0.02"),
        ("log_sigma", 2.0, "log_sigma shift", "at most 0.2"),
        ("presence", -1.0, "presence changes", "at most 0.02"),
        ("presence", np.nan, "presence", None),
    ],
)
def test_a_sabotaged_artefact_is_refused(
    checkpoint: Any,
    clips: CalibrationSet,
    toy: Conversion,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    factor: float,
    field: str,
    expected: str | None,
) -> None:
    broken = _broken(toy.traced(), output, factor)
    monkeypatch.setattr(conversion, "to_onnx", lambda *args: broken)
    path = tmp_path / "toy.onnx"
    path.write_bytes(b"the artefact of yesterday")
    with pytest.raises(ExportError) as caught:
        export_target(Conversion(checkpoint, clips), FP32, path)
    assert (caught.value.field, caught.value.expected) == (field, expected)
    assert path.read_bytes() == b"the artefact of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_that_int8_spoils_is_refused(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path
) -> None:
    path = tmp_path / "toy.onnx"
    ruined = dataclasses.replace(checkpoint, network=_coarse(checkpoint.network))
    with pytest.raises(ExportError) as caught:
        export_target(Conversion(ruined, clips, Int8(qat_steps=0)), INT8, path)
    assert caught.value.field == "relative NME loss"
    assert "--qat-steps 120" in str(caught.value.fix)
    assert not list(tmp_path.iterdir())


def test_limits_are_the_callers(
    toy: Conversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "int8", Int8(qat_steps=0))
    with pytest.raises(ExportError) as caught:
        export_target(toy, INT8, tmp_path / "a.onnx", limits=Limits(max_log_sigma_shift=0))
    assert (caught.value.field, caught.value.expected) == ("log_sigma shift", "at most 0")
    with pytest.raises(ConfigError) as refused:
        Limits(max_nme_loss=2)
    assert (refused.value.field, refused.value.value) == ("max_nme_loss", 2)


def _coarse(network: torch.nn.Module) -> torch.nn.Module:
    """The same function of its input, with one channel that ruins the range of all others."""
    import copy

    damaged = copy.deepcopy(network)
    with torch.no_grad():
        damaged.backbone[1].weight *= 1e-3
        damaged.backbone[1].bias *= 1e-3
        damaged.backbone[1].bias[0] = 6
        damaged.backbone[3].weight *= 1e3
        damaged.backbone[3].weight[:, 0] = 0
    return damaged


def test_full_disk(toy: Conversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(files: dict[Path, bytes]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipeline, "_write", full)
    with pytest.raises(ExportError) as caught:
        export_target(toy, FP32, tmp_path / "toy.onnx")
    assert caught.value.path == tmp_path / "toy.onnx"
    assert caught.value.__cause__.errno == errno.ENOSPC  # type: ignore[union-attr]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="limits files as POSIX does")
def test_a_file_system_that_takes_no_more(toy: Conversion, tmp_path: Path) -> None:
    """Not a mock: the system itself refuses the bytes, in the middle of the model."""
    import resource

    path = tmp_path / "toy.onnx"
    path.write_bytes(b"the artefact of yesterday")
    toy.traced(FP32)  # what loads libraries may write; it is done before the limit holds
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ExportError) as caught:
            export_target(toy, FP32, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.path == path
    assert caught.value.__cause__.errno == errno.EFBIG  # type: ignore[union-attr]
    assert path.read_bytes() == b"the artefact of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_nobody_may_write_to(toy: Conversion, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):  # root may do everything, but not in a folder of the kernel
        folder = Path("/proc/self")
        if not folder.is_dir():
            pytest.skip("no folder that root may not write to")
    with pytest.raises(ExportError) as caught:
        export_target(toy, FP32, folder / "toy.onnx")
    assert caught.value.path == folder / "toy.onnx"


def test_landmarks_count_on_faces_with_events_and_presence_on_all_clips(
    checkpoint: Any, clips: CalibrationSet
) -> None:
    inputs = clips.inputs.copy()
    presence = np.ones(len(clips), bool)
    for_evaluation = np.arange(len(clips)) >= 48
    inputs[50] = 0
    presence[51:60] = False
    marked = dataclasses.replace(
        clips, inputs=inputs, presence=presence, for_evaluation=for_evaluation
    )
    reference = Conversion(checkpoint, marked).reference
    assert len(reference.indices) == 48
    assert np.flatnonzero(~reference.scored).tolist() == list(range(2, 12))

    def elsewhere(batch: np.ndarray) -> dict[str, np.ndarray]:
        """Wrong on clips with few events, and on no other."""
        found = torch_run(checkpoint.network, checkpoint.card)(batch)
        empty = (batch > 0).mean((1, 2, 3)) < 0.01
        return {
            name: array + empty.reshape(-1, *[1] * (array.ndim - 1))
            for name, array in found.items()
        }

    parity = reference.compare(elsewhere)
    assert (parity.clips, parity.faces) == (48, 38)
    assert parity.mean_px == 0
    assert parity.difference["landmarks"] == (0, 0)
    assert parity.difference["presence"][0] == pytest.approx(1)


def test_clips_of_another_shape(checkpoint: Any, clips: CalibrationSet) -> None:
    narrow = dataclasses.replace(clips, inputs=clips.inputs[:, :5])
    with pytest.raises(ConfigError) as caught:
        Conversion(checkpoint, narrow)
    assert caught.value.value == (96, 5, 32, 32)
    assert "(-1, 10, 32, 32)" in str(caught.value.expected)


def test_where_artefacts_go(checkpoint: Any, tmp_path: Path) -> None:
    assert artefact_path(checkpoint.card, INT8, tmp_path) == tmp_path / "toy-int8.onnx"
    assert artefact_path(checkpoint.card, INT8, tmp_path / "a.onnx") == tmp_path / "a.onnx"
    new = tmp_path / "new" / "folder"
    assert artefact_path(checkpoint.card, INT8, new) == new / "toy-int8.onnx"
    with pytest.raises(ConfigError) as caught:
        artefact_path(checkpoint.card, INT8, tmp_path / "a.xml")
    assert caught.value.value == str(tmp_path / "a.xml")


def test_a_new_folder_is_made(toy: Conversion, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "toy.onnx"
    export_target(toy, FP32, path)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("toy_traced_once")
def test_labels_that_do_not_fit_the_network(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path
) -> None:
    mirrored = dataclasses.replace(clips, landmarks=clips.landmarks[:, ::-1].copy())
    with pytest.raises(ExportError) as caught:
        export_target(Conversion(checkpoint, mirrored), FP32, tmp_path / "toy.onnx")
    assert caught.value.field == "nme_fp32"
    assert isinstance(caught.value.value, float)
    assert caught.value.value > MAX_FLOAT_NME
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals as in POSIX")
def test_sigterm_leaves_no_file(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from evface_export.pipeline import working_folder\n"
        "with working_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'draft').write_text('x')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "toy.onnx")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
