"""Progress bars on stderr; none if stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evface_edge.events.recording import Recording
from evface_edge.events.source import EventSource


@contextmanager
def progress(source: EventSource) -> Iterator[Callable[[int], None]]:
    """How much of a source is read, and the remaining time.

    Yields:
        a function to call with the time of each result or packet, µs.
    """
    if not sys.stderr.isatty():
        yield lambda t_us: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Not stdout as well: libraries that are imported meanwhile may keep a reference to it.
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("reading", total=None)
        began_s = time.monotonic()
        start_us: int | None = None

        def update(t_us: int) -> None:
            nonlocal start_us
            start_us = t_us if start_us is None else start_us
            rate = source.counters.events / max(time.monotonic() - began_s, 1e-9) / 1e6
            text = (
                f"{(t_us - start_us) / 1e6:.2f} s, {source.counters.events:,} events, "
                f"{rate:.1f} Mev/s"
            )
            # Only a recording has an end.
            fraction = source.fraction if isinstance(source, Recording) else 0.0
            bar.update(task, description=text, total=1 if fraction else None, completed=fraction)

        yield update
