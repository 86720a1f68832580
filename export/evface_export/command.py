"""`evface-edge export`."""

from __future__ import annotations

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

_DEFAULT = "onnx-int8"
_TARGET_HELP = (
    f"One of {', '.join([*(target.name for target in TARGETS), ALL])}; may be repeated. "
    f"By default {_DEFAULT}."
)
Say = Callable[[str], None]


def export(
    model: Annotated[
        str, typer.Argument(help="A checkpoint, a bundled name, or a float32 ONNX model of ours.")
    ],
    target: Annotated[list[str] | None, typer.Option("--target", "-t", help=_TARGET_HELP)] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Clips (.npz) to calibrate INT8 with, and to judge every artefact on; by default, "
            "avatars."
        ),
    ] = None,
    max_nme_loss: Annotated[
        str, typer.Option(help="Largest relative rise of the landmark error, such as 2%.")
    ] = "2%",
    quantizer: Annotated[
        str, typer.Option(help="What makes INT8: pt2e, nncf, or nncf-accuracy.")
    ] = "pt2e",
    qat_steps: Annotated[
        int, typer.Option(help="Of training, where pt2e misses the limit; 0: none.")
    ] = 120,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for what each layer in INT8 costs: a table and a plot."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan only.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File or existing folder to write to.")
    ] = None,
    check_trt: Annotated[
        bool,
        typer.Option(
            "--check-trt",
            help="Have tensorrt-rtx parse and build what is for TensorRT; no GPU. With --target "
            "all, it is done wherever tensorrt-rtx is installed.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Turn a trained model into one for a device; refuse if its landmarks moved.

    \b
    Examples:
      evface-edge export evface-s --target all -o models
      evface-edge calibration-set --faces faces/300w_train -o clips.npz
      evface-edge export runs/s1/last.pt --target onnx-int8 --calibration clips.npz
    """
    targets = find_targets(*(target or [_DEFAULT]))
    loss = parse_fraction("--max-nme-loss", max_nme_loss)
    _require("torch", "torchao", "onnx", "onnxscript")
    from evface_export.conversion import Conversion, Int8
    from evface_export.parity import Limits
    from evface_export.pipeline import artefact_path
    from evface_export.source import load_source

    int8 = Int8(quantizer, qat_steps)  # type: ignore[arg-type]  # it checks the name itself
    limits = Limits(max_nme_loss=loss)
    if report is not None:
        _check_report(report)
    checkpoint = load_source(model)
    paths = {chosen: artefact_path(checkpoint.card, chosen, output) for chosen in targets}
    if len(set(paths.values())) < len(paths):
        raise ConfigError("--output", str(output), "an existing folder, for several targets")
    if dry_run:
        _show_plan(paths, calibration, loss)
        return

    def say(line: str) -> None:
        typer.echo(line, err=as_json)

    clips = _clips(checkpoint, calibration, say)
    conversion = Conversion(checkpoint, clips, int8, max_nme_loss=loss)
    layers = None if report is None else _report(conversion, report, targets, say)
    every = targets == TARGETS
    checked = check_trt or (every and importlib.util.find_spec("tensorrt_rtx") is not None)
    rows = _export_each(conversion, paths, limits, checked, say)
    written = [row for row in rows if row.exported is not None]
    speed = None
    if every and written:
        from evface_export.summary import measure_speed

        say("measuring latency on one core")
        speed = measure_speed(conversion, rows)
    if as_json:
        typer.echo(json.dumps(_as_json(conversion, rows, speed, layers), indent=2))
    else:
        _show(conversion, rows, speed)
    refused = [row.target.name for row in rows if row.exported is None]
    if refused:
        raise ExportError(
            f"{len(refused)} of {len(rows)} targets were refused: {', '.join(refused)}"
        )


def parse_fraction(field: str, text: str) -> float:
    """A fraction such as "2%" or "0.02".

    Raises:
        ConfigError: anything else, such as 2 without the sign.
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
    typer.echo(f"{source}; the NME may rise by {loss:.2%}. Nothing was written.")


def _clips(checkpoint: Checkpoint, calibration: Path | None, say: Say) -> CalibrationSet:
    from evface_export.calibration import CalibrationSet
    from evface_export.synthetic_clips import synthetic_clips

    begun = time.perf_counter()
    if calibration is None:
        say(
            "no --calibration: using clips of avatars "
            "(real faces calibrate better: evface-edge calibration-set)"
        )
        clips = synthetic_clips(checkpoint.card)
    else:
        clips = CalibrationSet.load(calibration)
    seconds = time.perf_counter() - begun
    say(f"{len(clips)} clips of {clips.name}, {seconds:.1f} s, {clips.inputs.nbytes / 1e6:.0f} MB")
    return clips


def _export_each(
    conversion: Conversion, paths: dict[Target, Path], limits: Limits, check_trt: bool, say: Say
) -> list[Row]:
    """A row for each target; of one target alone, what refuses it is raised."""
    from evface_export import pipeline
    from evface_export.summary import Row

    rows: list[Row] = []
    for chosen, path in paths.items():
        say(f"{chosen.name}: {chosen.description}")
        try:
            done = pipeline.export_target(
                conversion,
                chosen,
                path,
                limits=limits,
                report=lambda line: say(f"  {line}"),
                check_with_tensorrt=check_trt,
            )
            note = _engine(done, say) if chosen.for_tensorrt else ""
            rows.append(Row(chosen, done, note=note))
        except (ConfigError, ExportError, RuntimeUnavailable) as error:
            if len(paths) == 1:
                raise
            say(f"  refused: {error}")
            rows.append(Row(chosen, reason=str(error)))
    return rows


def _engine(done: Exported, say: Say) -> str:
    """Build the engine of what is for TensorRT, or say how, where TensorRT or a GPU is absent."""
    from evface_export.command_build_engine import build_here, can_build

    if not can_build():
        return done.note
    return build_here(
        done.path, done.path.with_suffix(".engine"), report=lambda line: say(f"  {line}")
    )


def _check_report(folder: Path) -> None:
    from evface_export.sensitivity import require_matplotlib

    require_matplotlib()
    if not folder.is_dir():
        raise ConfigError("--report", str(folder), "an existing folder")


def _report(
    conversion: Conversion, folder: Path, targets: tuple[Target, ...], say: Say
) -> list[Path]:
    """Write and show what each layer costs; → the files."""
    from evface_export.sensitivity import sensitivity, sensitivity_table, write_sensitivity

    scheme = targets[0].scheme if len(targets) == 1 else "u8"
    say(f"each layer alone in {scheme}")
    layers = sensitivity(conversion, scheme=scheme, advance=lambda name: say(f"  {name}"))
    say(sensitivity_table(layers))
    files = write_sensitivity(layers, folder, conversion.card.name)
    say("written: " + ", ".join(str(path) for path in files))
    return files


def _as_json(
    conversion: Conversion, rows: list[Row], speed: Speed | None, report: list[Path] | None
) -> dict[str, object]:
    from evface_export.summary import agreement, as_dict

    mega_macs = conversion.mega_macs
    found: dict[str, object] = {
        "model": conversion.card.name,
        "million_multiply_adds": mega_macs,
        "calibration": {
            "set": conversion.calibration.name,
            "sha256": conversion.calibration.sha256,
            "calibrating": len(conversion.used),
            "judging": len(conversion.reference.indices),
        },
        "targets": [as_dict(row, speed, mega_macs) for row in rows],
    }
    if speed is not None:
        found |= {
            "core": speed.core,
            "peak_gops": {"fp32": speed.peak.fp32_gops, "int8": speed.peak.int8_gops},
            "agreement_px": agreement(conversion, rows),
        }
    if report is not None:
        found["report"] = [str(path) for path in report]
    return found


def _show(conversion: Conversion, rows: list[Row], speed: Speed | None) -> None:
    from evface_export.summary import agreement, agreement_table, rows_table

    typer.echo()
    typer.echo(rows_table(rows, speed, conversion.mega_macs))
    for row in rows:
        if row.reason or row.note:
            typer.echo(f"{row.target.name}: {row.reason or row.note}")
    if speed is not None:
        typer.echo(f"\n{conversion.mega_macs:.0f} million multiply-adds; {speed}\n")
        typer.echo("mean distance of landmarks between any two:\n")
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
            f"export needs {', '.join(absent)}: pip install 'evface-edge[export]'"
        )
