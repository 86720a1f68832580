"""What the commands do with a live source: end it in good order, and say how it went."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

import typer

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events.array import EventArray
from evface_edge.events.cameras.live import LiveCounters
from evface_edge.events.source import Counters, EventSource
from evface_edge.events.statistics import Statistics, gather

#: How long `info` looks at a camera.
LOOK_S = 2.0


class Ending:
    """A live source that ends well: when the time is over, at Ctrl-C, when the camera goes away.

    Attributes:
        error: why the camera went away; None when it did not.
    """

    def __init__(self, source: EventSource) -> None:
        self.size, self.live = source.size, source.live
        self.error: CameraError | None = None
        self._source = source

    @property
    def counters(self) -> Counters:
        return self._source.counters

    def __iter__(self) -> Iterator[EventArray]:
        try:
            yield from self._source
        except CameraError as error:
            self.error = error

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Ending:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def ending(source: EventSource, seconds: float | None) -> Iterator[EventSource]:
    """A live source that ends after so many seconds, or at the first Ctrl-C; the second one aborts.

    A recording is left as it is.

    Raises:
        ConfigError: a number of seconds that is not above 0, or one for a recording.
    """
    if not source.live:
        if seconds is not None:
            raise ConfigError("seconds", seconds, "a camera: a recording is read as a whole")
        yield source
        return
    if seconds is not None and not 0 < seconds < threading.TIMEOUT_MAX:
        raise ConfigError("seconds", seconds, "a number above 0")
    timer = None if seconds is None else threading.Timer(seconds, source.close)
    if timer is not None:
        timer.daemon = True
        timer.start()
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None

    def finish(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        # Not here: what it interrupts may be inside the source.
        threading.Thread(target=source.close, daemon=True).start()

    if main:
        signal.signal(signal.SIGINT, finish)
    try:
        yield Ending(source)
    finally:
        if timer is not None:
            timer.cancel()
        if main:
            signal.signal(signal.SIGINT, before)


def look(name: str, source: EventSource, seconds: float | None, as_json: bool) -> None:
    """Counts what comes from a live source for a while, and prints it.

    Raises:
        CameraError: it went away.
    """
    with ending(source, LOOK_S if seconds is None else seconds) as live:
        statistics = gather(live, live.size)
    if isinstance(live, Ending) and live.error is not None:
        raise live.error
    facts = _facts(name, source, statistics)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{'camera':<12} {facts['title']}")
    typer.echo(f"{'sensor':<12} {source.size} pixels")
    typer.echo(f"{'events':<12} {statistics.events:,} in {statistics.duration_us / 1e6:.3g} s")
    if statistics.events:
        typer.echo(f"{'rate':<12} {statistics.mean_rate_hz / 1e6:.3g} Mev/s")
        typer.echo(f"{'polarity':<12} {statistics.on_fraction:.1%} brighter")
        hot = [f"({pixel.x}, {pixel.y}) {pixel.fraction:.2%}" for pixel in statistics.hot_pixels]
        typer.echo(f"{'hottest':<12} {', '.join(hot)}")
    typer.echo(f"{'lost':<12} {losses(source.counters)}")


def losses(counters: Counters) -> str:
    """What a live source lost, in words."""
    if not isinstance(counters, LiveCounters):
        return f"{counters.packets_dropped:,} packets"
    total = max(counters.received, 1)
    words = [f"{counters.events_dropped:,} events ({counters.events_dropped / total:.1%}) too late"]
    for count, what in (
        (counters.overflows, "overflows of the driver"),
        (counters.driver_packets_dropped, "packets in the driver"),
        (counters.rejected, "events outside the sensor or time"),
        (counters.clock_resets, "resets of the clock"),
        (counters.reconnects, "reconnections"),
    ):
        if count:
            words.append(f"{count:,} {what}")
    return ", ".join(words)


def _facts(name: str, source: EventSource, statistics: Statistics) -> dict[str, Any]:
    return {
        "source": name,
        "title": getattr(source, "title", name),
        "width": source.size.width,
        "height": source.size.height,
        "events": statistics.events,
        "duration_us": statistics.duration_us,
        "mean_rate_hz": statistics.mean_rate_hz,
        "on_fraction": statistics.on_fraction,
        "active_pixels": statistics.active_pixels,
        "hot_pixels": [dataclasses.asdict(pixel) for pixel in statistics.hot_pixels],
        "counters": dataclasses.asdict(source.counters),
    }
