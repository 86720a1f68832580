"""One run of a predictor over a source: outputs are written, faces are summarised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from evface_edge.cli.outputs import WRITERS, open_files
from evface_edge.events.source import EventSource
from evface_edge.geometry import Box
from evface_edge.results import FaceLandmarks, FaceState, Predictions
from evface_edge.results.output_file import whole_file

if TYPE_CHECKING:
    from evface_edge.predictor import Predictor
    from evface_edge.results import Viewer


class FaceSummary:
    """Statistics of each face, in memory that does not grow with the number of results."""

    def __init__(self) -> None:
        self._sums: dict[int, dict[str, Any]] = {}

    def add(self, faces: Iterable[FaceLandmarks]) -> None:
        for face in faces:
            new = {"first_us": face.t_us, "states": Counter(), "presence": 0.0, "sigma": 0.0}
            sums = self._sums.setdefault(face.face_id, new)
            sums["last_us"] = face.t_us
            sums["states"][face.state.value] += 1
            sums["presence"] += face.presence
            sums["sigma"] += float(face.sigma.mean())

    def rows(self) -> list[dict[str, Any]]:
        """One row a face: id, number of results, first and last time, states, means."""
        rows = []
        for face_id, sums in sorted(self._sums.items()):
            results = sums["states"].total()
            rows.append(
                {
                    "face_id": face_id,
                    "results": results,
                    "first_us": int(sums["first_us"]),
                    "last_us": int(sums["last_us"]),
                    "states": {
                        state.value: sums["states"][state.value] / results
                        for state in FaceState
                        if sums["states"][state.value]
                    },
                    "mean_presence": sums["presence"] / results,
                    "mean_sigma_px": sums["sigma"] / results,
                }
            )
        return rows


class RunResult(NamedTuple):
    """The results of one run.

    Attributes:
        predictions: the faces; those of a camera are kept only if an output needs them.
        rows: of `FaceSummary`.
        first_us: time of the first window.
        last_us: time of the last window.
    """

    predictions: Predictions
    rows: list[dict[str, Any]]
    first_us: int
    last_us: int


def run_predictor(
    predictor: Predictor,
    source: EventSource,
    outputs: Sequence[Path],
    *,
    box: Box | None = None,
    fps: float = 25,
    speed: float = 1,
    viewers: Sequence[Viewer] = (),
    report: Callable[[int], None] = lambda t_us: None,
) -> RunResult:
    """Predict once, and write all outputs from that run.

    The files appear when all of them are complete; none does if anything fails.

    Args:
        viewers: to show the results on as well.
        report: called with the time of each result, µs.

    Raises:
        EvfaceError: reading, predicting or writing failed.
    """
    name = predictor.card.name
    at_end = [path for path in outputs if path.suffix.lower() in WRITERS]
    # A camera may run for months: keep only what an output needs.
    keep = bool(at_end) or not source.live
    faces: list[FaceLandmarks] = []
    summary = FaceSummary()
    first_us = last_us = windows = 0
    text = f"{name} · speed {speed:g}" if speed != 1 else name
    with ExitStack() as files:
        viewers = [*files.enter_context(open_files(outputs, fps=fps, text=text)), *viewers]
        if viewers:
            from evface_edge.results import ViewFrames, show_results

            frames = ViewFrames(source, fps=fps, speed=speed)
            results = show_results(predictor.stream(frames.source, box=box), frames, viewers)
        else:
            results = predictor.stream(source, box=box)
        for t_us, new in results:
            first_us, last_us = (first_us if windows else t_us), t_us
            windows += 1
            summary.add(new)
            if keep:
                faces += new
            report(t_us)
        predictions = Predictions(faces, size=source.size, model=name, windows=windows)
        for path in at_end:
            WRITERS[path.suffix.lower()](predictions, files.enter_context(whole_file(path)))
    return RunResult(predictions, summary.rows(), first_us, last_us)


def show_summary(run: RunResult) -> None:
    """Print a table with a row for each face, or that there is none."""
    windows = run.predictions.windows
    seconds = (run.last_us - run.first_us) / 1e6
    examined = f"{windows:,} window{'s' * (windows != 1)} in {seconds:.2f} s of recording"
    if not run.rows:
        typer.echo(f"no face in {examined}")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("face", "results", "from s", "to s", "presence", "σ px", "states"):
        table.add_column(heading, justify="left" if heading == "states" else "right")
    for row in run.rows:
        table.add_row(
            str(row["face_id"]),
            f"{row['results']:,}",
            # A result has the time of its newest event, just before that of the window.
            f"{max(row['first_us'] - run.first_us, 0) / 1e6:.2f}",
            f"{max(row['last_us'] - run.first_us, 0) / 1e6:.2f}",
            f"{row['mean_presence']:.2f}",
            f"{row['mean_sigma_px']:.1f}",
            ", ".join(f"{name} {fraction:.0%}" for name, fraction in row["states"].items()),
        )
    Console().print(table)
    typer.echo(examined)
