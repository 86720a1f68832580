"""The option --damage, and what commands print about damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from evface_edge.errors import EventFormatError
from evface_edge.events.damage import Damage, check_damage, describe_damage
from evface_edge.events.source import EventSource


def parse_damage(text: str) -> Damage:
    """Checks the name of a policy; ConfigError if there is none."""
    return check_damage(text)


DamageOption = Annotated[
    Any,
    typer.Option(
        "--damage",
        parser=parse_damage,
        metavar="POLICY",
        help="At damage: strict (fail; default for recordings), salvage (use the events before "
        "it) or skip (leave out what cannot be true; default for cameras).",
    ),
]


@contextmanager
def suggest_policy(source: EventSource) -> Iterator[None]:
    """Damage of the recording, with the options that read it all the same."""
    try:
        yield
    except EventFormatError as error:
        events = source.counters.events
        if error is not getattr(source, "damage", None):
            raise
        fix = "--damage skip leaves out what cannot be true"
        if events:
            fix += f", --damage salvage uses the {events:,} events before it"
        raise EventFormatError(
            error.reason,
            path=error.path,
            offset=error.offset,
            field=error.field,
            value=error.value,
            expected=error.expected,
            fix=fix,
        ) from error


def show_damage(source: EventSource) -> None:
    """Print what was left out of a recording; nothing if nothing was."""
    damaged = source.counters.damaged
    if damaged:
        typer.echo(f"left out: {describe_damage(damaged)}")
