"""Soak test: landmarks from a live source for a long time.

Memory, open file descriptors and latency must not grow, and the counters of the source must add
up. Without a source, the demo recording is played in a loop as a camera. The consumer then pauses
at random, so that events are dropped, and the time of each event tells which ones are missing.
"""

from __future__ import annotations

import os
import re
import statistics
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from evface_edge.bench.stages import stage_events
from evface_edge.errors import ConfigError
from evface_edge.events import EventWriter, open_events
from evface_edge.events.array import EventArray
from evface_edge.events.source import LiveCounters
from evface_edge.geometry import SensorSize
from evface_edge.predictor import Predictor

#: Accepted growth between the second and the last third of a run.
MAX_GROWTH_MB, MAX_GROWTH_MS = 8.0, 20.0
#: Difference between the clocks of camera and computer, which is no growth of latency.
_CLOCK_DRIFT = 1e-4
#: Shorter runs are not checked for growth: caches are still filling.
_MIN_GROWTH_S = 30.0
#: The generated source.
_SIZE, _MEV_PER_S, _RECORDED_US = SensorSize(346, 260), 0.5, 3_000_000
#: One result in 300 is followed by a pause, one pause in 20 is long.
PAUSE_EVERY, LONG_PAUSE_EVERY = 300, 20
_SAMPLE_S, _PROGRESS_S = 0.2, 10.0


@dataclass
class SoakResult:
    """Measurements of a run.

    Attributes:
        seconds: duration.
        results, with_face: number of results, and of those with a face.
        delivered: events that the consumer received.
        missing: events of the generated source that were not delivered; None for other sources.
        pauses: pauses of the consumer.
        counters: counters of the source at the end.
        memory_mb, descriptors: resident memory and open file descriptors, every 0.2 s.
        latency_ms: latency of each result above the smallest one.
        problems: what is wrong; empty if the run passed.
    """

    seconds: float = 0.0
    results: int = 0
    with_face: int = 0
    delivered: int = 0
    missing: int | None = None
    pauses: int = 0
    counters: LiveCounters = field(default_factory=LiveCounters)
    memory_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return all values, with medians of each third instead of the samples."""
        values = asdict(self)
        for name in ("memory_mb", "descriptors", "latency_ms"):
            values[name] = thirds(getattr(self, name))
        return values | {"passed": not self.problems}

    def as_text(self) -> str:
        """Return a summary for a terminal."""
        counters = self.counters
        missing = "" if self.missing is None else f", missing {self.missing:,}"
        series = "\n".join(
            f"{name}, median of each third: "
            + (", ".join(f"{value:.1f}" for value in thirds(values)) or "too short")
            for name, values in (
                ("memory in MB", self.memory_mb),
                ("open file descriptors", self.descriptors),
                ("latency in ms", self.latency_ms),
            )
        )
        return (
            f"{self.seconds:.0f} s, {self.results:,} results, {self.with_face:,} with a face, "
            f"{self.pauses} pauses of the consumer\n"
            f"events: received {counters.received:,}, delivered {self.delivered:,}, dropped "
            f"{counters.events_dropped:,}, waiting {counters.backlog_events:,}{missing}\n"
            f"{series}\n" + ("passed" if not self.problems else "\n".join(self.problems))
        )


def soak(
    seconds: float,
    *,
    source: str | None = None,
    model: str = "evface-s",
    runtime: str | None = None,
    device: str = "auto",
    queue_events: int = 500_000,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> SoakResult:
    """Run a predictor on a live source.

    Args:
        source: URI of a live source; by default a generated one.
        queue_events: buffer of the generated source; further events are dropped.
        seed: random seed of the pauses.
        progress: called with a line every ten seconds.

    Raises:
        ConfigError: a duration that is not above 0, or a source that is not live.
        CameraError: the source cannot be opened.
    """
    if not seconds > 0:
        raise ConfigError("--soak", seconds, "above 0")
    with ExitStack() as stack:
        timeline, pauses, uri = None, None, source
        if uri is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evface-soak-")))
            events = _generated_events()
            with EventWriter(f"{folder / 'face.raw'}?format=evt2", _SIZE) as writer:
                writer.write(events)
            timeline, pauses = Timeline(events), np.random.default_rng(seed)
            uri = f"replay:{folder / 'face.raw'}?loop=1&queue_events={queue_events}"
        predictor = stack.enter_context(Predictor(model, runtime=runtime, device=device))
        predictor.warmup()
        opened = stack.enter_context(open_events(uri))
        if not getattr(opened, "live", False):
            raise ConfigError("--source", source, "a live source, such as camera:… or replay:…")
        monitor = Monitor(opened, timeline)
        _consume(predictor, monitor, seconds, pauses, progress)
        result = monitor.result
        result.counters = monitor.counters
    check(result, seconds)
    return result


def _generated_events() -> EventArray:
    """The demo recording at a constant event rate, with strictly ascending times."""
    events = stage_events(_SIZE, _MEV_PER_S, from_us=0, until_us=_RECORDED_US)
    order = np.arange(len(events))
    events["t"] = np.maximum.accumulate(events["t"] - order) + order
    return events


class Timeline:
    """Running number of each event of a recording that is played in a loop."""

    def __init__(self, events: EventArray) -> None:
        self._t_us = np.ascontiguousarray(events["t"])
        self._period_us = int(self._t_us[-1] - self._t_us[0]) + 1

    def number_at(self, t_us: int) -> int:
        """Return the number of the event at this time, counted from the first round."""
        rounds, offset_us = divmod(t_us - int(self._t_us[0]), self._period_us)
        index = np.searchsorted(self._t_us, self._t_us[0] + offset_us)
        return rounds * len(self._t_us) + int(index)


class Monitor:
    """The source as the predictor sees it; checks each packet."""

    live = True

    def __init__(self, source: Any, timeline: Timeline | None) -> None:
        self.size: SensorSize = source.size
        self.result = SoakResult(missing=None if timeline is None else 0)
        self._source, self._timeline = source, timeline
        self._next_number = 0

    @property
    def counters(self) -> LiveCounters:
        return cast(LiveCounters, self._source.counters)

    def __iter__(self) -> Iterator[EventArray]:
        for packet in self._source:
            self.result.delivered += len(packet)
            self._check(packet)
            yield packet

    def _check(self, packet: EventArray) -> None:
        result, counters = self.result, self.counters
        expected = counters.events + counters.events_dropped + counters.backlog_events
        if counters.received != expected:
            result.problems.append(f"the counters do not add up: {counters}")
        if self._timeline is None or result.missing is None:
            return
        gap = self._timeline.number_at(int(packet["t"][0])) - self._next_number
        if gap < 0:
            result.problems.append(f"events twice or out of order at {packet['t'][0]} µs")
        result.missing += gap
        self._next_number += gap + len(packet)
        if result.missing > counters.events_dropped:
            result.problems.append(
                f"{result.missing} events are missing, {counters.events_dropped} counted as dropped"
            )


def _consume(
    predictor: Predictor,
    monitor: Monitor,
    seconds: float,
    pauses: np.random.Generator | None,
    progress: Callable[[str], None],
) -> None:
    result = monitor.result
    offsets_ms = array("d")  # 8 bytes a result, so that the test itself needs little memory
    begin_s = sampled_s = reported_s = time.monotonic()
    for t_us, faces in predictor.stream(cast(Any, monitor)):
        now_s = time.monotonic()
        if not offsets_ms:  # the first result may include compiling
            begin_s = sampled_s = reported_s = now_s
        offsets_ms.append(1e3 * now_s - 1e-3 * t_us)
        result.results += 1
        result.with_face += bool(faces)
        if now_s - sampled_s >= _SAMPLE_S:
            sampled_s = now_s
            _sample(result)
        if now_s - reported_s >= _PROGRESS_S:
            reported_s = now_s
            memory = f"{result.memory_mb[-1]:.1f} MB, " if result.memory_mb else ""
            progress(
                f"{now_s - begin_s:.0f} s: {memory}{result.results:,} results, dropped "
                f"{monitor.counters.events_dropped:,}"
            )
        if now_s - begin_s >= seconds:
            break
        if pauses is not None and pauses.random() < 1 / PAUSE_EVERY:
            result.pauses += 1
            is_long = pauses.random() < 1 / LONG_PAUSE_EVERY
            time.sleep(pauses.uniform(0.5, 2.0) if is_long else pauses.uniform(0.01, 0.5))
    result.seconds = time.monotonic() - begin_s
    result.latency_ms = (np.array(offsets_ms) - min(offsets_ms, default=0.0)).tolist()


def _sample(result: SoakResult) -> None:
    """Add the current memory and number of descriptors, where the system reports them."""
    try:
        status = Path("/proc/self/status").read_text()
        result.descriptors.append(len(os.listdir("/proc/self/fd")))
    except OSError:
        return
    if match := re.search(r"VmRSS:\s+(\d+) kB", status):
        result.memory_mb.append(int(match[1]) / 1024)


def thirds(values: Sequence[float]) -> list[float]:
    """Return the median of each third; empty for fewer than three values."""
    third = len(values) // 3
    if not third:
        return []
    return [statistics.median(values[third * i : third * (i + 1)]) for i in range(3)]


def check(result: SoakResult, seconds: float) -> None:
    """Add to `problems` what is wrong at the end of a run of `seconds`."""
    counters, problems = result.counters, result.problems
    if result.seconds < seconds:
        problems.append(f"the source ended after {result.seconds:.0f} of {seconds:.0f} s")
    if result.delivered != counters.events:
        problems.append(f"{result.delivered} events delivered, {counters.events} counted")
    if result.missing is not None:
        # Packets may have been dropped after the last delivery.
        late = counters.events_dropped - result.missing
        if not 0 <= late <= counters.received - result.delivered:
            problems.append(
                f"{result.missing} events are missing, {counters.events_dropped} counted as dropped"
            )
        if result.with_face < 0.8 * result.results:
            problems.append(f"only {result.with_face} of {result.results} results have a face")
    if result.seconds >= _MIN_GROWTH_S:
        drift_ms = 1e3 * _CLOCK_DRIFT * result.seconds / 3
        for name, values, limit in (
            ("memory (MB)", result.memory_mb, MAX_GROWTH_MB),
            ("open file descriptors", result.descriptors, 0),
            ("latency (ms)", result.latency_ms, MAX_GROWTH_MS + drift_ms),
        ):
            medians = thirds(values)
            if medians and medians[2] - medians[1] > limit:
                problems.append(f"{name} grows: {medians[2] - medians[1]:+.1f}")
    result.problems = [*problems[:3], *problems[3:][-7:]]
