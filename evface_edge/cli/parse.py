"""Sizes and boxes as they are typed."""

from __future__ import annotations

import re

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
