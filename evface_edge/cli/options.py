"""Options that several commands share, as annotated types."""

from __future__ import annotations

from typing import Annotated

import typer

from evface_edge.cli.parse import parse_size
from evface_edge.geometry import SensorSize

SourceArgument = Annotated[
    str, typer.Argument(metavar="INPUT", help="A recording, or another source of events.")
]
SizeOption = Annotated[
    SensorSize | None,
    typer.Option(
        parser=parse_size,
        metavar="WxH",
        help="Size of the sensor in pixels, where the recording does not say it.",
    ),
]
BindOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Of web: where it listens; 0.0.0.0 everywhere.")
]
PortOption = Annotated[int, typer.Option(metavar="N", help="Of web; 0 takes a free one.")]
SecondsOption = Annotated[
    float | None,
    typer.Option(metavar="N", help="Of a camera: for how long; by default until Ctrl-C."),
]
SalvageOption = Annotated[
    bool, typer.Option("--salvage", help="Of a damaged recording, use what is sound.")
]
