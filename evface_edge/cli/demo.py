"""`evface-edge demo`."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

#: Made by our own simulator from a head of our own making:
#: evface-edge simulate 'synthetic:avatar?seed=1&seconds=3&focal_px=540' -o demo.npz --seed 1
RECORDING = Path(__file__).parents[1] / "data" / "demo.npz"
MODEL = "evface-s"


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Made where it is missing.")
    ] = Path("evface-demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Find the landmarks in the recording that came along, and make a video of it.

    Writes landmarks.csv, landmarks.json and annotated.gif (with PyAV installed, annotated.mp4 too)
    into a folder. Needs no camera, no network and no GPU.

    \b
    Examples:
      evface-edge demo
      evface-edge demo --output /tmp/demo
    """
    from evface_edge.cli.recording import (
        predict_recording,
        progress,
        show_summary,
    )
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
    began = time.perf_counter()
    with (
        open_events(RECORDING) as events,
        Predictor(MODEL) as predictor,
        progress(events) as report,
    ):
        described = predictor.describe()
        done = predict_recording(predictor, events, outputs, report=report)
        count = events.counters.events
    elapsed = time.perf_counter() - began
    predictions = done.predictions
    if as_json:
        result = {
            "events": count,
            "runs_on": described,
            "windows": predictions.windows,
            "faces": done.rows,
            "outputs": [str(path) for path in outputs],
            "elapsed_s": round(elapsed, 3),
        }
        typer.echo(json.dumps(result))
        return
    typer.echo(f"the recording that came along: {predictions.size} pixels, {count:,} events")
    typer.echo(described)
    show_summary(done)
    typer.echo(f"in {elapsed:.1f} s")
    typer.echo(
        f"Look at {output / 'annotated.gif'}; the numbers are in {output / 'landmarks.csv'}."
    )
