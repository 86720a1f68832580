"""`evface-edge info`."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evface_edge.cli.damage import DamageOption
from evface_edge.cli.options import JsonOption, SizeOption
from evface_edge.errors import ConfigError, EventFormatWarning
from evface_edge.events.damage import describe_damage

if TYPE_CHECKING:
    from evface_edge.events.recording import Recording
    from evface_edge.events.source import EventSource
    from evface_edge.events.statistics import Statistics

_BARS = " ▁▂▃▄▅▆▇█"
_BINS = 60
#: How long a camera is read by default.
_CAMERA_S = 2.0


def info(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Recording, camera, model file or bundled model.")
    ],
    size: SizeOption = None,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="N", help="Read a camera for N seconds (default: 2)."),
    ] = None,
    damage: DamageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a recording, the events of a camera, or the card of a model.

    For a recording, print format, what it states and what was inferred, duration, events, rate
    over time, polarities, hot pixels, gaps and damage. The whole file is read once; what cannot be
    true is left out and counted.

    \b
    Examples:
      evface-edge info recording.raw
      evface-edge info events.csv --size 346x260 --json
      evface-edge info camera:prophesee --seconds 5
      evface-edge info evface-s
    """
    from evface_edge.card_file import MODEL_SUFFIXES
    from evface_edge.events import open_events
    from evface_edge.events.recording import Recording
    from evface_edge.models import find_model

    if Path(source).suffix.lower() in MODEL_SUFFIXES:
        _show_model(source, as_json)
        return
    is_word = not Path(source).suffix and ":" not in source
    if is_word and not Path(source).exists():
        _show_model(find_model(source), as_json)
        return
    with open_events(source, size=size, damage=damage or "skip") as opened:
        if opened.live:
            _show_camera(source, opened, _CAMERA_S if seconds is None else seconds, as_json)
        elif not isinstance(opened, Recording):
            raise ConfigError("INPUT", source, "a recording in a file, a camera, or a model")
        elif seconds is not None:
            raise ConfigError(
                "--seconds", seconds, "a camera", reason="--seconds is only for cameras"
            )
        else:
            _show_recording(opened, as_json)


def _show_model(path: str | Path, as_json: bool) -> None:
    from evface_edge.card_file import read_card
    from evface_edge.cli.models import show_card

    card = read_card(path)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(card)))
    else:
        show_card(card)


def _show_camera(name: str, source: EventSource, seconds: float, as_json: bool) -> None:
    """Print the statistics of a camera's events over `seconds`.

    Raises:
        CameraError: the camera went away.
    """
    from evface_edge.events.statistics import compute_statistics
    from evface_edge.live import describe_losses, until_stopped

    with until_stopped(source, seconds=seconds) as stoppable:
        statistics = compute_statistics(stoppable, source.size)
    stoppable.raise_error()
    facts: dict[str, Any] = {
        "source": name,
        "title": getattr(source, "title", name),
        "width": source.size.width,
        "height": source.size.height,
        **_event_facts(statistics),
        "counters": dataclasses.asdict(source.counters),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    _line("camera", facts["title"])
    _line("sensor", f"{source.size} pixels")
    _line("events", f"{statistics.events:,} in {statistics.duration_us / 1e6:.3g} s")
    if statistics.events:
        _line("rate", _rate(statistics.mean_rate_hz))
        _line("polarity", _polarity(statistics.on_fraction))
        _line("hot pixels", _hot_pixels(facts["hot_pixels"]))
    _line("lost", describe_losses(source.counters))


def _show_recording(recording: Recording, as_json: bool) -> None:
    from evface_edge.events.statistics import compute_statistics

    # Damage is part of the description, not a warning.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EventFormatWarning)
        statistics = compute_statistics(recording, recording.size)
    facts = _facts(recording, statistics)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    _line("file", f"{facts['path']} ({facts['bytes'] / 1e6:.1f} MB)")
    _line("format", facts["format_title"])
    for fact in recording.facts:
        _line(fact.name, str(fact))
    _line("events", f"{facts['events']:,}")
    if facts["events"]:
        _show_events(facts, statistics)
    if facts["times_clamped"]:
        _line("clamped", f"{facts['times_clamped']:,} events up to 1 ms before the previous event")
    if facts["bytes_skipped"]:
        _line("skipped", f"{facts['bytes_skipped']:,} bytes of unknown kinds")
    found = [describe_damage(facts["damaged"]), facts["damage"]]
    _line("damage", "; ".join(text for text in found if text) or "none found")


def _show_events(facts: dict[str, Any], statistics: Statistics) -> None:
    duration_s = facts["duration_us"] / 1e6
    _line("time", f"{duration_s:.6g} s, from {facts['first_us']} to {facts['last_us']} µs")
    _line("rate", f"{_rate(facts['mean_rate_hz'])} on average")
    rates = statistics.rates_hz(_BINS)
    if len(rates):
        peak = float(rates.max())
        bars = "".join(_BARS[max(1, round(8 * rate / peak)) if rate else 0] for rate in rates)
        _line("over time", f"|{bars}|")
        _line("", f"{duration_s / _BINS:.3g} s a bar, the highest is {_rate(peak)}")
    _line("polarity", _polarity(facts["on_fraction"]))
    pixels = facts["width"] * facts["height"]
    active = facts["active_pixels"]
    _line("pixels", f"{active:,} of {pixels:,} have events ({active / pixels:.1%})")
    _line("hot pixels", _hot_pixels(facts["hot_pixels"]))
    gaps = [f"{g['duration_us'] / 1e3:.1f} ms at {g['start_us']} µs" for g in facts["gaps"]]
    count = facts["gap_count"]
    listed = f"{count} of 10 ms or more: {', '.join(gaps)}" if count else "none of 10 ms or more"
    _line("gaps", listed + (", …" if count > len(gaps) else ""))


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
        "facts": [
            dataclasses.asdict(fact) | {"value": str(fact.value)} for fact in recording.facts
        ],
        "details": dict(recording.details),
        **_event_facts(statistics),
        "rates_hz": statistics.rates_hz(_BINS).tolist(),
        "times_clamped": counters.times_clamped,
        "bytes_skipped": counters.bytes_skipped,
        "damaged": counters.damaged,
        "damage": None if damage is None else str(damage),
        "damage_offset": None if damage is None else damage.offset,
    }


def _event_facts(statistics: Statistics) -> dict[str, Any]:
    facts = dataclasses.asdict(statistics)
    del facts["bin_us"], facts["counts"]
    rates = {"duration_us": statistics.duration_us, "mean_rate_hz": statistics.mean_rate_hz}
    return facts | rates


def _bytes(path: Path) -> int:
    """Size of a file, or of all files of a bag."""
    parts = path.iterdir() if path.is_dir() else (path,)
    return sum(part.stat().st_size for part in parts)


def _line(name: str, text: str) -> None:
    typer.echo(f"{name:<12} {text}")


def _polarity(on_fraction: float) -> str:
    return f"{on_fraction:.1%} brighter, {1 - on_fraction:.1%} darker"


def _hot_pixels(pixels: list[dict[str, Any]]) -> str:
    return ", ".join(f"({p['x']}, {p['y']}) {p['fraction']:.2%}" for p in pixels)


def _rate(rate_hz: float) -> str:
    for unit, scale in (("Mev/s", 1e6), ("kev/s", 1e3)):
        if rate_hz >= scale:
            return f"{rate_hz / scale:.3g} {unit}"
    return f"{rate_hz:.3g} ev/s"
