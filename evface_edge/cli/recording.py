"""What `predict` and `demo` share: one pass over a recording, and what is said about it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from evface_edge.errors import ConfigError
from evface_edge.events import uri
from evface_edge.events.source import EventSource
from evface_edge.geometry import Box
from evface_edge.results import FaceLandmarks, Predictions
from evface_edge.results.output_file import check_output, whole_file

if TYPE_CHECKING:
    from evface_edge.predictor import Predictor
    from evface_edge.results.annotate import Annotator
    from evface_edge.results.film import Film

TABLES = {".csv": Predictions.to_csv, ".json": Predictions.to_json}
FILM_SUFFIXES = {".gif", ".mp4"}  # the keys of results.film.FILMS, without importing Pillow


def check_outputs(outputs: Sequence[Path], source: str) -> None:
    """Before any work is done: can all of them be written?

    Raises:
        ConfigError: an unknown suffix, a missing folder, one file named twice, or the recording.
    """
    taken = {uri.parse(source).path.resolve(): "this is the recording itself"}
    for path in outputs:
        place = check_output(path, {*TABLES, *FILM_SUFFIXES}).resolve()
        if place in taken:
            raise ConfigError("output", str(path), f"another name: {taken[place]}")
        taken[place] = "it was given twice"


class Pass(NamedTuple):
    """What came of one pass: the faces, and the times of the first and last window, µs."""

    predictions: Predictions
    first_us: int
    last_us: int


def predict_recording(
    predictor: Predictor,
    source: EventSource,
    outputs: Sequence[Path],
    *,
    box: Box | None = None,
    fps: float = 25,
    speed: float = 1,
    report: Callable[[int], None] = lambda t_us: None,
) -> Pass:
    """Predict once; the tables and films in `outputs` are written from that one pass.

    They appear when all of them are complete; none does when anything fails.

    Args:
        report: called with the time of each result, µs.

    Raises:
        EvfaceError: whatever reading, predicting or writing raises.
    """
    film_paths = [path for path in outputs if path.suffix.lower() in FILM_SUFFIXES]
    name = predictor.card.name
    faces: list[FaceLandmarks] = []
    times: list[int] = []
    with ExitStack() as files:
        if film_paths:
            from evface_edge.results.annotate import Annotator
            from evface_edge.results.film import open_film

            films = [files.enter_context(open_film(path, fps=fps)) for path in film_paths]
            annotator = Annotator(source, model=name, fps=fps, speed=speed)
            results = _filmed(predictor.stream(annotator.source, box=box), annotator, films)
        else:
            results = predictor.stream(source, box=box)
        for t_us, found in results:
            times.append(t_us)
            faces += found
            report(t_us)
        predictions = Predictions(faces, size=source.size, model=name, windows=len(times))
        for path in outputs:
            if path.suffix.lower() in TABLES:
                part = files.enter_context(whole_file(path))
                TABLES[path.suffix.lower()](predictions, part)
    return Pass(predictions, times[0] if times else 0, times[-1] if times else 0)


def _filmed(
    results: Iterable[tuple[int, list[FaceLandmarks]]], annotator: Annotator, films: Sequence[Film]
) -> Iterator[tuple[int, list[FaceLandmarks]]]:
    """The results as they are; on the way, their pictures go to the films."""
    for t_us, found in results:
        for picture in annotator.advance(t_us, found):
            for film in films:
                film.add(picture)
        yield t_us, found
    for picture in annotator.finish():
        for film in films:
            film.add(picture)


@contextmanager
def progress(source: EventSource) -> Iterator[Callable[[int], None]]:
    """A line on stderr: how far it is, and how long it will take; none if that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda t_us: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from evface_edge.events.recording import Recording

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Standard output is left alone: libraries imported meanwhile may keep a hold of it.
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("reading", total=None)
        start_us: int | None = None

        def report(t_us: int) -> None:
            nonlocal start_us
            start_us = t_us if start_us is None else start_us
            text = f"{(t_us - start_us) / 1e6:.2f} s, {source.counters.events:,} events"
            # A camera has no end; a recording knows what part of its file is behind it.
            fraction = source.fraction if isinstance(source, Recording) else 0.0
            bar.update(task, description=text, total=1 if fraction else None, completed=fraction)

        yield report


def summary(predictions: Predictions) -> list[dict[str, Any]]:
    """One entry for each face: id, how many results, from when to when, states, means."""
    ids = sorted({face.face_id for face in predictions})
    rows = []
    for face_id in ids:
        faces = [face for face in predictions if face.face_id == face_id]
        states = Counter(face.state.value for face in faces)
        rows.append(
            {
                "face_id": face_id,
                "results": len(faces),
                "first_us": int(faces[0].t_us),
                "last_us": int(faces[-1].t_us),
                "states": {name: count / len(faces) for name, count in states.most_common()},
                "mean_presence": sum(face.presence for face in faces) / len(faces),
                "mean_sigma_px": sum(float(face.sigma.mean()) for face in faces) / len(faces),
            }
        )
    return rows


def show_summary(done: Pass) -> None:
    """A table with a row for each face, or the plain word that there is none."""
    predictions = done.predictions
    windows = "1 window" if predictions.windows == 1 else f"{predictions.windows:,} windows"
    examined = f"{windows} in {(done.last_us - done.first_us) / 1e6:.2f} s of recording"
    if not len(predictions):
        typer.echo(f"no face in {examined}")
        return
    from rich import box as frames
    from rich.console import Console
    from rich.table import Table

    table = Table(box=frames.SIMPLE_HEAD, pad_edge=False)
    for heading in ("face", "results", "from s", "to s", "presence", "σ px", "states"):
        table.add_column(heading, justify="left" if heading == "states" else "right")
    for row in summary(predictions):
        table.add_row(
            str(row["face_id"]),
            f"{row['results']:,}",
            f"{(row['first_us'] - done.first_us) / 1e6:.2f}",
            f"{(row['last_us'] - done.first_us) / 1e6:.2f}",
            f"{row['mean_presence']:.2f}",
            f"{row['mean_sigma_px']:.1f}",
            ", ".join(f"{name} {share:.0%}" for name, share in row["states"].items()),
        )
    Console().print(table)
    typer.echo(examined)
