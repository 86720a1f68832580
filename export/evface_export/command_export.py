"""`evface-edge export`."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evface_edge.errors import ConfigError, ExportError, RuntimeUnavailable
from evface_export.targets import ALL, TARGETS, Target, find_targets

if TYPE_CHECKING:
    from evface_export.calibration import CalibrationSet
    from evface_export.conversion import Checkpoint, Conversion
    from evface_export.parity import Limits
    from evface_export.pipeline import Exported
    from evface_export.summary import Row, Speed
    from evface_training.data.faces import FaceSet

_DEFAULT = "onnx-int8"
_TARGET_HELP = (
    f"Export for this target: {', '.join([*(target.name for target in TARGETS), ALL])} "
    f"(default: {_DEFAULT}). Repeatable."
)
Print = Callable[[str], None]


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A checkpoint, a bundled model, or an exported onnx-fp32 model."
        ),
    ],
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", metavar="NAME", help=_TARGET_HELP)
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Calibrate INT8 and evaluate on the clips in this .npz (default: avatars).",
        ),
    ] = None,
    max_nme_loss: Annotated[
        str, typer.Option(metavar="N", help="Accept this relative increase of the NME, such as 2%.")
    ] = "2%",
    quantizer: Annotated[
        str,
        typer.Option(metavar="NAME", help="Use this INT8 quantiser: pt2e, nncf or nncf-accuracy."),
    ] = "pt2e",
    qat_steps: Annotated[
        int,
        typer.Option(
            metavar="N", help="Train for N steps if pt2e misses a limit; 0 turns training off."
        ),
    ] = 120,
    train_first: Annotated[
        bool,
        typer.Option(
            "--train-first", help="Train INT8 in any case, to be nearer to the float model."
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a table and a plot of the INT8 loss of each layer into this folder.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write this file, or into this folder (default: the current one).",
        ),
    ] = None,
    check_trt: Annotated[
        bool,
        typer.Option(
            "--check-trt",
            help="Parse and build TensorRT targets with tensorrt-rtx, which needs no GPU. Always "
            "on for --target all, if tensorrt-rtx is installed.",
        ),
    ] = False,
    faces: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Simulate the scenes for a face detector with the faces in this folder. "
            "Repeatable. Without it, avatars are used.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Export a model for a device. Write nothing if its landmarks differ too much.

    The checkpoint of a face detector is exported as onnx-int8, and compared on simulated scenes.

    \b
    Examples:
      evface-edge export evface-s --target all -o models
      evface-edge calibration-set --faces faces/300w_train -o clips.npz
      evface-edge export runs/s1/last.pt --target onnx-int8 --calibration clips.npz
      evface-edge export runs/detector/last.pt --faces faces/300w_train
    """
    targets = find_targets(*(target or [_DEFAULT]))
    loss = parse_fraction("--max-nme-loss", max_nme_loss)
    _require("torch", "torchao", "onnx", "onnxscript")
    from evface_export.conversion import Conversion, Int8
    from evface_export.detector import export_detector, is_detector
    from evface_export.parity import Limits
    from evface_export.pipeline import artefact_path
    from evface_export.source import load_source

    int8 = Int8(quantizer, qat_steps, train_first)  # type: ignore[arg-type]  # Int8 checks the name
    limits = Limits(max_nme_loss=loss)
    if is_detector(model):
        if [chosen.name for chosen in targets] != ["onnx-int8"]:
            raise ConfigError("--target", ", ".join(target or []), "onnx-int8 for a face detector")
        done = export_detector(Path(model), _detector_faces(faces), output)
        results = dataclasses.asdict(done) | {"path": str(done.path)}
        typer.echo(json.dumps(results) if as_json else str(done))
        return
    if report is not None:
        _check_report(report)
    checkpoint = load_source(model)
    paths = {chosen: artefact_path(checkpoint.card, chosen, output) for chosen in targets}
    if len(set(paths.values())) < len(paths):
        raise ConfigError("--output", str(output), "a folder, for several targets")
    if dry_run:
        _show_plan(paths, calibration, loss)
        return

    def show(line: str) -> None:
        typer.echo(line, err=as_json)

    clips = _clips(checkpoint, calibration, show)
    conversion = Conversion(checkpoint, clips, int8, max_nme_loss=loss)
    layers = None if report is None else _report(conversion, report, targets, show)
    every = targets == TARGETS
    checked = check_trt or (every and importlib.util.find_spec("tensorrt_rtx") is not None)
    rows = _export_each(conversion, paths, limits, checked, show)
    speed = None
    if every and any(row.exported is not None for row in rows):
        from evface_export.summary import measure_speed

        show("measuring latency on one core")
        speed = measure_speed(conversion, rows)
    if as_json:
        typer.echo(json.dumps(_as_json(conversion, rows, speed, layers), indent=2))
    else:
        _show_results(conversion, rows, speed)
    refused = [row.target.name for row in rows if row.exported is None]
    if refused:
        raise ExportError(
            f"{len(refused)} of {len(rows)} targets were refused: {', '.join(refused)}",
            field="--target",
            value=refused,
        )


def _detector_faces(folders: list[Path] | None) -> FaceSet:
    """The faces of people that training may see; avatars if no folder is given."""
    from evface_training.data.avatars import load_avatars
    from evface_training.data.loading import load_faces
    from evface_training.data.split import split_faces

    if not folders:
        return load_avatars()
    training, _ = split_faces(load_faces(folders))
    return training


def parse_fraction(field: str, text: str) -> float:
    """A fraction such as "2%" or "0.02".

    Raises:
        ConfigError: anything else, such as 2 without the percent sign.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if rest or not 0 <= value < 1:
        raise ConfigError(field, text, "a fraction such as 2% or 0.02")
    return value


def _show_plan(paths: dict[Target, Path], calibration: Path | None, loss: float) -> None:
    from evface_export.calibration import CalibrationSet
    from evface_export.synthetic_clips import COUNT, NAME

    for chosen, path in paths.items():
        typer.echo(f"{chosen.name}: {chosen.description} → {path}")
        for number, stage in enumerate(chosen.stages, 1):
            typer.echo(f"  {number}. {stage}")
    if calibration is None:
        source = f"{COUNT} clips of {NAME}"
    else:
        source = f"{len(CalibrationSet.load(calibration))} clips of {calibration}"
    typer.echo(f"{source}; the NME may increase by {loss:.2%}. Nothing was written.")


def _clips(checkpoint: Checkpoint, calibration: Path | None, show: Print) -> CalibrationSet:
    from evface_export.calibration import CalibrationSet
    from evface_export.synthetic_clips import synthetic_clips

    start = time.perf_counter()
    if calibration is None:
        show("using clips of avatars (calibrate with real faces: evface-edge calibration-set)")
        clips = synthetic_clips(checkpoint.card)
    else:
        clips = CalibrationSet.load(calibration)
    seconds = time.perf_counter() - start
    show(f"{len(clips)} clips of {clips.name}, {seconds:.1f} s, {clips.inputs.nbytes / 1e6:.0f} MB")
    return clips


def _export_each(
    conversion: Conversion, paths: dict[Target, Path], limits: Limits, check_trt: bool, show: Print
) -> list[Row]:
    """A row for each target. With a single target, the error of a refusal is raised."""
    from evface_export import pipeline
    from evface_export.summary import Row

    rows: list[Row] = []
    for chosen, path in paths.items():
        show(f"{chosen.name}: {chosen.description}")
        try:
            done = pipeline.export_target(
                conversion,
                chosen,
                path,
                limits=limits,
                report=lambda line: show(f"  {line}"),
                check_with_tensorrt=check_trt,
            )
            note = _engine(done, show) if chosen.for_tensorrt else ""
            rows.append(Row(chosen, done, note=note))
        except (ConfigError, ExportError, RuntimeUnavailable) as error:
            if len(paths) == 1:
                raise
            show(f"  refused: {error}")
            rows.append(Row(chosen, reason=str(error)))
    return rows


def _engine(done: Exported, show: Print) -> str:
    """Build the engine, or name the command, if TensorRT or a GPU is missing."""
    from evface_export.command_build_engine import build_here, can_build

    if not can_build():
        return done.note
    return build_here(
        done.path, done.path.with_suffix(".engine"), report=lambda line: show(f"  {line}")
    )


def _check_report(folder: Path) -> None:
    from evface_export.sensitivity import require_matplotlib

    require_matplotlib()
    if not folder.is_dir():
        raise ConfigError("--report", str(folder), "an existing folder")


def _report(
    conversion: Conversion, folder: Path, targets: tuple[Target, ...], show: Print
) -> list[Path]:
    """Write and print the loss of each layer, and return the files."""
    from evface_export.sensitivity import sensitivity, sensitivity_table, write_sensitivity

    scheme = targets[0].scheme if len(targets) == 1 else "u8"
    show(f"one layer at a time in {scheme}")
    layers = sensitivity(conversion, scheme=scheme, advance=lambda name: show(f"  {name}"))
    show(sensitivity_table(layers))
    files = write_sensitivity(layers, folder, conversion.card.name)
    show("written: " + ", ".join(str(path) for path in files))
    return files


def _as_json(
    conversion: Conversion, rows: list[Row], speed: Speed | None, report: list[Path] | None
) -> dict[str, object]:
    from evface_export.summary import agreement, as_dict

    mega_macs = conversion.mega_macs
    result: dict[str, object] = {
        "model": conversion.card.name,
        "million_multiply_adds": mega_macs,
        "calibration": {
            "set": conversion.calibration.name,
            "sha256": conversion.calibration.sha256,
            "calibrating": len(conversion.used),
            "for_evaluation": len(conversion.reference.indices),
        },
        "targets": [as_dict(row, speed, mega_macs) for row in rows],
    }
    if speed is not None:
        result |= {
            "core": speed.core,
            "peak_gops": {"fp32": speed.peak.fp32_gops, "int8": speed.peak.int8_gops},
            "agreement_px": agreement(conversion, rows),
        }
    if report is not None:
        result["report"] = [str(path) for path in report]
    return result


def _show_results(conversion: Conversion, rows: list[Row], speed: Speed | None) -> None:
    from evface_export.summary import agreement, agreement_table, rows_table

    typer.echo()
    typer.echo(rows_table(rows, speed, conversion.mega_macs))
    for row in rows:
        if row.reason or row.note:
            typer.echo(f"{row.target.name}: {row.reason or row.note}")
    if speed is not None:
        typer.echo(f"\n{conversion.mega_macs:.0f} million multiply-adds; {speed}\n")
        typer.echo("mean distance of landmarks between two artefacts:\n")
        typer.echo(agreement_table(agreement(conversion, rows)))
    for row in rows:
        if row.exported is not None:
            typer.echo(f"\nNext: evface-edge info {row.exported.path}")
            typer.echo(f"      evface-edge predict RECORDING -m {row.exported.path}")
            return


def _require(*packages: str) -> None:
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    if absent:
        raise RuntimeUnavailable(
            f"export needs {', '.join(absent)}", fix="pip install 'evface-edge[export]'"
        )
