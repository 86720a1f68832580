"""`evface-edge export`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evface_edge.errors import ConfigError, EvfaceError, ExportError, RuntimeUnavailable
from evface_export.targets import ALL, TARGETS, Target, find_targets

if TYPE_CHECKING:
    from evface_export.pipeline import Exported

_TARGET_HELP = "One of " + ", ".join([*(target.name for target in TARGETS), ALL]) + "."


def export(
    model: Annotated[Path, typer.Argument(help="The checkpoint to export.")],
    target: Annotated[str, typer.Option("--target", "-t", help=_TARGET_HELP)] = "onnx-int8",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Clips (.npz) to calibrate INT8 with, and to judge every artefact on."),
    ] = None,
    max_nme_loss: Annotated[
        str, typer.Option(help="Largest relative rise of the landmark error, such as 2%.")
    ] = "2%",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan only.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File or existing folder to write to.")
    ] = None,
) -> None:
    """Turn a checkpoint into a model for a device; refuse if its landmarks moved.

    \b
    Example:
      evface-edge clips --faces faces/300w_train -o clips.npz
      evface-edge export runs/s1/last.pt --target onnx-int8 --calibration clips.npz
    """
    targets = find_targets(target)
    loss = parse_share("--max-nme-loss", max_nme_loss)
    if calibration is None:
        raise ConfigError(
            "--calibration",
            None,
            "an .npz of clips with landmarks: every artefact is measured before it is written "
            "(`evface-edge clips` makes them)",
        )
    _require("torch", "torchao", "onnx", "onnxscript")
    from evface_export.calibration import CalibrationSet
    from evface_export.parity import Limits
    from evface_export.pipeline import artefact_path, export_model
    from evface_training.checkpoint import load_checkpoint

    limits = Limits(max_nme_loss=loss)
    clips = CalibrationSet.load(calibration)
    checkpoint = load_checkpoint(model)
    paths = {chosen: artefact_path(checkpoint.card, chosen, output) for chosen in targets}
    if dry_run:
        for chosen, path in paths.items():
            typer.echo(f"{chosen.name}: {chosen.description} → {path}")
            for number, stage in enumerate(chosen.stages, 1):
                typer.echo(f"  {number}. {stage}")
        typer.echo(f"{len(clips)} clips; the NME may rise by {loss:.2%}. Nothing was written.")
        return

    written: list[Exported] = []
    refused: dict[Target, EvfaceError] = {}
    for chosen, path in paths.items():
        typer.echo(f"{chosen.name}: {chosen.description}")
        try:
            written.append(
                export_model(checkpoint, chosen, clips, path, limits=limits, report=_indented)
            )
        except (ExportError, RuntimeUnavailable) as error:
            if len(targets) == 1:
                raise
            typer.echo(f"  refused: {error}")
            refused[chosen] = error
    _summary(written)
    if refused:
        names = ", ".join(chosen.name for chosen in refused)
        raise ExportError(f"{len(refused)} of {len(targets)} targets were refused: {names}")


def parse_share(field: str, text: str) -> float:
    """A share such as "2%" or "0.02".

    Raises:
        ConfigError: anything else, such as 2 without the sign.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if rest or not 0 <= value < 1:
        raise ConfigError(field, text, "a share such as 2% or 0.02")
    return value


def _indented(line: str) -> None:
    typer.echo(f"  {line}")


def _summary(written: list[Exported]) -> None:
    for done in written:
        parity = done.parity
        largest, _ = parity.difference["landmarks"]
        typer.echo(
            f"{done.target.name:14} {done.size_bytes / 1e6:6.2f} MB  largest difference "
            f"{largest:.2g}  {parity.mean_px:.3f} px  NME {parity.nme_checkpoint:.3%} → "
            f"{parity.nme_artefact:.3%}  {done.path}"
        )
    if written:
        path = written[0].path
        typer.echo(f"Next: evface-edge info {path}")
        typer.echo(f"      evface-edge predict RECORDING -m {path}")


def _require(*packages: str) -> None:
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    if absent:
        raise RuntimeUnavailable(
            f"export needs {', '.join(absent)}: pip install 'evface-edge[export]'"
        )
