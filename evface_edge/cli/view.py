"""`evface-edge view`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from evface_edge.cli.live import Ending, ending, losses
from evface_edge.cli.options import (
    BindOption,
    PortOption,
    SalvageOption,
    SecondsOption,
    SizeOption,
    SourceArgument,
)


def view(
    source: SourceArgument,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUTPUT",
            help="window, web: a live page, a video (.gif .mp4), or a recording for rerun (.rrd); "
            "may be given several times; by default window.",
        ),
    ] = None,
    accumulate_ms: Annotated[
        float, typer.Option(metavar="N", help="An image shows the events of so many ms.")
    ] = 20,
    fps: Annotated[float, typer.Option(metavar="N", help="Images a second.")] = 25,
    speed: Annotated[
        float, typer.Option(metavar="N", help="0.1 is slow motion, ten times slower than life.")
    ] = 1,
    size: SizeOption = None,
    bind: BindOption = "127.0.0.1",
    port: PortOption = 9090,
    seconds: SecondsOption = None,
    salvage: SalvageOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Look at events alone: what made a pixel brighter in blue, darker in red.

    In a window and on a page, the line below the image pauses (space bar), steps, changes the
    speed and goes back and forth. Longer accumulation shows more of slow motion and blurs fast
    motion.

    \b
    Examples:
      evface-edge view recording.raw
      evface-edge view camera:prophesee -o web
      evface-edge view recording.raw -o slow.mp4 --speed 0.05 --accumulate-ms 2
    """
    from evface_edge.cli.recording import (
        VIEW_SUFFIXES,
        WINDOW,
        check_outputs,
        open_files,
        open_viewers,
        progress,
        written,
    )
    from evface_edge.errors import ConfigError
    from evface_edge.events import open_events
    from evface_edge.results.moments import Moments
    from evface_edge.results.screens import show_events

    outputs = output or [WINDOW]
    check_outputs(outputs, source, VIEW_SUFFIXES)
    if not accumulate_ms >= 0.001:
        raise ConfigError("accumulate-ms", accumulate_ms, "0.001 or more")
    with (
        open_events(source, size=size, strict=not salvage) as events,
        open_viewers(outputs, live=events.live, speed=speed, address=bind, port=port) as viewers,
    ):
        text = f"{accumulate_ms:g} ms" + f" · speed {speed:g}" * (speed != 1)
        with (
            ending(events, seconds) as whole,
            progress(events) as report,
            open_files(outputs, fps=fps, text=text) as screens,
        ):
            accumulation_us = round(1e3 * accumulate_ms)
            moments = Moments(whole, fps=fps, speed=speed, accumulation_us=accumulation_us)
            for t_us in show_events(moments, [*screens, *viewers.screens]):
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
                typer.echo(f"lost: {losses(counters)}")
            for path in written(outputs):
                typer.echo(f"written: {path}")
        if isinstance(whole, Ending) and whole.error is not None:
            raise whole.error
        if not events.live:
            viewers.stay()
