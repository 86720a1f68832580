"""Detector and tracking on simulated full-sensor sequences with known truth, as a table.

    python -m benchmarks tracking --faces FOLDER --negatives recordings/without_faces/*
    python -m benchmarks tracking                 # with the heads that come with the package

Faces appear, move, are hidden for 0.5 s, pause for 5 s, leave and come back; see
`evface_training.tracking`. Sequences are made from a seed, and kept in `--keep` for the next run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from evface_edge import Predictor, read_events
from evface_edge.errors import ConfigError, EvfaceError
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import SensorSize
from evface_edge.predictor import _ArraySource
from evface_training.data.avatars import load_avatars
from evface_training.data.faces import FaceSet
from evface_training.data.loading import load_faces
from evface_training.data.split import split_faces
from evface_training.tracking.measure import (
    SequenceFigures,
    judge,
    negatives_summary,
    summary,
)
from evface_training.tracking.sequences import FullSequence, SequenceMaker, Truth
from evface_training.tracking.trajectories import Phases

NEGATIVE_S = 20.0


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    faces = _faces(options)
    report: dict[str, dict[str, float]] = {}
    with Predictor(options.model, faces=options.at_once) as predictor:
        for text, count in zip(options.size, options.count, strict=True):
            size = SensorSize(*map(int, text.split("x")))
            maker = SequenceMaker(faces, size, options.seed)
            found = [
                _track(predictor, sequence, options.verbose)
                for sequence in _sequences(maker, count, options)
            ]
            if found:
                report[f"faces {size}"] = summary(found)
            negatives = [
                _track(predictor, varied, options.verbose)
                for sequence in _negatives(maker, options)
                for varied in _variants(sequence, options)
            ]
            if negatives:
                report[f"made negatives {size}"] = negatives_summary(negatives)
        if options.negatives:
            real = [
                figures
                for path in options.negatives
                for figures in _recording(predictor, path, options)
            ]
            report["recordings without a face"] = negatives_summary(real)
    _print(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faces", type=Path, action="append", default=[])
    parser.add_argument("--cache", type=Path, help="file that keeps the packed faces")
    parser.add_argument("--identities", choices=("validation", "training"), default="validation")
    parser.add_argument("--size", nargs="+", default=["346x260", "1280x720"])
    parser.add_argument("--count", type=int, nargs="+", help="sequences of each size")
    parser.add_argument("--made", type=float, default=60.0, help="seconds of negatives, each size")
    parser.add_argument("--made-from", type=int, default=0, help="number of the first negative")
    parser.add_argument("--negatives", type=Path, nargs="*", default=[], help="recordings")
    parser.add_argument(
        "--variants",
        action="store_true",
        help="all that has no face in all 8 orientations, each at half, its own and twice its pace",
    )
    parser.add_argument("--model", default="evface-s")
    parser.add_argument("--at-once", type=int, default=2, help="faces asked for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder that keeps the sequences")
    parser.add_argument("--json", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    options.count = options.count or [24] * len(options.size)
    if len(options.count) != len(options.size):
        raise ConfigError("--count", options.count, f"one for each of {options.size}")
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    return options


def _faces(options: argparse.Namespace) -> FaceSet:
    if not options.faces:
        return load_avatars()
    training, validation = split_faces(load_faces(options.faces, options.cache))
    faces = validation if options.identities == "validation" else training
    return faces.select(faces.human) if faces.human.any() else faces


def _sequences(
    maker: SequenceMaker, count: int, options: argparse.Namespace
) -> Iterator[FullSequence]:
    for number in range(count):
        name = f"{options.identities}-{options.seed}-{maker.size.width}-{number}"
        path = options.keep / f"{name}.npz" if options.keep else None
        if path and path.is_file():
            yield _load(path, name)
            continue
        sequence = maker.sequence(number)
        if path:
            _save(path, sequence)
        yield sequence


def _negatives(maker: SequenceMaker, options: argparse.Namespace) -> Iterator[FullSequence]:
    first = options.made_from
    for number in range(first, first + math.ceil(options.made / NEGATIVE_S)):
        name = f"negative-{options.seed}-{maker.size.width}-{number}"
        path = options.keep / f"{name}.npz" if options.keep else None
        if path and path.is_file():
            yield _load(path, name)
            continue
        sequence = maker.negative(number, NEGATIVE_S)
        if path:
            _save(path, sequence)
        yield sequence


def _save(path: Path, sequence: FullSequence) -> None:
    np.savez(
        path,
        events=sequence.events,
        size=np.array([sequence.size.width, sequence.size.height]),
        times_us=sequence.times_us,
        phases=json.dumps([vars(face.phases) for face in sequence.faces]),
        **{f"points{k}": face.points for k, face in enumerate(sequence.faces)},
        **{f"covered{k}": face.covered for k, face in enumerate(sequence.faces)},
    )


def _load(path: Path, name: str) -> FullSequence:
    with np.load(path, allow_pickle=False) as stored:
        phases = json.loads(str(stored["phases"]))
        faces = tuple(
            Truth(
                stored[f"points{k}"],
                stored[f"covered{k}"],
                Phases(**{key: tuple(v) if isinstance(v, list) else v for key, v in one.items()}),
            )
            for k, one in enumerate(phases)
        )
        size = SensorSize(*map(int, stored["size"]))
        return FullSequence(name, size, stored["events"], stored["times_us"], faces)


def _track(predictor: Predictor, sequence: FullSequence, verbose: bool) -> SequenceFigures:
    source = _ArraySource(sequence.events, sequence.size)
    figures = judge(sequence, predictor.stream(source))  # type: ignore[arg-type]
    if verbose:
        print(_line(sequence.name, figures), flush=True)  # noqa: T201
    return figures


def _recording(
    predictor: Predictor, path: Path, options: argparse.Namespace
) -> Iterator[SequenceFigures]:
    try:
        events, size = read_events(path)
    except EvfaceError as error:
        print(f"{path}: left out: {error}")  # noqa: T201
        return
    whole = FullSequence(path.name, size, events, np.zeros(0, np.int64), ())
    for varied in _variants(whole, options):
        try:
            answers = list(predictor.stream(_ArraySource(varied.events, varied.size)))
        except EvfaceError as error:
            print(f"{path}: left out: {error}")  # noqa: T201
            return
        if len(answers) < 2:
            return
        times_us = np.array([0, answers[-1][0] - answers[0][0]], np.int64)
        figures = judge(replace(varied, events=events[:0], times_us=times_us), answers)
        if options.verbose:
            print(_line(varied.name, figures), flush=True)  # noqa: T201
        yield figures


def _variants(sequence: FullSequence, options: argparse.Namespace) -> Iterator[FullSequence]:
    """A sequence without faces, as it is, or where they are asked for, in all its variants."""
    if not options.variants:
        yield sequence
        return
    for pace, turn in itertools.product((0.5, 1.0, 2.0), range(8)):
        events, size = _varied(sequence.events, sequence.size, pace, turn)
        times_us = (sequence.times_us / pace).astype(np.int64)
        name = f"{sequence.name} × {pace:g}, turn {turn}"
        yield FullSequence(name, size, events, times_us, ())


def _varied(
    events: EventArray, size: SensorSize, pace: float, turn: int
) -> tuple[EventArray, SensorSize]:
    """At another pace, and in one of the eight orientations of a square."""
    x, y, width, height = events["x"], events["y"], size.width, size.height
    if turn & 1:
        x = width - 1 - x
    if turn & 2:
        y = height - 1 - y
    if turn & 4:
        x, y, width, height = y, x, height, width
    start_us = events["t"][:1]
    t_us = start_us + ((events["t"] - start_us) / pace).astype(np.int64)
    return make_events(t_us, x, y, events["p"]), SensorSize(width, height)


def _line(name: str, figures: SequenceFigures) -> str:
    parts = [
        f"found {1e3 * f.found_s:.0f} ms, again {1e3 * f.again_s:.0f} ms, id kept {f.kept_id}, "
        f"NME moving {100 * f.moving.mean() if len(f.moving) else math.nan:.1f} % held "
        f"{100 * f.held.mean() if len(f.held) else math.nan:.1f} % ({f.held_fraction:.0%} of it)"
        for f in figures.faces
    ]
    false = f"{figures.false_ids} false faces in {figures.seconds:.1f} s"
    return "; ".join([name, *parts, f"{false}, {figures.false_instants} instants"])


def _print(report: dict[str, dict[str, float]]) -> None:
    for title, figures in report.items():
        print(f"\n{title}")  # noqa: T201
        for name, value in figures.items():
            print(f"  {name.replace('_', ' '):<36} {value:10.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
