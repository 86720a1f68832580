"""`evface-edge models`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print whole model cards.")] = False,
) -> None:
    """List the models that came along: what they were measured at, and what they may be used for.

    \b
    Examples:
      evface-edge models
      evface-edge models --json
    """
    from evface_edge.card_file import read_card
    from evface_edge.models import bundled_names, find_model

    paths = [find_model(name) for name in bundled_names()]
    found = [(path, read_card(path)) for path in paths]
    if as_json:
        cards = [
            {"path": str(path), "bytes": path.stat().st_size} | dataclasses.asdict(card)
            for path, card in found
        ]
        typer.echo(json.dumps(cards))
        return
    if not found:
        typer.echo("no model came along with this installation")
        return
    for path, card in found:
        megabytes = path.stat().st_size / 1e6
        typer.echo(f"{path.stem}: {card.precision}, version {card.version}, {megabytes:.1f} MB")
        for key, value in sorted(card.metrics.items()):
            typer.echo(f"  {key.replace('_', ' '):<32} {value:g}")
        for key, text in sorted(card.training.items()):
            typer.echo(f"  {key}: {text}")
        typer.echo()
    typer.echo("use one: evface-edge predict INPUT -m NAME")
