"""`evface-edge train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_edge.errors import ConfigError
from evface_edge.models import find_float_model

FACES_HELP = (
    "Folder with images/ and labels.npz, or with videos and their labels; repeatable. Without, "
    "the recipe's avatars."
)


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe file, or the name of a bundled recipe.")
    ] = None,
    recipe_option: Annotated[
        str | None, typer.Option("--recipe", help="The recipe, as an option.")
    ] = None,
    faces: Annotated[list[Path] | None, typer.Option("--faces", help=FACES_HELP)] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the run; runs/RECIPE.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="File to cache the faces in.")] = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu or gpu.")] = "auto",
    threads: Annotated[int, typer.Option(help="Threads of the network; 0: all cores.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that simulate on the CPU.")] = 1,
    simulate_on: Annotated[
        str, typer.Option(help="Device of the simulation: auto (as the training), cpu or gpu.")
    ] = "auto",
    encoder: Annotated[
        Path | None, typer.Option(help="SSMER checkpoint that initialises the backbone.")
    ] = None,
    rgb_side: Annotated[
        Path | None, typer.Option(help="RGB teacher whose frozen RGB side a fusing teacher uses.")
    ] = None,
    teacher: Annotated[Path | None, typer.Option(help="Teacher to distil from.")] = None,
    student: Annotated[
        str | None,
        typer.Option(help="Initial student: a checkpoint, an ONNX model or a bundled name."),
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
