"""`evface-edge info`."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evface_edge.cli.options import SizeOption
from evface_edge.errors import ConfigError, EventFormatWarning

if TYPE_CHECKING:
    from evface_edge.events.recording import Recording
    from evface_edge.events.statistics import Statistics

_MODEL_SUFFIXES = (".onnx", ".xml", ".engine", ".plan", ".pt")
_BARS = " ▁▂▃▄▅▆▇█"
_BINS = 60


def info(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A recording, camera or model.")],
    size: SizeOption = None,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="N", help="Of a camera: how long to look; by default 2 seconds."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Say what is in a recording, what comes from a camera, or what is on the card of a model.

    Of a recording: format, size, duration, events, rate over time, polarities, the hottest
    pixels, times without events, and damage. All of it is read once.

    \b
    Examples:
      evface-edge info recording.raw
      evface-edge info events.csv --size 346x260 --json
      evface-edge info camera:prophesee --seconds 5
      evface-edge info evface-s.onnx
    """
    if Path(source).suffix.lower() in _MODEL_SUFFIXES:
        _model(source, as_json)
        return
    from evface_edge.events import open_events
    from evface_edge.events.recording import Recording
    from evface_edge.events.statistics import gather

    with open_events(source, size=size) as recording, warnings.catch_warnings():
        if recording.live:
            from evface_edge.cli.live import look

            look(source, recording, seconds, as_json)
            return
        if not isinstance(recording, Recording):
            raise ConfigError("INPUT", source, "a recording in a file, a camera, or a model")
        if seconds is not None:
            raise ConfigError("seconds", seconds, "a camera: a recording is read as a whole")
        # Damage is one of the facts to print.
        warnings.simplefilter("ignore", EventFormatWarning)
        statistics = gather(recording, recording.size)
        facts = _facts(recording, statistics)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _show(facts, statistics)


def _model(path: str, as_json: bool) -> None:
    from evface_edge.card_file import read_card

    fields = dataclasses.asdict(read_card(path))
    if as_json:
        typer.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            typer.echo(f"{name.replace('_', ' ')}:")
            for key, item in value.items():
                typer.echo(f"  {str(key).replace('_', ' '):<24} {item}")
        elif isinstance(value, list | tuple):
            typer.echo(f"{name.replace('_', ' ')}:")
            for item in value:
                text = ", ".join(f"{key} {part}" for key, part in item.items())
                typer.echo(f"  {text}")
        else:
            typer.echo(f"{name.replace('_', ' '):<26} {value if value != {} else 'none'}")


def _facts(recording: Recording, statistics: Statistics) -> dict[str, Any]:
    counters = recording.counters
    damage = recording.damage
    return {
        "path": str(recording.path),
        "bytes": _bytes(recording.path),
        "format": recording.format.name,
        "format_title": recording.format.title,
        "width": recording.size.width,
        "height": recording.size.height,
        "details": dict(recording.details),
        "events": statistics.events,
        "first_us": statistics.first_us,
        "last_us": statistics.last_us,
        "duration_us": statistics.duration_us,
        "mean_rate_hz": statistics.mean_rate_hz,
        "rates_hz": statistics.rates_hz(_BINS).tolist(),
        "on_fraction": statistics.on_fraction,
        "active_pixels": statistics.active_pixels,
        "hot_pixels": [dataclasses.asdict(pixel) for pixel in statistics.hot_pixels],
        "gap_count": statistics.gap_count,
        "gaps": [dataclasses.asdict(gap) for gap in statistics.gaps],
        "times_clamped": counters.times_clamped,
        "bytes_skipped": counters.bytes_skipped,
        "damage": None if damage is None else str(damage),
        "damage_offset": None if damage is None else damage.offset,
    }


def _bytes(path: Path) -> int:
    """Of a file, or of the files of a bag."""
    parts = path.iterdir() if path.is_dir() else (path,)
    return sum(part.stat().st_size for part in parts)


def _show(facts: dict[str, Any], statistics: Statistics) -> None:
    def line(name: str, text: str) -> None:
        typer.echo(f"{name:<12} {text}")

    line("file", f"{facts['path']} ({facts['bytes'] / 1e6:.1f} MB)")
    topic = facts["details"].get("topic")
    line("format", facts["format_title"] + (f", topic {topic}" if topic else ""))
    line("sensor", f"{facts['width']}×{facts['height']} pixels")
    line("events", f"{facts['events']:,}")
    if facts["events"]:
        duration_s = facts["duration_us"] / 1e6
        line("time", f"{duration_s:.6g} s, from {facts['first_us']} to {facts['last_us']} µs")
        rates = statistics.rates_hz(_BINS)
        line("rate", f"{_rate(facts['mean_rate_hz'])} on average")
        if len(rates):
            peak = float(rates.max())
            bars = "".join(_BARS[max(1, round(8 * rate / peak)) if rate else 0] for rate in rates)
            line("over time", f"|{bars}|")
            line("", f"each bar {duration_s / _BINS:.3g} s, the highest {_rate(peak)}")
        line(
            "polarity",
            f"{facts['on_fraction']:.1%} brighter, {1 - facts['on_fraction']:.1%} darker",
        )
        pixels = facts["width"] * facts["height"]
        active = facts["active_pixels"]
        line("pixels", f"{active:,} of {pixels:,} had events ({active / pixels:.1%})")
        hot = [f"({p['x']}, {p['y']}) {p['fraction']:.2%}" for p in facts["hot_pixels"]]
        line("hottest", ", ".join(hot))
        gaps = [f"{g['duration_us'] / 1e3:.1f} ms at {g['start_us']} µs" for g in facts["gaps"]]
        count = facts["gap_count"]
        listed = f"{count} of 10 ms or more: {', '.join(gaps)}" if count else "none of 10 ms"
        line("gaps", listed + (", …" if count > len(gaps) else ""))
    if facts["times_clamped"]:
        line("clamped", f"{facts['times_clamped']:,} events lay up to 1 ms before their neighbour")
    if facts["bytes_skipped"]:
        line("skipped", f"{facts['bytes_skipped']:,} bytes of no known kind")
    line("damage", facts["damage"] or "none found")


def _rate(rate_hz: float) -> str:
    for unit, scale in (("Mev/s", 1e6), ("kev/s", 1e3)):
        if rate_hz >= scale:
            return f"{rate_hz / scale:.3g} {unit}"
    return f"{rate_hz:.3g} ev/s"
