"""`evface-edge finalize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_training.command_train import FACES_HELP


def finalize(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="As `train` leaves it; of several, the mean of their weights."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The checkpoint to write.")],
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")],
    licence: Annotated[str, typer.Option(help="The terms that the weights carry, for the card.")],
    faces: Annotated[
        list[Path] | None, typer.Option("--faces", help=FACES_HELP + " Without: avatars.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Recipe that it was trained by.")] = "evface-s",
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
) -> None:
    """Fit the uncertainty on validation faces and complete the card: then it can be exported.

    \b
    Example:
      evface-edge finalize runs/s1/last.pt --faces faces/300w_train -o evface-s.pt \\
        --data "300-W (train)" --licence "non-commercial research"
    """
    from evface_training.finalize import finalize as fit
    from evface_training.recipe import load_recipe
    from evface_training.recipe_faces import faces_of

    settings = load_recipe(recipe)
    _, validation = faces_of(settings, faces or [], cache)
    notes = {"data": data, "licence": licence, "recipe": settings.name}
    gain = fit(checkpoints, settings, validation, output, training_notes=notes)
    typer.echo(f"{output}: σ × {gain:.3f}")
