"""`evface-edge demo`."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from evface_edge import DEMO_RECORDING
from evface_edge.cli.options import JsonOption

MODEL = "evface-s"


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Write into this folder.")
    ] = Path("evface-demo"),
    as_json: JsonOption = False,
) -> None:
    """Show landmarks on the bundled recording.

    Writes landmarks.csv, landmarks.json and annotated.gif (and annotated.mp4 if PyAV is installed)
    into a folder. Needs no camera, no network and no GPU.

    \b
    Examples:
      evface-edge demo
      evface-edge demo --output /tmp/demo
    """
    from evface_edge.cli.progress import progress
    from evface_edge.cli.run import run_predictor, show_summary
    from evface_edge.errors import ConfigError
    from evface_edge.events import open_events
    from evface_edge.predictor import Predictor

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("output", str(output), f"a folder ({error.strerror})") from None
    names = ["landmarks.csv", "landmarks.json", "annotated.gif"]
    if find_spec("av") is not None:
        names.append("annotated.mp4")
    outputs = [output / name for name in names]
    began_s = time.perf_counter()
    with (
        open_events(DEMO_RECORDING) as events,
        Predictor(MODEL) as predictor,
        progress(events) as report,
    ):
        description = predictor.describe()
        run = run_predictor(predictor, events, outputs, report=report)
        count = events.counters.events
    elapsed_s = time.perf_counter() - began_s
    if as_json:
        result = {
            "events": count,
            "runs_on": description,
            "windows": run.predictions.windows,
            "faces": run.rows,
            "outputs": [str(path) for path in outputs],
            "elapsed_s": round(elapsed_s, 3),
        }
        typer.echo(json.dumps(result))
        return
    typer.echo(f"bundled recording: {run.predictions.size} pixels, {count:,} events")
    typer.echo(description)
    show_summary(run)
    typer.echo(f"in {elapsed_s:.1f} s")
    typer.echo(f"Open {output / 'annotated.gif'}; the numbers are in {output / 'landmarks.csv'}.")
