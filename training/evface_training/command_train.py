"""`evface-edge train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_edge.errors import ConfigError
from evface_edge.models import find_float_model

FACES_HELP = "Folder with images/ and labels.npz, or with clips and their labels; repeatable."


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe file, or the name of a bundled one.")
    ] = None,
    recipe_option: Annotated[
        str | None, typer.Option("--recipe", help="The same, as an option.")
    ] = None,
    faces: Annotated[
        list[Path] | None, typer.Option("--faces", help=FACES_HELP + " Without: avatars.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the run; runs/RECIPE.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    threads: Annotated[int, typer.Option(help="Of the network; 0: all cores.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that simulate on the CPU.")] = 1,
    simulate_on: Annotated[str, typer.Option(help="auto (where it trains), cpu or gpu.")] = "auto",
    encoder: Annotated[
        Path | None, typer.Option(help="Checkpoint of SSMER to begin the backbone from.")
    ] = None,
    rgb_side: Annotated[
        Path | None, typer.Option(help="RGB network whose side a fusing teacher takes, frozen.")
    ] = None,
    teacher: Annotated[Path | None, typer.Option(help="Teacher to distil from.")] = None,
    student: Annotated[
        str | None,
        typer.Option(help="Student to begin from: a checkpoint, an ONNX model or a bundled name."),
    ] = None,
) -> None:
    """Train on faces that become events on the fly; goes on where it was stopped.

    The first Ctrl-C finishes the step, saves and ends; the second stops at once.

    \b
    Examples:
      evface-edge train --recipe synthetic-tiny
      evface-edge train evface-s --faces faces/300w_train --faces faces/ytf -o runs/s1
      evface-edge train evface-s --student evface-s --faces my/faces -o runs/mine
      evface-edge train evface-s-distill --faces faces --teacher runs/teacher-base/last.pt
      torchrun --nproc-per-node 8 --no-python evface-edge train evface-s --faces faces -o runs/s2
    """
    from evface_training.recipe import load_recipe
    from evface_training.recipe_faces import faces_of
    from evface_training.tasks.table import InitWeights
    from evface_training.trainer.machine import Machine
    from evface_training.trainer.train import train as run

    name = recipe or recipe_option
    if name is None or (recipe and recipe_option):
        raise ConfigError("recipe", name, "one recipe: a file, or the name of a bundled one")
    settings = load_recipe(name)
    machine = Machine(device, threads, workers, simulate_on)  # type: ignore[arg-type]
    folder = output or Path("runs") / settings.name
    training, validation = faces_of(settings, faces or [], cache or _own_cache(folder, faces))
    typer.echo(f"{len(training):,} faces to train on, {len(validation):,} to validate on")
    begin = None if student is None else find_float_model(student)
    init_weights = InitWeights(encoder, rgb_side, teacher, begin)
    path = run(settings, training, validation, folder, machine, init_weights)
    typer.echo(str(path))
    if settings.task in ("landmarks", "distill"):
        typer.echo(f"next: evface-edge evaluate {path}, or evface-edge finalize {path}")


def _own_cache(folder: Path, faces: list[Path] | None) -> Path | None:
    """Avatars are kept beside the run, which may be stopped and gone on with."""
    return None if faces else folder / "avatars.npz"
