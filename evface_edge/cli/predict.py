"""`evface-edge predict`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evface_edge.cli.live import Ending, ending, losses
from evface_edge.cli.options import (
    BindOption,
    PortOption,
    SalvageOption,
    SecondsOption,
    SizeOption,
    SourceArgument,
)
from evface_edge.cli.parse import parse_box
from evface_edge.events.source import EventSource
from evface_edge.geometry import Box

if TYPE_CHECKING:
    from evface_edge.cli.recording import Pass


def predict(
    source: SourceArgument,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model that came along, or a model file.")
    ] = "evface-s",
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A table (.csv .json .parquet), a plot (.png), a video (.gif .mp4), a recording "
            "for rerun (.rrd), window, or web: a live page; may be given several times.",
        ),
    ] = None,
    size: SizeOption = None,
    box: Annotated[
        Box | None,
        typer.Option(
            parser=parse_box,
            metavar="X,Y,W,H",
            help="Where the face is, in pixels: it is then neither searched nor followed.",
        ),
    ] = None,
    rate_hz: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Results a second, at most 1000; by default 100."),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What runs the model; by default by the kind of file."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, …: used or refused, never replaced.")
    ] = "auto",
    faces: Annotated[int, typer.Option(metavar="N", help="Faces followed at once, at most 8.")] = 1,
    smoothing: Annotated[
        bool, typer.Option(help="Whether flicker is filtered out of the landmarks.")
    ] = True,
    fps: Annotated[float, typer.Option(metavar="N", help="Images a second of a video.")] = 25,
    speed: Annotated[
        float, typer.Option(metavar="N", help="Of a video: 0.1 is ten times slower than life.")
    ] = 1,
    pose: Annotated[
        bool,
        typer.Option("--pose", help="Tables get yaw, pitch and roll, and openness of eyes, mouth."),
    ] = False,
    bind: BindOption = "127.0.0.1",
    port: PortOption = 9090,
    seconds: SecondsOption = None,
    salvage: SalvageOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Find the 98 landmarks of faces in a recording of events, or in what a camera sees.

    Prints a summary, and writes tables and videos where -o says so. A damaged recording is refused
    and nothing written, unless --salvage takes what comes before the damage. A video shows events
    that made a pixel brighter in blue, darker in red.

    \b
    Examples:
      evface-edge predict recording.raw
      evface-edge predict recording.aedat4 -o landmarks.csv -o annotated.gif
      evface-edge predict events.npz --size 346x260 --rate-hz 100 --json
      evface-edge predict camera:prophesee --seconds 20 -o landmarks.csv
      evface-edge predict camera:prophesee -o web
      evface-edge predict dv://192.168.0.7:7777 -o landmarks.csv
    """
    from evface_edge.cli.recording import (
        PREDICT_SUFFIXES,
        check_outputs,
        open_viewers,
        predict_recording,
        progress,
    )
    from evface_edge.events import open_events
    from evface_edge.predictor import Predictor

    outputs = output or []
    check_outputs(outputs, source, PREDICT_SUFFIXES)
    began = time.perf_counter()
    with (
        open_events(source, size=size, strict=not salvage) as events,
        open_viewers(outputs, live=events.live, speed=speed, address=bind, port=port) as viewers,
    ):
        with (
            Predictor(
                model,
                runtime=runtime,
                device=device,
                rate_hz=rate_hz,
                faces=faces,
                smoothing=smoothing,
            ) as predictor,
            ending(events, seconds) as whole,
            progress(events) as report,
        ):
            described = predictor.describe()
            done = predict_recording(
                predictor,
                whole,
                outputs,
                box=box,
                fps=fps,
                speed=speed,
                pose=pose,
                viewers=viewers.screens,
                report=report,
            )
        elapsed = time.perf_counter() - began
        _tell(source, events, described, done, outputs, elapsed, as_json)
        _end(whole)
        if not events.live:
            viewers.stay()


def _tell(
    source: str,
    events: EventSource,
    described: str,
    done: Pass,
    outputs: list[Path],
    elapsed: float,
    as_json: bool,
) -> None:
    from evface_edge.cli.recording import show_summary, written

    predictions, counters = done.predictions, events.counters
    if as_json:
        result = {
            "input": source,
            "model": predictions.model,
            "runs_on": described,
            "sensor": {"width": predictions.size.width, "height": predictions.size.height},
            "events": counters.events,
            "counters": asdict(counters),
            "windows": predictions.windows,
            "faces": done.rows,
            "outputs": [str(path) for path in outputs],
            "elapsed_s": round(elapsed, 3),
        }
        typer.echo(json.dumps(result))
        return
    typer.echo(f"{source}: {predictions.size} pixels, {counters.events:,} events")
    if events.live:
        typer.echo(f"lost: {losses(counters)}")
    typer.echo(described)
    show_summary(done)
    typer.echo(f"in {elapsed:.1f} s")
    for path in written(outputs):
        typer.echo(f"written: {path}")
    if not outputs:
        typer.echo("add -o landmarks.csv or -o annotated.gif to keep the result")


def _end(source: EventSource) -> None:
    """What there was is written by now; a camera that went away is an error all the same."""
    if isinstance(source, Ending) and source.error is not None:
        raise source.error
