"""`evface-edge predict`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evface_edge.cli.damage import DamageOption, show_damage, suggest_policy
from evface_edge.cli.options import (
    BindOption,
    BoxOption,
    FpsOption,
    JsonOption,
    PortOption,
    SecondsOption,
    SizeOption,
    SourceArgument,
    SpeedOption,
)

if TYPE_CHECKING:
    from evface_edge.cli.run import RunResult
    from evface_edge.events.source import EventSource


def predict(
    source: SourceArgument,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="Use this bundled model or model file."
        ),
    ] = "evface-s",
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a table (.csv .json .parquet), plot (.png), video (.gif .mp4) or rerun "
            "file (.rrd), or show the results live: window, or web for a web page. Repeatable. "
            "Some need extras: .parquet [parquet], .png [report], .mp4 [view]; window, web and "
            ".rrd [web].",
        ),
    ] = None,
    size: SizeOption = None,
    box: BoxOption = None,
    rate_hz: Annotated[
        float | None,
        typer.Option(metavar="N", help="Set the results per second, at most 1000 (default: 100)."),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Use this runtime; by default it depends on the model."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Use this device (cpu, cuda, …), without fallback.")
    ] = "auto",
    faces: Annotated[
        int, typer.Option(metavar="N", help="Follow up to N faces at once, at most 8.")
    ] = 1,
    smoothing: Annotated[bool, typer.Option(help="Filter jitter out of the landmarks.")] = True,
    fps: FpsOption = 25,
    speed: SpeedOption = 1,
    bind: BindOption = "127.0.0.1",
    port: PortOption = 9090,
    seconds: SecondsOption = None,
    damage: DamageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the 98 landmarks of faces in a recording of events, or in a camera stream.

    Prints a summary, and writes the outputs given with -o. Tables also have head pose, eye and
    mouth aspect ratio, and blinks. A damaged recording is an error and nothing is written, unless
    --damage says otherwise. Videos show brighter pixels in blue, darker ones in red.

    \b
    Examples:
      evface-edge predict recording.raw
      evface-edge predict recording.aedat4 -o landmarks.csv -o annotated.gif
      evface-edge predict events.npz --size 346x260 --rate-hz 100 --json
      evface-edge predict camera:prophesee --seconds 20 -o landmarks.csv
      evface-edge predict camera:prophesee -o web
      evface-edge predict dv://192.168.0.7:7777 -o landmarks.csv
    """
    from evface_edge.cli.outputs import PREDICT_SUFFIXES, check_outputs, open_live_views
    from evface_edge.cli.progress import progress
    from evface_edge.cli.run import run_predictor
    from evface_edge.events import open_events
    from evface_edge.live import until_stopped
    from evface_edge.predictor import Predictor

    outputs = output or []
    check_outputs(outputs, source, PREDICT_SUFFIXES)
    began_s = time.perf_counter()
    with (
        open_events(source, size=size, damage=damage) as events,
        open_live_views(outputs, live=events.live, speed=speed, address=bind, port=port) as views,
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
            until_stopped(events, seconds=seconds) as stoppable,
            progress(events) as report,
            suggest_policy(events),
        ):
            description = predictor.describe()
            run = run_predictor(
                predictor,
                stoppable,
                outputs,
                box=box,
                fps=fps,
                speed=speed,
                viewers=views.viewers,
                report=report,
            )
        elapsed_s = time.perf_counter() - began_s
        _show(source, events, description, run, outputs, elapsed_s, as_json)
        stoppable.raise_error()
        if not events.live:
            views.wait()


def _show(
    source: str,
    events: EventSource,
    description: str,
    run: RunResult,
    outputs: list[Path],
    elapsed_s: float,
    as_json: bool,
) -> None:
    from evface_edge.cli.outputs import files
    from evface_edge.cli.run import show_summary
    from evface_edge.live import describe_losses

    predictions, counters = run.predictions, events.counters
    if as_json:
        result = {
            "input": source,
            "model": predictions.model,
            "runs_on": description,
            "sensor": {"width": predictions.size.width, "height": predictions.size.height},
            "events": counters.events,
            "counters": asdict(counters),
            "windows": predictions.windows,
            "faces": run.rows,
            "outputs": [str(path) for path in outputs],
            "elapsed_s": round(elapsed_s, 3),
        }
        typer.echo(json.dumps(result))
        return
    typer.echo(f"{source}: {predictions.size} pixels, {counters.events:,} events")
    if events.live:
        typer.echo(f"lost: {describe_losses(counters)}")
    else:
        show_damage(events)
    typer.echo(description)
    show_summary(run)
    typer.echo(f"took {elapsed_s:.1f} s")
    for path in files(outputs):
        typer.echo(f"written: {path}")
    if not outputs:
        typer.echo("add -o landmarks.csv or -o annotated.gif to keep the result")
