"""`evface-edge evaluate`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evface_edge.errors import ConfigError

if TYPE_CHECKING:
    from evface_edge.predictor import Predictor
    from evface_training.data.faces import FaceSet
    from evface_training.evaluation.samples import Answer, SetResult
    from evface_training.evaluation.worst_faces import WorstFaces

_DATA_HELP = (
    "A folder of faces; avatars (our own, rendered); or a recording with NAME.landmarks.npz beside "
    "it, as `simulate` writes it. Repeatable."
)
#: As many negatives as faces, but no more than this.
_MAX_NEGATIVES = 200


def evaluate(
    model: Annotated[str, typer.Argument(help="A bundled name, a checkpoint, or any export.")],
    data: Annotated[list[str] | None, typer.Option("--data", help=_DATA_HELP)] = None,
    faces: Annotated[
        list[str] | None, typer.Option("--faces", help="The same as --data, for folders of faces.")
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option("--condition", help="Of faces: normal, fast, dark, still and more; all."),
    ] = None,
    negatives: Annotated[
        list[Path] | None,
        typer.Option("--negatives", help="A recording without a face, searched for one."),
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many faces; all of them.")] = None,
    seed: Annotated[int, typer.Option(help="Of the motions and cameras drawn.")] = 0,
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
    device: Annotated[str, typer.Option(help="That the model runs on.")] = "auto",
    curves: Annotated[
        Path | None, typer.Option(help="PNG to write: cumulative errors, ROC of presence.")
    ] = None,
    worst: Annotated[
        Path | None, typer.Option(help="PNG to write of the ten worst faces of each set.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="JSON to write.")] = None,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Write the figures into the model's card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Measure landmarks, their σ and presence: errors, failures, flicker, calibration, ROC.

    Of folders, the human-labelled faces of people kept for validation become moving recordings in
    several conditions of light and speed; textures that move like them are what is no face.

    \b
    Examples:
      evface-edge evaluate evface-s --data faces/300w_train --count 100 --curves ced.png
      evface-edge evaluate runs/synthetic-tiny/last.pt --datan avatars
      evface-edge evaluate evface-s.onnx --data recording.npz --negatives empty_room.aedat4
    """
    from evface_edge.models import find_model
    from evface_edge.predictor import Predictor
    from evface_training.evaluation.data import split_data, spread
    from evface_training.evaluation.plots import plot_curves
    from evface_training.evaluation.report import binned, presence_figures, summary, table
    from evface_training.evaluation.worst_faces import WorstFaces

    given = [*(data or []), *(faces or [])]
    if not given and not negatives:
        raise ConfigError("--data", "nothing", "a folder of faces, avatars, or a recording")
    for option, path in (("--curves", curves), ("--worst", worst)):
        if path is not None and path.suffix.lower() != ".png":
            raise ConfigError(option, str(path), "a file that ends in .png")
    people, videos = split_data(given, cache)
    people = None if people is None else spread(people, count)
    sheet = WorstFaces()
    with Predictor(model, device=device) as predictor:
        results: list[SetResult] = []
        others: list[Answer] = []
        if people is not None:
            results, others = _benchmark(predictor, people, condition, seed, sheet, as_json)
        results += _videos(predictor, videos)
        report: dict[str, Any] = {
            "model": predictor.card.name,
            "precision": predictor.card.precision,
            "target": predictor.card.target,
            "seed": seed,
            "sets": {result.name: summary(result) for result in results},
            "bins": binned(results),
        }
        if others:
            answers = [answer for result in results for answer in result.answers]
            report["presence"] = presence_figures(answers, others)
        if negatives:
            report["without_a_face"] = _search(predictor, negatives)
    if worst is not None:
        sheet.save(worst)
    if curves is not None:
        plot_curves(curves, report["model"], results, others)
    if output is not None:
        output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if into_card:
        _write_metrics(find_model(model), report["sets"])
    typer.echo(json.dumps(report) if as_json else table(report))
    if not as_json:
        for path in (curves, worst, output):
            if path is not None:
                typer.echo(str(path))


def _benchmark(
    predictor: Predictor,
    people: FaceSet,
    conditions: list[str] | None,
    seed: int,
    sheet: WorstFaces,
    quiet: bool,
) -> tuple[list[SetResult], list[Answer]]:
    from rich.progress import Progress

    from evface_training.evaluation.benchmark_sets import CONDITIONS, condition_named
    from evface_training.evaluation.data import spread
    from evface_training.evaluation.negatives_set import made_negatives
    from evface_training.evaluation.samples import evaluate_set

    chosen = [condition_named(name) for name in conditions or CONDITIONS]
    results, others = [], []
    with Progress(disable=quiet, transient=True) as progress:
        for one in chosen:
            task = progress.add_task(one.name, total=len(people))

            def advance(task: Any = task) -> None:
                progress.advance(task)

            def seen(*face: Any, name: str = one.name) -> None:
                sheet.add(name, *face)

            results.append(
                evaluate_set(predictor, people, one, seed=seed, on_face=seen, on_recording=advance)
            )
        few = spread(people, min(len(people), _MAX_NEGATIVES))
        task = progress.add_task("no face", total=len(few))
        for answer in made_negatives(predictor, few, seed):
            others.append(answer)
            progress.advance(task)
    return results, others


def _videos(predictor: Predictor, videos: Mapping[str, Any]) -> list[SetResult]:
    from evface_training.evaluation.samples import evaluate_video

    return [evaluate_video(predictor, video, name) for name, video in videos.items()]


def _search(predictor: Predictor, paths: list[Path]) -> dict[str, float]:
    from evface_training.evaluation.negatives_set import search_faceless

    found = dataclasses.asdict(search_faceless(predictor, paths))
    return {name: float(value) for name, value in found.items()}


def _write_metrics(path: Path, summaries: Mapping[str, Mapping[str, float]]) -> None:
    """The figures of each set into the card of an ONNX model or a checkpoint."""
    from evface_edge.card_file import embed_card, read_card

    card = read_card(path)
    metrics = {
        f"{name}_{key}": round(value, 4)
        for name, figures in summaries.items()
        for key, value in figures.items()
    }
    card = dataclasses.replace(card, metrics=card.metrics | metrics)
    if path.suffix == ".pt":
        from evface_training.checkpoint import replace_card

        replace_card(path, card)
    elif path.suffix == ".onnx":
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(embed_card(path.read_bytes(), card))
        partial.replace(path)
    else:
        raise ConfigError("--into-card", str(path), "an .onnx model or a .pt checkpoint")
