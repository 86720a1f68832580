"""`evface-edge evaluate`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evface_edge.cli.progress import count_progress
from evface_edge.errors import ConfigError
from evface_training.command_train import CACHE_HELP

if TYPE_CHECKING:
    from evface_edge.predictor import Predictor
    from evface_training.data.faces import FaceSet
    from evface_training.evaluation.landmarks import SampleResult, SetResult
    from evface_training.evaluation.worst_faces import WorstFaces

_DATA_HELP = (
    "Use this folder of faces, `avatars`, or a recording with NAME.landmarks.npz in the same "
    "folder, as `simulate` writes it. Repeatable."
)
#: As many simulated negatives as faces, but at most this many.
_MAX_NEGATIVES = 200
#: Default numbers of sequences of each sensor size, and of avatars.
_SEQUENCES, _AVATARS = 24, 4
_SIZES = ("346x260", "1280x720")


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Bundled name, checkpoint or exported model.")
    ],
    data: Annotated[
        list[str] | None, typer.Option("--data", "--faces", metavar="FOLDER", help=_DATA_HELP)
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            metavar="NAME",
            help="Use these conditions: normal, fast, dark, … (default: all). Repeatable.",
        ),
    ] = None,
    negatives: Annotated[
        list[Path] | None,
        typer.Option(
            "--negatives", metavar="FILE", help="Use this recording without a face. Repeatable."
        ),
    ] = None,
    tracking: Annotated[
        bool,
        typer.Option("--tracking", help="Evaluate tracking on sequences of the faces or avatars."),
    ] = False,
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Use this sensor size with --tracking: 346x260 or 1280x720 (default: both). "
            "Repeatable.",
        ),
    ] = None,
    head_pose: Annotated[
        bool, typer.Option("--head-pose", help="Evaluate head pose and blinks on avatars.")
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Use N faces (default: all), sequences a size (default: 24) or avatars (default: "
            "4).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Set the random seed.")] = 0,
    cache: Annotated[Path | None, typer.Option(metavar="FILE", help=CACHE_HELP)] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Run the model on this device.")
    ] = "auto",
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the cumulative errors and the ROC of presence to this PNG."
        ),
    ] = None,
    worst: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the ten worst faces of each set to this PNG."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the metrics to this JSON."),
    ] = None,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Write the metrics of the sets into the card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Measure the accuracy of a model: landmarks, σ, presence, flicker; tracking; head pose.

    In a folder, use the human-labelled faces of validation identities. They become moving
    recordings in several conditions of light and speed; moving textures are the negatives.

    \b
    Examples:
      evface-edge evaluate evface-s --data faces/300w_train --count 100 --curves ced.png
      evface-edge evaluate runs/synthetic-tiny/last.pt --data avatars
      evface-edge evaluate evface-s.onnx --data recording.npz --negatives empty_room.aedat4
      evface-edge evaluate evface-s --tracking --size 346x260 --count 6
      evface-edge evaluate evface-s --head-pose -o head_pose.json
    """
    from evface_edge.models import find_model
    from evface_edge.predictor import Predictor
    from evface_training.evaluation.report import table
    from evface_training.evaluation.tracking import evaluate_negatives
    from evface_training.evaluation.worst_faces import WorstFaces

    names = data or []
    if not (names or negatives or tracking or head_pose):
        expected = "a folder of faces, avatars, or a recording; or --tracking, --head-pose"
        raise ConfigError("--data", "nothing", expected)
    for option, path in (("--curves", curves), ("--worst", worst)):
        if path is not None and path.suffix.lower() != ".png":
            raise ConfigError(option, str(path), "a file that ends in .png")
        if path is not None and (tracking or not names):
            raise ConfigError(option, str(path), "--data, without --tracking")
    worst_faces = WorstFaces()
    results: list[SetResult] = []
    others: list[SampleResult] = []
    with Predictor(model, device=device) as predictor:
        card = predictor.card
        report: dict[str, Any] = {
            "model": card.name,
            "precision": card.precision,
            "target": card.target,
            "seed": seed,
        }
        if names and not tracking:
            results, others = _sets(predictor, names, condition, count, seed, cache, worst_faces)
            report |= _set_metrics(results, others)
        if negatives:
            report["negative_recordings"] = evaluate_negatives(predictor, negatives)
    if tracking:
        report["tracking"] = _tracking(model, device, names, cache, size, count, seed)
    if head_pose:
        report["head_pose"] = _head_pose(model, device, count, seed)
    if worst is not None:
        worst_faces.save(worst)
    if curves is not None:
        from evface_training.evaluation.plots import plot_curves

        plot_curves(curves, report["model"], results, others)
    if output is not None:
        output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if into_card:
        _write_metrics(find_model(model), report.get("sets", {}))
    typer.echo(json.dumps(report) if as_json else table(report))
    if not as_json:
        for path in (curves, worst, output):
            if path is not None:
                typer.echo(str(path))


def _sets(
    predictor: Predictor,
    names: list[str],
    conditions: list[str] | None,
    count: int | None,
    seed: int,
    cache: Path | None,
    worst_faces: WorstFaces,
) -> tuple[list[SetResult], list[SampleResult]]:
    """Samples of each condition and recording, and those of simulated negatives."""
    from evface_training.evaluation.benchmark_sets import CONDITIONS, condition_named
    from evface_training.evaluation.data import split_data, spread
    from evface_training.evaluation.landmarks import evaluate_labelled, evaluate_set
    from evface_training.evaluation.negatives_set import made_negatives

    people, recordings = split_data(names, cache)
    results, others = [], []
    if people is not None:
        people = spread(people, count)
        for condition in [condition_named(name) for name in conditions or CONDITIONS]:

            def on_face(*face: Any, name: str = condition.name) -> None:
                worst_faces.add(name, *face)

            with count_progress(condition.name, len(people)) as advance:
                results.append(
                    evaluate_set(
                        predictor,
                        people,
                        condition,
                        seed=seed,
                        on_face=on_face,
                        on_recording=advance,
                    )
                )
        few = spread(people, min(len(people), _MAX_NEGATIVES))
        with count_progress("negatives", len(few)) as advance:
            for sample in made_negatives(predictor, few, seed):
                others.append(sample)
                advance()
    results += [evaluate_labelled(predictor, one, name) for name, one in recordings.items()]
    return results, others


def _set_metrics(results: list[SetResult], others: list[SampleResult]) -> dict[str, Any]:
    from evface_training.evaluation.report import binned, presence_metrics, summary

    metrics: dict[str, Any] = {
        "sets": {result.name: summary(result) for result in results},
        "bins": binned(results),
    }
    if others:
        samples = [sample for result in results for sample in result.samples]
        metrics["presence"] = presence_metrics(samples, others)
    return metrics


def _tracking(
    model: str,
    device: str,
    names: list[str],
    cache: Path | None,
    sizes: list[str] | None,
    count: int | None,
    seed: int,
) -> dict[str, Any]:
    from evface_edge.geometry import SensorSize
    from evface_edge.predictor import Predictor
    from evface_training.data.avatars import load_avatars
    from evface_training.evaluation.data import split_data
    from evface_training.evaluation.tracking import FACES, evaluate_tracking, negative_count

    faces: FaceSet | None = load_avatars()
    if names:
        faces, _ = split_data(names, cache)
    if faces is None:
        raise ConfigError("--data", names, "a folder of faces or avatars, with --tracking")
    count = _SEQUENCES if count is None else count
    report: dict[str, Any] = {}
    with Predictor(model, device=device, faces=FACES) as predictor:
        for text in sizes or _SIZES:
            width, _, height = text.partition("x")
            if not (width.isdecimal() and height.isdecimal()):
                raise ConfigError("--size", text, "width x height, such as 346x260")
            sensor, total = SensorSize(int(width), int(height)), count + negative_count(count)
            with count_progress(f"tracking, {text}", total) as advance:
                metrics = evaluate_tracking(
                    predictor, faces, sensor, count, seed=seed, on_sequence=advance
                )
            report |= {f"{text}, {name}": values for name, values in metrics.items()}
    return report


def _head_pose(
    model: str, device: str, count: int | None, seed: int
) -> dict[str, dict[str, float]]:
    from evface_training.evaluation.head_pose import SPEEDS, evaluate_head_pose

    avatars = _AVATARS if count is None else count
    if avatars < 1:
        raise ConfigError("--count", avatars, "1 or more")
    with count_progress("head pose", avatars * len(SPEEDS)) as advance:
        return evaluate_head_pose(model, avatars, device=device, seed=seed, on_recording=advance)


def _write_metrics(path: Path, summaries: Mapping[str, Mapping[str, float]]) -> None:
    """Write the metrics of each set into the card of an ONNX model or a checkpoint."""
    from evface_edge.card_file import embed_card, read_card

    card = read_card(path)
    metrics = {
        f"{name}_{key}": round(value, 4)
        for name, values in summaries.items()
        for key, value in values.items()
    }
    card = dataclasses.replace(card, metrics=card.metrics | metrics)
    if path.suffix == ".pt":
        from evface_training.checkpoint import replace_card

        replace_card(path, card)
    elif path.suffix == ".onnx":
        from evface_training.checkpoint import write_whole

        write_whole(path, embed_card(path.read_bytes(), card))
    else:
        raise ConfigError("--into-card", str(path), "an .onnx model or a .pt checkpoint")
