"""`evface-edge models`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from evface_edge.card import ModelCard


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show the details of this model only.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print whole model cards as JSON.")
    ] = False,
) -> None:
    """List the bundled models: precision, size, version, error and licence.

    \b
    Examples:
      evface-edge models
      evface-edge models evface-s-int8
      evface-edge models --json
    """
    from evface_edge.card_file import read_card
    from evface_edge.models import bundled_names, find_model

    paths = [find_model(each) for each in ([name] if name else bundled_names())]
    cards = [(path, read_card(path)) for path in paths]
    if as_json:
        rows = [
            {
                "path": str(path),
                "bytes": path.stat().st_size,
                "files": {file.name: file.stat().st_size for file in _files(path)},
            }
            | dataclasses.asdict(card)
            for path, card in cards
        ]
        typer.echo(json.dumps(rows))
    elif name:
        show_card(cards[0][1])
    elif cards:
        _show_table(cards)
    else:
        typer.echo("this installation contains no model")


def _show_table(cards: list[tuple[Path, ModelCard]]) -> None:
    from evface_edge.bench.output import text_table

    heading = ("name", "precision", "files, MB", "version", "NME-68", "licence")
    rows = []
    for path, card in cards:
        error = card.metrics.get("normal_nme68_percent")
        rows.append(
            [
                path.stem,
                card.precision,
                ", ".join(
                    f"{file.suffix} {file.stat().st_size / 1e6:.1f}" for file in _files(path)
                ),
                card.version,
                "–" if error is None else f"{error:.2f} %",
                card.training.get("licence", "–").partition(",")[0],
            ]
        )
    typer.echo(text_table(heading, rows))
    typer.echo("\nuse a model: evface-edge predict INPUT -m NAME; details: evface-edge models NAME")


def _files(path: Path) -> list[Path]:
    """The files of a bundled model, for different runtimes; of another one, itself."""
    from evface_edge.models import files_of

    files = files_of(path.stem)
    return files if path in files else [path]


def show_card(card: ModelCard) -> None:
    """Print all fields of a card, one a line."""
    for name, value in dataclasses.asdict(card).items():
        heading = name.replace("_", " ")
        if isinstance(value, dict) and value:
            typer.echo(f"{heading}:")
            for key, item in value.items():
                typer.echo(f"  {str(key).replace('_', ' '):<24} {item}")
        elif isinstance(value, list | tuple):
            typer.echo(f"{heading}:")
            for item in value:
                typer.echo("  " + ", ".join(f"{key} {part}" for key, part in item.items()))
        else:
            typer.echo(f"{heading + ':':<26} {value if value != {} else 'none'}")
