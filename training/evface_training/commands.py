"""The commands that training offers to `evface-edge`: simulate, train, evaluate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evface_edge.card_file import embed_card, read_card
from evface_edge.errors import ConfigError
from evface_edge.models import find_model

if TYPE_CHECKING:
    from evface_training.data.faces import FaceSet

_FACES_HELP = "Folder with images/ and labels.npz, or with clips and their labels; repeatable."


def simulate(
    source: Annotated[str, typer.Argument(help="A video, or synthetic:head?seed=1&speed=normal.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The recording to write.")],
    camera: Annotated[str, typer.Option(help="The event camera, by name.")] = "davis346",
    seed: Annotated[int, typer.Option(help="Of everything drawn at random.")] = 0,
    max_seconds: Annotated[float, typer.Option(help="Stop after so much of the source.")] = 60.0,
) -> None:
    """Turn pictures that move into a recording of events, with the landmarks beside it.

    \b
    Examples:
      evface-edge simulate face.mp4 -o rec.npz
      evface-edge simulate 'synthetic:head?seed=3&speed=fast&seconds=2' -o rec.raw --camera evk4
    """
    import numpy as np
    import torch
    from rich.progress import Progress

    from evface_edge.events import EventWriter
    from evface_training.simulation.recording import PRESETS, Frame, one_camera, record
    from evface_training.simulation.sources import open_light

    if camera not in PRESETS:
        raise ConfigError("--camera", camera, f"one of {', '.join(PRESETS)}")
    if not max_seconds > 0:
        raise ConfigError("--max-seconds", max_seconds, "a time above 0")
    light = open_light(source)
    labels: list[tuple[int, Any]] = []
    generator = torch.Generator().manual_seed(seed)
    end_us = min(light.duration_us or round(max_seconds * 1e6), round(max_seconds * 1e6))
    first_us = last_us = 0
    with EventWriter(output, light.size) as writer, Progress() as progress:
        task = progress.add_task("simulating", total=end_us)

        def frames() -> Iterator[Frame]:
            for labelled in light:
                t_us = labelled.frame.t_us
                if t_us > end_us:
                    return
                if labelled.points is not None:
                    labels.append((t_us, labelled.points))
                progress.update(task, completed=t_us)
                yield labelled.frame

        drawn = one_camera(PRESETS[camera], generator)
        for events in record(frames(), drawn, light.size, generator):
            first_us = first_us if writer.events else int(events["t"][0])
            last_us = int(events["t"][-1])
            writer.write(events)
        count = writer.events
        if not count:
            raise ConfigError("source", source, "pictures that move: not one event came of it")
    beside = output.with_name(output.stem + ".landmarks.npz")
    if labels:
        np.savez(
            beside, t_us=[t for t, _ in labels], points98=np.stack([points for _, points in labels])
        )
    seconds = (last_us - first_us) * 1e-6
    rate = count / max(seconds, 1e-6) * 1e-6
    typer.echo(
        f"{output}: {count:,} events, {seconds:.2f} s, {rate:.2f} Mev/s, "
        f"sensor {light.size}, camera {camera}"
    )
    if labels:
        typer.echo(f"{beside}: landmarks at {len(labels)} instants")


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a bundled one.")],
    faces: Annotated[list[Path], typer.Option("--faces", help=_FACES_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
    threads: Annotated[int, typer.Option(help="Of the network; simulation has its own.")] = 1,
) -> None:
    """Train a student on faces that become events on the fly; goes on where it was stopped.

    \b
    Example:
      evface-edge train evface-s --faces faces/300w_train --faces faces/ytf -o runs/s1
    """
    from evface_training.config import load_yaml
    from evface_training.data import load_faces, split_faces
    from evface_training.train import TrainRecipe
    from evface_training.train import train as run

    settings = load_yaml(TrainRecipe, _recipe_path(recipe))
    training, validation = split_faces(load_faces(faces, cache))
    if not len(training) or not len(validation):
        raise ConfigError(
            "--faces", [str(f) for f in faces], "faces to train on and to validate on"
        )
    typer.echo(f"{len(training):,} faces to train on, {len(validation):,} to validate on")
    path = run(settings, training, validation, output, threads=threads)
    typer.echo(f"{path}\nnext: evface-edge export {path} --target onnx-int8")


def calibrate(
    checkpoint: Annotated[Path, typer.Argument(help="As `train` leaves it.")],
    faces: Annotated[list[Path], typer.Option("--faces", help=_FACES_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The checkpoint to write.")],
    data: Annotated[str, typer.Option(help="What it was trained on, for the card.")],
    licence: Annotated[str, typer.Option(help="The terms that the weights carry, for the card.")],
    recipe: Annotated[str, typer.Option(help="Recipe that it was trained by.")] = "evface-s",
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
) -> None:
    """Fit the uncertainty on validation faces and complete the card: then it can be exported.

    \b
    Example:
      evface-edge calibrate runs/s1/last.pt --faces faces/300w_train -o evface-s.pt \\
        --data "300-W (train)" --licence "non-commercial research"
    """
    from evface_training.calibrate import calibrate as fit
    from evface_training.config import load_yaml
    from evface_training.data import load_faces, split_faces
    from evface_training.train import TrainRecipe

    settings = load_yaml(TrainRecipe, _recipe_path(recipe))
    _, validation = split_faces(load_faces(faces, cache))
    notes = {"data": data, "licence": licence, "recipe": recipe}
    gain = fit(checkpoint, settings, validation, output, training_notes=notes)
    typer.echo(f"{output}: σ × {gain:.3f}")


def clips(
    faces: Annotated[list[Path], typer.Option("--faces", help=_FACES_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .npz to write.")],
    count: Annotated[int, typer.Option(help="How many clips.")] = 1024,
    recipe: Annotated[str, typer.Option(help="Recipe whose clips to draw.")] = "evface-s",
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 7,
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
) -> None:
    """Draw clips with landmarks that an export calibrates INT8 with and is judged on.

    The faces are those of training identities, so that validation stays unseen.

    \b
    Example:
      evface-edge clips --faces faces/300w_train -o clips.npz
      evface-edge export runs/s1/last.pt --target onnx-int8 --calibration clips.npz
    """
    import numpy as np

    from evface_training.config import load_yaml
    from evface_training.data import load_faces, split_faces
    from evface_training.train import TrainRecipe, draw_clips

    if count < 1:
        raise ConfigError("--count", count, "1 or more")
    if output.suffix != ".npz":
        raise ConfigError("--output", str(output), "a file that ends in .npz")
    settings = load_yaml(TrainRecipe, _recipe_path(recipe))
    training, _ = split_faces(load_faces(faces, cache))
    drawn = draw_clips(training, settings, count, seed)
    inputs = (drawn.inputs * 255).round().byte().numpy()
    np.savez_compressed(output, inputs=inputs, landmarks=drawn.points.numpy())
    typer.echo(f"{output}: {count} clips of {len(training):,} faces")


def _recipe_path(recipe: str) -> Path:
    bundled = Path(__file__).with_name("recipes") / f"{recipe}.yaml"
    if bundled.is_file():
        return bundled
    path = Path(recipe)
    if not path.is_file():
        names = sorted(p.stem for p in bundled.parent.glob("*.yaml"))
        raise ConfigError("recipe", recipe, f"a file, or one of {', '.join(names)}")
    return path


def evaluate(
    model: Annotated[str, typer.Argument(help="A bundled name or an exported model.")],
    faces: Annotated[list[Path], typer.Option("--faces", help=_FACES_HELP)],
    condition: Annotated[
        list[str] | None, typer.Option("--condition", help="normal, fast, dark, still; all.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many faces; all of them.")] = None,
    seed: Annotated[int, typer.Option(help="Of the motions and cameras drawn.")] = 0,
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
    worst: Annotated[
        Path | None, typer.Option(help="PNG to write of the ten worst faces of each set.")
    ] = None,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Write the figures into the model's card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Measure landmark error on human-labelled validation faces, as moving event recordings.

    \b
    Example:
      evface-edge evaluate evface-s --faces faces/300w_train --count 100
    """
    from rich.progress import Progress

    from evface_edge.predictor import Predictor
    from evface_training.benchmark_sets import CONDITIONS, condition_named
    from evface_training.data import load_faces, split_faces
    from evface_training.evaluate import evaluate_set
    from evface_training.worst_faces import WorstFaces

    chosen = [condition_named(name) for name in condition or CONDITIONS]
    people = _validation(split_faces(load_faces(faces, cache))[1], count)
    sheet = WorstFaces()
    results = []
    with Predictor(model) as predictor, Progress(disable=as_json) as progress:
        for one in chosen:
            task = progress.add_task(one.name, total=len(people))

            def seen(*face: Any, task: Any = task, name: str = one.name) -> None:
                progress.advance(task)
                sheet.add(name, *face)

            results.append(evaluate_set(predictor, people, one, seed=seed, on_face=seen))
        card = dataclasses.asdict(predictor.card)
    summaries = {result.condition: result.summary() for result in results}
    if worst is not None:
        sheet.save(worst)
    if into_card:
        _write_metrics(find_model(model), summaries)
    if as_json:
        typer.echo(json.dumps({"model": card["name"], "precision": card["precision"], **summaries}))
        return
    columns = list(next(iter(summaries.values())))
    typer.echo(" ".join([f"{'set':8}", *(f"{column:>20}" for column in columns)]))
    for name, summary in summaries.items():
        typer.echo(" ".join([f"{name:8}", *(f"{summary[column]:20.3f}" for column in columns)]))
    if worst is not None:
        typer.echo(f"worst faces: {worst}")


def _write_metrics(path: Path, summaries: dict[str, dict[str, float]]) -> None:
    """The figures of each set, and how many faces they come from, into an ONNX model's card."""
    card = read_card(path)
    metrics = {
        f"{name}_{key}": round(value, 4)
        for name, summary in summaries.items()
        for key, value in summary.items()
    }
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(
        embed_card(path.read_bytes(), dataclasses.replace(card, metrics=card.metrics | metrics))
    )
    partial.replace(path)


def _validation(faces: FaceSet, count: int | None) -> FaceSet:
    """Human-labelled ones, `count` of them spread over the set."""
    import numpy as np

    people = faces.select(faces.human)
    if not len(people):
        raise ConfigError("--faces", len(faces), "human-labelled faces of validation identities")
    if count is None or count >= len(people):
        return people
    if count < 1:
        raise ConfigError("--count", count, "1 or more")
    return people.select(np.linspace(0, len(people) - 1, count).round().astype(int))
