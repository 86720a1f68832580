"""Progress on stderr: bars on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evface_edge.events.recording import Recording
from evface_edge.events.source import EventSource


@contextmanager
def progress(source: EventSource) -> Iterator[Callable[[int], None]]:
    """How much of a source is read, and the remaining time; nothing off a terminal.

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


@contextmanager
def count_progress(title: str, total: int) -> Iterator[Callable[..., None]]:
    """How many of a known number are done; off a terminal, a line for each tenth.

    Yields:
        a function to call with the number of those done since the last call, by default 1.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        with Progress(console=console, transient=True, redirect_stdout=False) as bar:
            task = bar.add_task(title, total=total)
            yield lambda count=1: bar.advance(task, count)
        return
    done = 0

    def advance(count: int = 1) -> None:
        nonlocal done
        before, done = done, done + count
        if 10 * done // max(total, 1) > 10 * before // max(total, 1):
            sys.stderr.write(f"{title}: {done} of {total}\n")

    yield advance
