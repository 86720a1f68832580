"""`evface-edge finalize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_training.command_train import CACHE_HELP, FACES_HELP


def finalize(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT",
            help="Checkpoints of `train`; the weights of several are averaged.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Write this checkpoint.")
    ],
    data: Annotated[str, typer.Option(metavar="TEXT", help="Name the training data in the card.")],
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="Name the licence of the weights in the card.")
    ],
    faces: Annotated[
        list[Path] | None, typer.Option("--faces", metavar="FOLDER", help=FACES_HELP)
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE", help="Use this recipe (default: the one in the first checkpoint)."
        ),
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="FILE", help=CACHE_HELP)] = None,
) -> None:
    """Average checkpoints and fit the uncertainty, before export.

    The uncertainty is fitted on validation faces, and the model card is completed.

    \b
    Example:
      evface-edge finalize runs/s1/last.pt --faces faces/300w_train \\
        -o evface-s.pt --data 300-W --licence "non-commercial research"
    """
    from evface_training.finalize import finalize as fit
    from evface_training.finalize import stored_recipe
    from evface_training.recipe import load_recipe
    from evface_training.recipe_faces import faces_of

    settings = load_recipe(recipe) if recipe else stored_recipe(checkpoints[0])
    _, validation = faces_of(settings, faces or [], cache)
    notes = {"data": data, "licence": licence, "recipe": settings.name}
    gain = fit(checkpoints, settings, validation, output, training_notes=notes)
    typer.echo(f"{output}: σ × {gain:.3f}")
