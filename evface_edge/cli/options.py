"""Arguments and options that several commands share, and how their text is parsed."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from evface_edge.errors import ConfigError
from evface_edge.geometry import Box, SensorSize


def parse_size(text: str | SensorSize) -> SensorSize:
    """ "346x260" → SensorSize."""
    if isinstance(text, SensorSize):  # Typer parses defaults as well
        return text
    match = re.fullmatch(r"\s*(\d+)\s*[x×X]\s*(\d+)\s*", text)
    if match is None:
        raise typer.BadParameter(f"{text!r}: expected width x height, such as 346x260")
    try:
        return SensorSize(int(match[1]), int(match[2]))
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None


def parse_box(text: str | Box) -> Box:
    """ "x,y,width,height" → Box."""
    if isinstance(text, Box):
        return text
    try:
        x, y, width, height = (float(part) for part in text.split(","))
        return Box(x, y, width, height)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: expected x,y,width,height in pixels, such as 120,60,110,130"
        ) from None
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None


SourceArgument = Annotated[
    str, typer.Argument(metavar="INPUT", help="Recording, camera or other source of events.")
]
SizeOption = Annotated[
    SensorSize | None,
    typer.Option(
        parser=parse_size,
        metavar="WxH",
        help="Set the sensor size in pixels, for recordings that do not contain it.",
    ),
]
BoxOption = Annotated[
    Box | None,
    typer.Option(
        parser=parse_box,
        metavar="X,Y,W,H",
        help="Set the face box in pixels, and turn detection and tracking off.",
    ),
]
FpsOption = Annotated[float, typer.Option(metavar="N", help="Set the images per second of videos.")]
SpeedOption = Annotated[
    float,
    typer.Option(metavar="N", help="Set the playback speed; 0.1 is slow motion."),
]
BindOption = Annotated[
    str,
    typer.Option(metavar="ADDRESS", help="Serve web at this address; 0.0.0.0 is every network."),
]
PortOption = Annotated[
    int, typer.Option(metavar="N", help="Serve web at this port; 0 selects a free one.")
]
SecondsOption = Annotated[
    float | None,
    typer.Option(metavar="N", help="Stop a camera after N seconds; by default, Ctrl-C stops it."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
