"""What `predict`, `view` and `demo` fraction: outputs, one pass, and what is said about it."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
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
    from evface_edge.results.screens import Screen

TABLES: dict[str, Callable[..., Any]] = {
    ".csv": Predictions.to_csv,
    ".json": Predictions.to_json,
    ".parquet": Predictions.to_parquet,
}
PLOT_SUFFIX = ".png"
VIDEO_SUFFIXES = {
    ".gif",
    ".mp4",
}  # the keys of results.video.VIDEO_WRITERS, without importing Pillow
SCENE_SUFFIX = ".rrd"
#: Outputs that are no files.
WINDOW, PAGE = Path("window"), Path("web")
VIEW_SUFFIXES = {*VIDEO_SUFFIXES, SCENE_SUFFIX}
PREDICT_SUFFIXES = {*TABLES, PLOT_SUFFIX, *VIEW_SUFFIXES}


def check_outputs(outputs: Sequence[Path], source: str, suffixes: Collection[str]) -> None:
    """Before any work is done: can all of them be written?

    Raises:
        ConfigError: an unknown suffix, a missing folder, one file named twice, or the recording.
    """
    taken = {uri.parse(source).path.resolve(): "this is the recording itself"}
    for path in outputs:
        if path not in (WINDOW, PAGE):
            check_output(path, suffixes)
        place = path.resolve()
        if place in taken:
            raise ConfigError("output", str(path), f"another name: {taken[place]}")
        taken[place] = "it was given twice"


def written(outputs: Sequence[Path]) -> list[Path]:
    """The outputs that are files."""
    return [path for path in outputs if path not in (WINDOW, PAGE)]


@dataclass
class Viewers:
    """The windows and pages of a command, which outlive its pass over the source.

    Attributes:
        screens: to show results on.
        url: of the page, where there is one.
    """

    screens: list[Screen]
    url: str = ""

    def stay(self) -> None:
        """Wait for Ctrl-C, where there is a page: it would be gone before anybody saw it."""
        if not self.url:
            return
        with suppress(KeyboardInterrupt):
            typer.echo(f"look at {self.url} until Ctrl-C", err=True)
            threading.Event().wait()


@contextmanager
def open_viewers(
    outputs: Sequence[Path], *, live: bool, speed: float, address: str, port: int
) -> Iterator[Viewers]:
    """What `window` and `web` among the outputs ask for.

    Raises:
        RuntimeUnavailable: rerun-sdk is not installed, or there is no display.
        ConfigError: the port is taken.
    """
    viewers = Viewers([])
    with ExitStack() as stack:
        if WINDOW in outputs:
            from evface_edge.results.rerun_screen import window

            viewers.screens.append(stack.enter_context(window(live=live, speed=speed)))
        if PAGE in outputs:
            from evface_edge.results.rerun_screen import page

            screen, served = stack.enter_context(
                page(address=address, port=port, live=live, speed=speed)
            )
            viewers.screens.append(screen)
            viewers.url = served.url
            typer.echo(f"web: {served.url}", err=True)
        yield viewers


@contextmanager
def open_files(outputs: Sequence[Path], *, fps: float, text: str) -> Iterator[list[Screen]]:
    """Videos and .rrd files among the outputs; there when the block ends, none when it fails."""
    videos = [path for path in outputs if path.suffix.lower() in VIDEO_SUFFIXES]
    screens: list[Screen] = []
    with ExitStack() as stack:
        if videos:
            from evface_edge.results.screens import VideoScreen
            from evface_edge.results.video import open_video

            opened = [stack.enter_context(open_video(path, fps=fps)) for path in videos]
            screens.append(VideoScreen(opened, text=text))
        for path in outputs:
            if path.suffix.lower() == SCENE_SUFFIX:
                from evface_edge.results.rerun_screen import rrd_file

                screens.append(stack.enter_context(rrd_file(path)))
        yield screens


class Tally:
    """What there is to say about faces in the end, counted on the way in bounded memory."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, Any]] = {}

    def add(self, faces: Iterable[FaceLandmarks]) -> None:
        for face in faces:
            row = self._rows.get(face.face_id)
            if row is None:
                row = {"first_us": face.t_us, "states": Counter(), "presence": 0.0, "sigma": 0.0}
                self._rows[face.face_id] = row
            row["last_us"] = face.t_us
            row["states"][face.state.value] += 1
            row["presence"] += face.presence
            row["sigma"] += float(face.sigma.mean())

    def rows(self) -> list[dict[str, Any]]:
        """One for each face: id, how many results, from when to when, states, means."""
        told = []
        for face_id, row in sorted(self._rows.items()):
            results = row["states"].total()
            told.append(
                {
                    "face_id": face_id,
                    "results": results,
                    "first_us": int(row["first_us"]),
                    "last_us": int(row["last_us"]),
                    "states": {n: count / results for n, count in row["states"].most_common()},
                    "mean_presence": row["presence"] / results,
                    "mean_sigma_px": row["sigma"] / results,
                }
            )
        return told


class Pass(NamedTuple):
    """What came of one pass.

    Attributes:
        predictions: the faces; none of a camera, where no table or plot wants them.
        rows: of `Tally`.
        first_us, last_us: the times of the first and last window.
    """

    predictions: Predictions
    rows: list[dict[str, Any]]
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
    pose: bool = False,
    viewers: Sequence[Screen] = (),
    report: Callable[[int], None] = lambda t_us: None,
) -> Pass:
    """Predict once; the tables and videos in `outputs` are written from that one pass.

    They appear when all of them are complete; none does when anything fails.

    Args:
        pose: whether tables have head pose and openness.
        viewers: also show it.
        report: called with the time of each result, µs.

    Raises:
        EvfaceError: whatever reading, predicting or writing raises.
    """
    name = predictor.card.name
    # A camera may run for months: what no output wants is not kept.
    keep = not source.live or any(_wants_all(path) for path in outputs)
    faces: list[FaceLandmarks] = []
    tally = Tally()
    first_us = last_us = windows = 0
    text = f"{name} · speed {speed:g}" if speed != 1 else name
    with ExitStack() as files:
        screens = [*files.enter_context(open_files(outputs, fps=fps, text=text)), *viewers]
        if screens:
            from evface_edge.results.moments import Moments
            from evface_edge.results.screens import show_results

            moments = Moments(source, fps=fps, speed=speed)
            results = show_results(predictor.stream(moments.source, box=box), moments, screens)
        else:
            results = predictor.stream(source, box=box)
        for t_us, found in results:
            first_us, last_us = (first_us if windows else t_us), t_us
            windows += 1
            tally.add(found)
            if keep:
                faces += found
            report(t_us)
        predictions = Predictions(faces, size=source.size, model=name, windows=windows)
        for path in outputs:
            suffix = path.suffix.lower()
            if suffix in TABLES:
                part = files.enter_context(whole_file(path))
                TABLES[suffix](predictions, part, pose=pose)
            elif suffix == PLOT_SUFFIX:
                predictions.plot(files.enter_context(whole_file(path)))
    return Pass(predictions, tally.rows(), first_us, last_us)


def _wants_all(path: Path) -> bool:
    """Whether an output is written from all faces, when all of them are there."""
    suffix = path.suffix.lower()
    return suffix in TABLES or suffix == PLOT_SUFFIX


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


def show_summary(done: Pass) -> None:
    """A table with a row for each face, or the plain word that there is none."""
    predictions = done.predictions
    windows = "1 window" if predictions.windows == 1 else f"{predictions.windows:,} windows"
    examined = f"{windows} in {(done.last_us - done.first_us) / 1e6:.2f} s of recording"
    if not done.rows:
        typer.echo(f"no face in {examined}")
        return
    from rich import box as frames
    from rich.console import Console
    from rich.table import Table

    table = Table(box=frames.SIMPLE_HEAD, pad_edge=False)
    for heading in ("face", "results", "from s", "to s", "presence", "σ px", "states"):
        table.add_column(heading, justify="left" if heading == "states" else "right")
    for row in done.rows:
        table.add_row(
            str(row["face_id"]),
            f"{row['results']:,}",
            f"{(row['first_us'] - done.first_us) / 1e6:.2f}",
            f"{(row['last_us'] - done.first_us) / 1e6:.2f}",
            f"{row['mean_presence']:.2f}",
            f"{row['mean_sigma_px']:.1f}",
            ", ".join(f"{name} {fraction:.0%}" for name, fraction in row["states"].items()),
        )
    Console().print(table)
    typer.echo(examined)
