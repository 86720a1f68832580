"""`evface-edge convert`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evface_edge.cli.damage import DamageOption, show_damage, suggest_policy
from evface_edge.cli.options import JsonOption, SizeOption
from evface_edge.errors import ConfigError

if TYPE_CHECKING:
    from evface_edge.events.recording import Recording


def convert(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="Read this recording.")],
    target: Annotated[
        str,
        typer.Argument(metavar="OUTPUT", help="Write this recording; the suffix is the format."),
    ],
    size: SizeOption = None,
    from_zero: Annotated[
        bool, typer.Option("--from-zero", help="Shift all times so that the first is 0 µs.")
    ] = False,
    damage: DamageOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a recording in another format. OUTPUT is written completely or not at
    all.

    A damaged recording is an error, unless --damage says otherwise.

    \b
    Examples:
      evface-edge convert recording.raw recording.npz
      evface-edge convert events.csv events.raw --size 346x260
      evface-edge convert events.npz 'events.raw?format=evt2'
    """
    from evface_edge.cli.progress import progress
    from evface_edge.events import EventWriter, open_events, uri
    from evface_edge.events.recording import Recording
    from evface_edge.results.output_file import check_folder, naming

    out = uri.parse(target).path
    if out.exists() and out.is_file() and not overwrite:
        raise ConfigError(
            "OUTPUT",
            str(out),
            "a name that does not exist, or --overwrite",
            reason=f"{out} exists; add --overwrite to replace it",
        )
    check_folder(out)
    began_s = time.monotonic()
    with open_events(source, size=size, damage=damage) as recording:
        if not isinstance(recording, Recording):
            raise ConfigError("INPUT", source, "a recording in a file")
        if out.exists() and out.samefile(recording.path):
            raise ConfigError("OUTPUT", str(out), "another file than INPUT")
        with (
            naming(out),
            suggest_policy(recording),
            EventWriter(target, recording.size) as writer,
            progress(recording) as report,
        ):
            shift_us = None
            for packet in recording:
                if from_zero:
                    packet = packet.copy()
                    shift_us = int(packet["t"][0]) if shift_us is None else shift_us
                    packet["t"] -= shift_us
                writer.write(packet)
                report(int(packet["t"][-1]))
    _show(recording, writer.path, writer.events, time.monotonic() - began_s, as_json)


def _show(recording: Recording, out: Path, events: int, seconds: float, as_json: bool) -> None:
    facts = {
        "input": str(recording.path),
        "output": str(out),
        "events": events,
        "width": recording.size.width,
        "height": recording.size.height,
        "bytes": out.stat().st_size,
        "seconds": seconds,
        "damage": None if recording.damage is None else str(recording.damage),
        "damaged": recording.counters.damaged,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    rate = events / max(seconds, 1e-9) / 1e6
    typer.echo(
        f"{out}: {events:,} events, {recording.size} pixels, {out.stat().st_size / 1e6:.1f} MB, "
        f"{rate:.1f} Mev/s"
    )
    show_damage(recording)
