"""Artefacts against the network they came from, and the gate that holds bad ones back."""

from __future__ import annotations

import dataclasses
import errno
import os
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
from evface_export.parity import Limits, torch_run
from evface_export.pipeline import artefact_path, export_model, export_target
from evface_export.targets import TARGETS, find_targets

INT8 = find_targets("onnx-int8")[0]
FP32 = find_targets("onnx-fp32")[0]


@pytest.fixture(scope="module")
def clips(clips_path: Path) -> CalibrationSet:
    return CalibrationSet.load(clips_path)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_artefact_agrees_with_torch(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path, target: Any
) -> None:
    pytest.importorskip(target.runtime)
    path = tmp_path / f"toy{target.suffix}"
    lines: list[str] = []
    done = export_model(checkpoint, target, clips, path, report=lines.append)

    assert [line.split("] ")[1].split(", ")[0] for line in lines] == list(target.stages)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == sorted(
        {".onnx": [".onnx"], ".xml": [".bin", ".xml"]}[target.suffix]
    )
    assert done.size_bytes == sum(p.stat().st_size for p in tmp_path.iterdir())

    card = read_card(path)
    assert (card.precision, card.target, card.name) == (target.precision, target.name, "toy")
    assert bool(card.calibration) == (target.precision == "int8")
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
def int8_path(
    checkpoint: Any, clips: CalibrationSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return export_model(checkpoint, INT8, clips, tmp_path_factory.mktemp("int8") / "a.onnx").path


def test_int8_is_int8_where_it_should_be(int8_path: Path) -> None:
    model = onnx.load(int8_path)
    made_by = {name: node for node in model.graph.node for name in node.output}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 5
    for node in convolutions:
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


@pytest.fixture(scope="module")
def sound(checkpoint: Any) -> bytes:
    names = [spec.name for spec in checkpoint.card.outputs]
    return conversion.to_onnx(checkpoint.network, torch.zeros(2, 10, 32, 32), "events", names)


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
    ("output", "factor", "message"),
    [
        ("landmarks", 1.05, r"relative NME loss beyond 0\.02.*NME .* → .*landmarks moved"),
        ("log_sigma", 2.0, r"log_sigma shift beyond 0\.2"),
        ("presence", -1.0, r"presence changes beyond 0\.02"),
        ("presence", np.nan, "NaN or infinity as 'presence'"),
    ],
)
def test_gate_closes_on_a_sabotaged_artefact(
    checkpoint: Any,
    clips: CalibrationSet,
    sound: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    factor: float,
    message: str,
) -> None:
    monkeypatch.setattr(conversion, "to_onnx", lambda *args: _broken(sound, output, factor))
    path = tmp_path / "toy.onnx"
    path.write_bytes(b"the artefact of yesterday")
    with pytest.raises(ExportError, match=message):
        export_model(checkpoint, FP32, clips, path)
    assert path.read_bytes() == b"the artefact of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_gate_closes_on_a_network_that_8_bits_ruin(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path
) -> None:
    path = tmp_path / "toy.onnx"
    ruined = dataclasses.replace(checkpoint, network=_coarse(checkpoint.network))
    with pytest.raises(ExportError, match=r"relative NME loss beyond 0\.02"):
        export_target(Conversion(ruined, clips, Int8(qat_steps=0)), INT8, path)
    assert not list(tmp_path.iterdir())
    export_model(ruined, FP32, clips, path)  # and in float it is sound


def test_limits_are_the_callers(checkpoint: Any, clips: CalibrationSet, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"log_sigma shift beyond 0[,)]"):
        export_target(
            Conversion(checkpoint, clips, Int8(qat_steps=0)),
            INT8,
            tmp_path / "toy.onnx",
            limits=Limits(max_log_sigma_shift=0),
        )
    with pytest.raises(ConfigError, match="max_nme_loss = 2: expected"):
        Limits(max_nme_loss=2)


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


def test_full_disk(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: dict[Path, bytes]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipeline, "_write", full)
    with pytest.raises(ExportError, match=r"cannot be written \(No space left on device"):
        export_model(checkpoint, FP32, clips, tmp_path / "toy.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="limits files as POSIX does")
def test_a_file_system_that_takes_no_more(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path
) -> None:
    """Not a mock: the system itself refuses the bytes, in the middle of the model."""
    import resource

    path = tmp_path / "toy.onnx"
    path.write_bytes(b"the artefact of yesterday")
    # What loads libraries and compiles may write; it is done before the limit holds.
    conversion = Conversion(checkpoint, clips)
    conversion.traced(FP32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ExportError, match=r"toy\.onnx: cannot be written \(File too large\)"):
            export_target(conversion, FP32, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"the artefact of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_nobody_may_write_to(
    checkpoint: Any, clips: CalibrationSet, tmp_path: Path
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):  # root may do everything, but not in a folder of the kernel
        folder = Path("/proc/self")
        if not folder.is_dir():
            pytest.skip("no folder that root may not write to")
    with pytest.raises(ExportError, match=r"toy\.onnx: cannot be written"):
        export_model(checkpoint, FP32, clips, folder / "toy.onnx")


def test_presence_and_empty_clips_have_their_own_rules(
    checkpoint: Any, clips: CalibrationSet
) -> None:
    """Landmarks count where there is a face and something to see, presence everywhere."""
    inputs = clips.inputs.copy()
    presence = np.ones(len(clips), bool)
    judging = np.arange(len(clips)) >= 48
    inputs[50] = 0
    presence[51:60] = False
    marked = dataclasses.replace(clips, inputs=inputs, presence=presence, judging=judging)
    reference = Conversion(checkpoint, marked).reference
    assert len(reference.indices) == 48
    assert np.flatnonzero(~reference.scored).tolist() == list(range(2, 12))

    def elsewhere(batch: np.ndarray) -> dict[str, np.ndarray]:
        """Wrong about every clip with fewer events than half of them have, and no other."""
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


def test_clips_of_another_shape(checkpoint: Any, clips: CalibrationSet, tmp_path: Path) -> None:
    narrow = dataclasses.replace(clips, inputs=clips.inputs[:, :5])
    with pytest.raises(ConfigError, match=r"\(96, 5, 32, 32\).*\(-1, 10, 32, 32\).*toy"):
        export_model(checkpoint, FP32, narrow, tmp_path / "toy.onnx")


def test_where_artefacts_go(checkpoint: Any, tmp_path: Path) -> None:
    assert artefact_path(checkpoint.card, INT8, tmp_path) == tmp_path / "toy-int8.onnx"
    assert artefact_path(checkpoint.card, INT8, tmp_path / "a.onnx") == tmp_path / "a.onnx"
    for wrong in (tmp_path / "absent", tmp_path / "a.xml"):
        with pytest.raises(ConfigError, match=r"existing folder, or a file name ending in \.onnx"):
            artefact_path(checkpoint.card, INT8, wrong)
