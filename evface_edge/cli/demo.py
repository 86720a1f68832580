"""`evface-edge demo`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from evface_edge import DEMO_RECORDING
from evface_edge.cli.options import JsonOption


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
    from evface_edge.bench.output import make_folder
    from evface_edge.cli.predict import predict

    make_folder(output)
    names = ["landmarks.csv", "landmarks.json", "annotated.gif"]
    if find_spec("av") is not None:
        names.append("annotated.mp4")
    predict(str(DEMO_RECORDING), output=[output / name for name in names], as_json=as_json)
    if not as_json:
        typer.echo(f"open {output / 'annotated.gif'}; the numbers are in {output / names[0]}")
