"""`evface-edge train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_edge.errors import ConfigError
from evface_edge.models import find_float_model

REQUIRED_FACES_HELP = (
    "Use the faces in this folder: images/ and labels.npz, or videos and their labels. Repeatable."
)
FACES_HELP = f"{REQUIRED_FACES_HELP} Without it, avatars are used."
CACHE_HELP = "Keep the packed faces in this file."


def train(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="Use this recipe file or bundled recipe.")
    ] = None,
    recipe_option: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="Name the recipe as an option.")
    ] = None,
    faces: Annotated[
        list[Path] | None, typer.Option("--faces", metavar="FOLDER", help=FACES_HELP)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Write into this folder (default: runs/RECIPE).",
        ),
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="FILE", help=CACHE_HELP)] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Train on this device: auto, cpu or gpu.")
    ] = "auto",
    threads: Annotated[
        int, typer.Option(metavar="N", help="Use N threads for the network; 0 uses all cores.")
    ] = 0,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Simulate in N processes on the CPU.")
    ] = 1,
    simulate_on: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Simulate on this device: auto (as the training), cpu or gpu.",
        ),
    ] = "auto",
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Start the backbone from this SSMER checkpoint."),
    ] = None,
    rgb_side: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Take the frozen RGB side from this teacher."),
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Distil from this teacher.")
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start from this student: a checkpoint, an ONNX model or a bundled name.",
        ),
    ] = None,
) -> None:
    """Train on faces, simulated as events on the fly. The same command resumes a stopped run.

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
    from evface_training.tasks.init_weights import InitWeights
    from evface_training.trainer.machine import Machine
    from evface_training.trainer.train import train as run

    name = recipe or recipe_option
    if name is None or (recipe and recipe_option):
        raise ConfigError("recipe", name, "one recipe: a file, or the name of a bundled recipe")
    settings = load_recipe(name)
    machine = Machine(device, threads, workers, simulate_on)  # type: ignore[arg-type]
    folder = output or Path("runs") / settings.name
    # Rendered avatars are kept beside the run, for when it is resumed.
    avatars = None if faces else folder / "avatars.npz"
    training, validation = faces_of(settings, faces or [], cache or avatars)
    typer.echo(f"training faces: {len(training):,}, validation faces: {len(validation):,}")
    student_path = None if student is None else find_float_model(student)
    init_weights = InitWeights(encoder, rgb_side, teacher, student_path)
    path = run(settings, training, validation, folder, machine, init_weights)
    typer.echo(str(path))
    if settings.task in ("landmarks", "distill"):
        typer.echo(f"next: evface-edge evaluate {path}, or evface-edge finalize {path}")
