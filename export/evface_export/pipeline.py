"""One export: prepare, trace, compare, write; a failed export leaves no file."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import evface_runtimes
from evface_edge.card import ModelCard
from evface_edge.card_file import check_tensors, embed_card, embed_openvino_card, read_card
from evface_edge.errors import ConfigError, ExportError
from evface_export.check_trt import TrtCheck, check_trt
from evface_export.conversion import SEED, Conversion
from evface_export.graph import to_openvino
from evface_export.parity import Limits, Parity, describe, runtime_run
from evface_export.saturation import check_saturation
from evface_export.stages import Report, Stages, kilobytes
from evface_export.targets import Target
from evface_runtimes.table import require

#: Runtime → the name of its package, where it is another one.
_DISTRIBUTIONS = {"litert": "ai-edge-litert"}


@dataclass(frozen=True)
class Exported:
    """A written artefact.

    Attributes:
        trained: INT8 with a short training, because calibration alone was beyond a limit.
        check: the result of TensorRT-RTX, if it was checked.
    """

    target: Target
    path: Path
    size_bytes: int
    parity: Parity
    trained: bool = False
    check: TrtCheck | None = None

    @property
    def note(self) -> str:
        """The next step of an artefact for TensorRT; empty for others."""
        if not self.target.for_tensorrt:
            return ""
        checked = "parsed and built by TensorRT-RTX" if self.check else "not checked by TensorRT"
        return (
            f"for TensorRT, {checked}; no engine was built: on the device, run "
            f"evface-edge build-engine {self.path.name}"
        )


def artefact_path(card: ModelCard, target: Target, output: Path | None) -> Path:
    """A file, or `<name>-<label><suffix>` in a folder, which may not exist yet.

    Raises:
        ConfigError: `output` has the suffix of another kind of file.
    """
    if output is None or output.is_dir() or not output.suffix:
        return (output or Path()) / f"{card.name}-{target.label}{target.suffix}"
    if output.suffix != target.suffix:
        raise ConfigError(
            "--output", str(output), f"a folder, or a file name ending in {target.suffix}"
        )
    return output


def export_target(
    conversion: Conversion,
    target: Target,
    path: Path,
    *,
    limits: Limits | None = None,
    report: Report = lambda line: None,
    check_with_tensorrt: bool = False,
) -> Exported:
    """Write the artefact of one target, if it is as good as its checkpoint.

    INT8 beyond a limit is trained for some steps, if `conversion` allows it, and compared again.
    With `train_first` it is trained without that first comparison.

    Args:
        path: of the artefact; its folder is made. It is replaced as a whole, or not at all.
        report: gets one line for every finished stage.
        check_with_tensorrt: let TensorRT-RTX parse and build an artefact for TensorRT.

    Raises:
        ConfigError: a quantiser that the target cannot use.
        ExportError: the artefact differs too much, TensorRT does not accept it, or the file
            cannot be written.
        RuntimeUnavailable: the runtime of the target is not installed.
    """
    require(target.runtime)
    conversion.reference.check()
    check = check_with_tensorrt and target.for_tensorrt
    limits = limits or Limits()
    trains = target.precision == "int8" and conversion.int8.may_train
    with working_folder(path) as folder:
        missed = "as --train-first asks"
        if not (trains and conversion.int8.train_first):
            try:
                return _attempt(
                    conversion, target, path, folder, limits, report, last=not trains, check=check
                )
            except _BeyondLimits as error:
                missed = str(error)
        report(f"{missed}: {conversion.int8.qat_steps} steps of training with INT8 rounding")
        return _attempt(conversion, target, path, folder, limits, report, trained=True, check=check)


class _BeyondLimits(Exception):
    """The artefact differs too much, and training may help."""


def _attempt(
    conversion: Conversion,
    target: Target,
    path: Path,
    folder: Path,
    limits: Limits,
    report: Report,
    *,
    trained: bool = False,
    last: bool = True,
    check: bool = False,
) -> Exported:
    names = target.stages
    if check:
        names = (*names[:-1], "parse and build with TensorRT-RTX", names[-1])
    if trained:
        names = ("quantise and train", *names[1:])
    stage = Stages(names, report).next
    model = b""
    if target.precision == "int8":
        with stage() as note:
            if conversion.int8.quantizer == "pt2e":
                conversion.prepared(target, trained=trained)
            else:
                _refuse_tensorrt(conversion, target)
                model = conversion.nncf()
            note(
                f"{len(conversion.used)} clips of {conversion.calibration.name}, "
                f"{conversion.int8.quantizer}"
            )
    elif target.precision == "fp16":
        with stage():
            conversion.prepared(target)

    with stage() as note:
        model = model or conversion.traced(target, trained=trained)
        note(kilobytes(len(model)))
    draft = folder / path.name
    files = {draft: model}
    if target.runtime == "openvino":
        with stage() as note:
            xml, weights = to_openvino(model, folder)
            files = {draft: xml, draft.with_suffix(".bin"): weights}
            note(kilobytes(len(xml) + len(weights)))
    elif target.runtime == "litert":
        from evface_export.to_litert import to_litert

        with stage() as note:
            files = {draft: to_litert(model)}
            note(kilobytes(len(files[draft])))
    elif target.for_tensorrt and target.precision == "int8":
        from evface_export.half import halve_floats

        with stage() as note:
            model = halve_floats(model)
            files = {draft: model}
            note(kilobytes(len(model)))
    _write(files)

    with stage() as note:
        check_saturation(model)
        parity = _measured(conversion, target, draft)
        note(str(parity))
    exceeded = parity.exceeded(limits)
    if exceeded and not last:
        raise _BeyondLimits(describe(exceeded))
    parity.check(limits, fix=_fix(conversion, target))

    checked = None
    if check:
        with stage() as note:
            checked = check_trt(draft)
            note(str(checked))

    with stage() as note:
        card = _card(conversion, target, parity, trained=trained)
        if target.runtime == "openvino":
            files[draft] = embed_openvino_card(xml, weights, card)
        elif target.runtime == "litert":
            from evface_export.tflite_file import embed_litert_card

            files[draft] = embed_litert_card(files[draft], card)
        else:
            files[draft] = embed_card(model, card)
        _write(files)
        if read_card(draft) != card:
            raise ExportError("the model card in the artefact is damaged", path=path)
        for file in sorted(files):  # .bin before .xml, which needs it
            os.replace(file, path.with_suffix(file.suffix))
        size = sum(len(content) for content in files.values())
        note(f"{path}, {kilobytes(size)}")
    return Exported(target, path, size, parity, trained, checked)


def _measured(conversion: Conversion, target: Target, draft: Path) -> Parity:
    card = conversion.card
    with evface_runtimes.load(draft, runtime=target.runtime, device="cpu") as runtime:
        check_tensors(card, runtime.inputs, runtime.outputs, origin="the artefact")
        return conversion.reference.compare(runtime_run(runtime, card))


def _refuse_tensorrt(conversion: Conversion, target: Target) -> None:
    if target.for_tensorrt:
        raise ConfigError(
            "--quantizer",
            conversion.int8.quantizer,
            f"pt2e for {target.name}, since TensorRT needs symmetric s8",
        )


def _fix(conversion: Conversion, target: Target) -> str:
    """What to try after an artefact that differs too much."""
    if target.precision != "int8":
        return "use onnx-fp32, and report this: float targets should agree with the checkpoint"
    fixes = ["more calibration clips, closer to the use"]
    if conversion.int8.quantizer == "pt2e":
        steps = max(2 * conversion.int8.qat_steps, 120)
        fixes += [f"--qat-steps {steps}", "--quantizer nncf-accuracy"]
    fixes += ["--report FOLDER, which shows the layer", f"{target.name.split('-')[0]}-fp16"]
    return f"try {', '.join(fixes)}"


def _card(conversion: Conversion, target: Target, parity: Parity, *, trained: bool) -> ModelCard:
    card, calibration, int8 = conversion.card, conversion.calibration, conversion.int8
    packages = ["torch", "onnx", "onnxscript", _DISTRIBUTIONS.get(target.runtime, target.runtime)]
    source: dict[str, str | int] = {}
    if target.precision == "int8":
        packages.append("torchao" if int8.quantizer == "pt2e" else "nncf")
        source = {
            "set": calibration.name,
            "count": len(conversion.used),
            "seed": SEED,
            "sha256": calibration.sha256,
            "quantizer": int8.quantizer,
            "qat_steps": int8.qat_steps if trained else 0,
        }
    return dataclasses.replace(
        card,
        precision=target.precision,
        target=target.name,
        built_with={name: importlib.metadata.version(name) for name in packages},
        calibration=source,
        metrics={
            **card.metrics,
            "million_multiply_adds": round(conversion.mega_macs, 1),
            **parity.metrics,
        },
    )


@contextmanager
def working_folder(path: Path) -> Iterator[Path]:
    """A folder on the file system of `path`, so that moving into place is one atomic step.

    It is removed at the end, on SIGTERM as well.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            _exit_on_sigterm(),
            tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder,
        ):
            yield Path(folder)
    except OSError as error:
        raise ExportError(
            f"cannot be written ({error.strerror or error}); no file was left", path=path
        ) from error


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """SIGTERM raises SystemExit, so that `finally` blocks run; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def exit_program(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, exit_program)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write(files: dict[Path, bytes]) -> None:
    for file, content in files.items():
        file.write_bytes(content)
