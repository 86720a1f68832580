"""`evface-edge view`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from evface_edge.cli.damage import DamageOption, show_damage, suggest_policy
from evface_edge.cli.options import (
    BindOption,
    FpsOption,
    JsonOption,
    PortOption,
    SecondsOption,
    SizeOption,
    SourceArgument,
    SpeedOption,
)


def view(
    source: SourceArgument,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a video (.gif .mp4) or rerun file (.rrd), or show the events live: window "
            "(the default), or web for a web page. Repeatable. "
            "Some need extras: .mp4 [view]; window, web and .rrd [web].",
        ),
    ] = None,
    accumulate_ms: Annotated[
        float, typer.Option(metavar="N", help="Show the events of N ms in each image.")
    ] = 20,
    fps: FpsOption = 25,
    speed: SpeedOption = 1,
    size: SizeOption = None,
    bind: BindOption = "127.0.0.1",
    port: PortOption = 9090,
    seconds: SecondsOption = None,
    damage: DamageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show events without landmarks: brighter pixels in blue, darker ones in red.

    In a window and on a web page, the line below the image pauses (space bar), steps, seeks and
    changes the speed. A longer accumulation shows slow motion better, and blurs fast motion.

    \b
    Examples:
      evface-edge view recording.raw
      evface-edge view camera:prophesee -o web
      evface-edge view recording.raw -o slow.mp4 --speed 0.05 --accumulate-ms 2
    """
    from evface_edge.cli.outputs import (
        VIEW_SUFFIXES,
        WINDOW,
        check_outputs,
        files,
        open_files,
        open_live_views,
    )
    from evface_edge.cli.progress import progress
    from evface_edge.errors import ConfigError
    from evface_edge.events import open_events
    from evface_edge.live import describe_losses, until_stopped
    from evface_edge.results import ViewFrames, show_events

    outputs = output or [WINDOW]
    check_outputs(outputs, source, VIEW_SUFFIXES)
    if not accumulate_ms >= 0.001:
        raise ConfigError("accumulate-ms", accumulate_ms, "0.001 or more")
    with (
        open_events(source, size=size, damage=damage) as events,
        open_live_views(outputs, live=events.live, speed=speed, address=bind, port=port) as views,
    ):
        text = f"{accumulate_ms:g} ms" + f" · speed {speed:g}" * (speed != 1)
        with (
            until_stopped(events, seconds=seconds) as stoppable,
            progress(events) as report,
            suggest_policy(events),
            open_files(outputs, fps=fps, text=text) as viewers,
        ):
            accumulation_us = round(1e3 * accumulate_ms)
            frames = ViewFrames(stoppable, fps=fps, speed=speed, accumulation_us=accumulation_us)
            for t_us in show_events(frames, [*viewers, *views.viewers]):
                report(t_us)
        counters = events.counters
        if as_json:
            result = {
                "input": source,
                "sensor": {"width": events.size.width, "height": events.size.height},
                "events": counters.events,
                "counters": asdict(counters),
                "outputs": [str(path) for path in outputs],
            }
            typer.echo(json.dumps(result))
        else:
            typer.echo(f"{source}: {events.size} pixels, {counters.events:,} events")
            if events.live:
                typer.echo(f"lost: {describe_losses(counters)}")
            else:
                show_damage(events)
            for path in files(outputs):
                typer.echo(f"written: {path}")
        stoppable.raise_error()
        if not events.live:
            views.wait()
