"""One export: prepare → trace → compare → write, or leave no trace."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

import evface_runtimes
from evface_edge.card import ModelCard
from evface_edge.card_file import check_tensors, embed_card, embed_openvino_card, read_card
from evface_edge.errors import ConfigError, ExportError
from evface_export.calibration import CalibrationSet
from evface_export.graph import expected_warnings, half_backbone, to_onnx, to_openvino
from evface_export.parity import Limits, Parity, compare
from evface_export.targets import Target

SEED = 0


class Checkpoint(Protocol):
    """A trained network with its card.

    `network` maps (N, C, H, W) to the outputs of the card, in their order; its submodule
    `backbone` is what a target may compute in fewer bits.
    """

    @property
    def network(self) -> nn.Module: ...

    @property
    def card(self) -> ModelCard: ...


@dataclass(frozen=True)
class Exported:
    """A written artefact: where it is, its size, and what the gate measured."""

    target: Target
    path: Path
    size_bytes: int
    parity: Parity


def artefact_path(card: ModelCard, target: Target, output: Path | None) -> Path:
    """Where the artefact goes: a file, or a folder that gets `<name>-<precision><suffix>`.

    Raises:
        ConfigError: `output` is neither a folder nor a file name with the target's suffix.
    """
    if output is not None and output.suffix == target.suffix and not output.is_dir():
        return output
    folder = output or Path()
    if not folder.is_dir():
        raise ConfigError(
            "output", str(output), f"an existing folder, or a file name ending in {target.suffix}"
        )
    return folder / f"{card.name}-{target.precision}{target.suffix}"


def export_model(
    checkpoint: Checkpoint,
    target: Target,
    calibration: CalibrationSet,
    path: Path,
    *,
    limits: Limits | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Exported:
    """Write the artefact of one target, if it is as good as its checkpoint.

    Args:
        path: of the artefact; replaced whole at the very end, or not at all.
        report: gets one line for every finished stage.

    Raises:
        ConfigError: the calibration clips do not fit the network.
        ExportError: the gate closed, or the file cannot be written; nothing was.
        RuntimeUnavailable: the runtime that has to measure the artefact is not installed.
    """
    network = checkpoint.network.eval()
    spec = checkpoint.card.inputs[0]
    if calibration.inputs.shape[1:] != tuple(spec.shape[1:]):
        raise ConfigError(
            f"calibration {calibration.name}: inputs",
            calibration.inputs.shape,
            f"{spec.shape}, the input of {checkpoint.card.name}",
        )
    stage = _Stages(target.stages, report).next
    used, judged = calibration.split(SEED)
    example = torch.zeros(2, *spec.shape[1:])

    prepared = network
    if target.precision == "int8":
        with stage() as note, expected_warnings():
            from evface_export.quantize import quantize

            batches = (torch.from_numpy(batch) for batch in calibration.batches(used))
            prepared = quantize(network, example, batches)
            note(f"{len(used)} clips of {calibration.name}")
    elif target.precision == "fp16":
        with stage():
            prepared = half_backbone(network)

    with _working_folder(path) as folder:
        with stage() as note:
            outputs = [output.name for output in checkpoint.card.outputs]
            model = to_onnx(prepared, example, spec.name, outputs)
            note(_kilobytes(len(model)))
        draft = folder / path.name
        files = {draft: model}
        if target.runtime == "openvino":
            with stage() as note:
                xml, weights = to_openvino(model, folder)
                files = {draft: xml, draft.with_suffix(".bin"): weights}
                note(_kilobytes(len(xml) + len(weights)))
        _write(files)

        with stage() as note:
            with evface_runtimes.load(draft, runtime=target.runtime, device="cpu") as runtime:
                check_tensors(
                    checkpoint.card, runtime.inputs, runtime.outputs, origin="the artefact"
                )
                parity = compare(network, runtime, checkpoint.card, calibration, judged)
            parity.check(limits or Limits())
            note(str(parity))

        with stage() as note:
            card = _card(checkpoint.card, target, calibration, len(used), parity)
            if target.runtime == "openvino":
                files[draft] = embed_openvino_card(xml, weights, card)
            else:
                files[draft] = embed_card(model, card)
            _write(files)
            if read_card(draft) != card:
                raise ExportError(f"{path}: the model card did not come back as it was written")
            for file in sorted(files):  # .bin before .xml: an .xml never stands without its .bin
                os.replace(file, path.with_suffix(file.suffix))
            size = sum(len(content) for content in files.values())
            note(f"{path}, {_kilobytes(size)}")
    return Exported(target, path, size, parity)


def _card(
    card: ModelCard, target: Target, calibration: CalibrationSet, used: int, parity: Parity
) -> ModelCard:
    packages = ["torch", "onnx", "onnxscript", target.runtime]
    source = {}
    if target.precision == "int8":
        packages.append("torchao")
        source = {
            "set": calibration.name,
            "count": used,
            "seed": SEED,
            "sha256": calibration.sha256,
        }
    return dataclasses.replace(
        card,
        precision=target.precision,
        target=target.name,
        built_with={name: importlib.metadata.version(name) for name in packages},
        calibration=source,
        metrics={
            **card.metrics,
            "export_clips": float(parity.clips),
            "export_nme_checkpoint_percent": 100 * parity.nme_checkpoint,
            "export_nme_percent": 100 * parity.nme_artefact,
            "export_displacement_mean_px": parity.mean_px,
            "export_displacement_p99_px": parity.p99_px,
        },
    )


class _Stages:
    """Times the stages of a target, one after the other, and reports each as it ends."""

    def __init__(self, names: tuple[str, ...], report: Callable[[str], None]) -> None:
        self._names, self._report, self._done = names, report, 0

    @contextmanager
    def next(self) -> Iterator[Callable[[str], None]]:
        notes: list[str] = []
        start = time.perf_counter()
        yield notes.append
        seconds = time.perf_counter() - start
        name = self._names[self._done]
        self._done += 1
        line = f"[{self._done}/{len(self._names)}] {name}, {seconds:.1f} s"
        self._report(": ".join([line, *notes]))


@contextmanager
def _working_folder(path: Path) -> Iterator[Path]:
    """A folder on the file system of `path`, so that moving into place is one atomic step."""
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written ({error.strerror or error}); nothing was left behind"
        ) from error


def _write(files: dict[Path, bytes]) -> None:
    for file, content in files.items():
        file.write_bytes(content)


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f} kB"
