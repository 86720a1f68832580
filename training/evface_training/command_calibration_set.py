"""`evface-edge calibration-set`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_edge.cli.progress import count_progress
from evface_edge.errors import ConfigError
from evface_training.command_train import CACHE_HELP, REQUIRED_FACES_HELP


def calibration_set(
    faces: Annotated[
        list[Path], typer.Option("--faces", metavar="FOLDER", help=REQUIRED_FACES_HELP)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Write this .npz.")
    ],
    count: Annotated[int, typer.Option(metavar="N", help="Make N clips.")] = 3500,
    recipe: Annotated[
        str, typer.Option(metavar="RECIPE", help="Make the clips of this recipe.")
    ] = "evface-s",
    seed: Annotated[int, typer.Option(metavar="N", help="Set the random seed.")] = 7,
    cache: Annotated[Path | None, typer.Option(metavar="FILE", help=CACHE_HELP)] = None,
) -> None:
    """Simulate clips with landmarks to calibrate INT8 models on and to evaluate them on.

    Half of the clips, at most 512, show people from training: they calibrate. The others show
    people from the validation split: they evaluate. About one clip in eight shows no face.

    \b
    Example:
      evface-edge calibration-set --faces faces/300w_train -o clips.npz
      evface-edge export runs/s1/last.pt --target onnx-int8 --calibration clips.npz
    """
    import numpy as np

    from evface_training.calibration_set import draw_clip_set
    from evface_training.data.loading import load_faces
    from evface_training.data.split import split_faces
    from evface_training.recipe import load_recipe

    if output.suffix != ".npz":
        raise ConfigError("--output", str(output), "a file that ends in .npz")
    settings = load_recipe(recipe)
    training, validation = split_faces(load_faces(faces, cache))
    if not len(training) or not len(validation):
        raise ConfigError(
            "--faces",
            [str(f) for f in faces],
            f"faces of training and of validation identities (these: {len(training)} and "
            f"{len(validation)})",
        )
    with count_progress("simulating", count) as advance:
        arrays = draw_clip_set(
            training,
            validation,
            settings.clips,
            settings.student.side,
            count,
            seed,
            advance=advance,
        )
    np.savez_compressed(output, **arrays)  # type: ignore[arg-type]
    held_out = int(arrays["for_evaluation"].sum())
    typer.echo(
        f"{output}: {count - held_out} clips of {len(training):,} faces to calibrate, {held_out} "
        f"of {len(validation):,} faces to evaluate"
    )
