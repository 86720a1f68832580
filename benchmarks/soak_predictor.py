#!/usr/bin/env python3
"""Landmarks from a camera for as long as it takes, with a consumer that stalls at random.

    python -m benchmarks soak_predictor --seconds 1800
    python -m benchmarks soak_predictor --seconds 60 --rate 10e6 --size 1280x720

The face of the recording that came along, enlarged to the sensor and repeated to the rate, is
played in a loop as a camera (`replay:`), through `Predictor.stream`. Each packet tells by its times
which events of the loop it holds, so that what was dropped is known without the source's counters.

Prints memory, latency, results and drops over time. The exit code is 1 when memory or latency
grows, when the events that came and the gaps between them are not what the counters say, or when
there was hardly ever a face.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np

from evface_edge import EventSource, Predictor, open_events
from evface_edge.bench.stages import stage_events
from evface_edge.events import EventArray, EventWriter, LiveCounters
from evface_edge.geometry import SensorSize

RECORDED_US = 3_000_000
GROWTH_LIMIT_MB = 8.0
GROWTH_LIMIT_MS = 20.0
#: Of a result: one time in so many the consumer stalls, and of these one in so many for long.
STALL_EVERY, LONG_STALL_EVERY = 300, 20
#: Events of a packet that must be those of the recording.
_COMPARED = 16
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


class Timeline:
    """Number of each event of a recording that is played again and again."""

    def __init__(self, events: EventArray) -> None:
        self._times_us = np.ascontiguousarray(events["t"])
        self._places = np.stack([events["x"], events["y"], events["p"].astype(np.uint16)], -1)
        self._first_us = int(self._times_us[0])
        self._round_us = int(self._times_us[-1]) + 1 - self._first_us

    def number(self, packet: EventArray) -> int:
        """Of the first event of a packet, counted from the start of the first round.

        A packet may begin amid events of one microsecond; their places tell them apart.
        """
        rounds, rest_us = divmod(int(packet["t"][0]) - self._first_us, self._round_us)
        wanted = self._first_us + rest_us
        low, high = (int(np.searchsorted(self._times_us, wanted, side)) for side in _SIDES)
        seen = packet[:_COMPARED]
        places = np.stack([seen["x"], seen["y"], seen["p"].astype(np.uint16)], -1)
        for number in range(low, high):
            expected = self._places[number : number + len(seen)]
            if np.array_equal(expected, places[: len(expected)]):
                return rounds * len(self._times_us) + number
        raise ValueError(f"events that were not sent, at {packet['t'][0]} µs")


@dataclass
class Report:
    """What a run came to; `faults` is empty when every promise was kept.

    Attributes:
        latency_ms: of each result, above the shortest of all: how long ago its instant was.
        rss_mb: memory, sampled every 0.2 s.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    results: int = 0
    with_face: int = 0
    stalls: int = 0
    stalled_s: float = 0.0
    delivered: int = 0
    missing: int = 0
    counters: LiveCounters = field(default_factory=LiveCounters)
    rss_mb: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def summary(self) -> str:
        counts = self.counters
        latency = np.array(self.latency_ms or [math.nan])
        thirds = ", ".join(f"{value:.1f}" for value in medians(self.latency_ms))
        memory = ", ".join(f"{value:.1f}" for value in medians(self.rss_mb))
        return (
            f"{self.seconds:.0f} s, {counts.received / max(self.seconds, 1e-9) / 1e6:.2f} Mev/s, "
            f"{self.results:,} results, {self.with_face / max(self.results, 1):.1%} with a face, "
            f"{self.cpu_s / max(self.seconds, 1e-9):.0%} of one core\n"
            f"{self.stalls} stalls, {self.stalled_s:.0f} s in all; received {counts.received:,} = "
            f"delivered {counts.events:,} + dropped {counts.events_dropped:,} + waiting "
            f"{counts.backlog_events:,}; seen by the consumer: {self.delivered:,} and gaps of "
            f"{self.missing:,}\n"
            f"memory {min(self.rss_mb, default=0):.1f} to {max(self.rss_mb, default=0):.1f} MB, "
            f"median of each third: {memory}\n"
            f"latency median {np.median(latency):.1f} ms, 99 % {np.quantile(latency, 0.99):.1f} "
            f"ms, longest {latency.max():.0f} ms, median of each third: {thirds}\n"
            + ("all promises kept" if not self.faults else "BROKEN: " + "; ".join(self.faults))
        )


def medians(values: list[float]) -> list[float]:
    """Of each third."""
    third = len(values) // 3
    if not third:
        return []
    return [statistics.median(values[third * i : third * (i + 1)]) for i in range(3)]


class Watched:
    """The source as the predictor sees it, with a look at each packet."""

    live = True

    def __init__(self, source: EventSource, timeline: Timeline, report: Report) -> None:
        self.size: SensorSize = source.size
        self._source, self._timeline, self._report = source, timeline, report
        self._expected = 0

    @property
    def counters(self) -> LiveCounters:
        return cast(LiveCounters, self._source.counters)

    def __iter__(self) -> Iterator[EventArray]:
        report = self._report
        for packet in self._source:
            gap = self._timeline.number(packet) - self._expected
            report.missing += gap
            report.delivered += len(packet)
            self._expected += gap + len(packet)
            counts = self.counters
            if gap < 0:
                report.faults.append(f"events came twice or out of order at {packet['t'][0]} µs")
            if report.missing > counts.events_dropped:
                report.faults.append(
                    f"{report.missing} events are gone, {counts.events_dropped} counted"
                )
            if counts.received != counts.events + counts.events_dropped + counts.backlog_events:
                report.faults.append(f"counters do not add up: {counts}")
            yield packet


def soak(
    seconds: float,
    *,
    model: str = "evface-s",
    rate_hz: float = 1e6,
    size: SensorSize | None = None,
    queue_events: int = 500_000,
    say: Callable[[str], None] = lambda line: None,
    every_s: float = 10.0,
    seed: int = 0,
) -> Report:
    """Follow the face for so many seconds.

    Args:
        queue_events: that may wait before the oldest are dropped.
        say: called with a line every `every_s`.
    """
    size = size or SensorSize(346, 260)
    report, random = Report(), np.random.default_rng(seed)
    events = stage_events(size, rate_hz * 1e-6, from_us=0, until_us=RECORDED_US)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        path = Path(folder) / "face.raw"
        with EventWriter(f"{path}?format=evt2", size) as writer:
            writer.write(events)
        timeline = Timeline(events)
        del events
        with Predictor(model) as predictor:
            predictor.warmup()
            uri = f"replay:{path}?loop=1&queue_events={queue_events}"
            with open_events(uri, size=size) as source:
                watched = Watched(source, timeline, report)
                _consume(predictor, watched, report, random, seconds, say, every_s)
                report.counters = watched.counters
    _judge(report)
    return report


def _consume(
    predictor: Predictor,
    source: Watched,
    report: Report,
    random: np.random.Generator,
    seconds: float,
    say: Callable[[str], None],
    every_s: float,
) -> None:
    begin_s = said_s = sampled_s = begin_cpu_s = 0.0
    offsets_ms = array("d")  # eight bytes a result: the memory measured is not our own
    said = 0
    for t_us, faces in predictor.stream(source):  # type: ignore[arg-type]
        now_s = time.monotonic()
        if not offsets_ms:
            begin_s = said_s = sampled_s = now_s
            begin_cpu_s = time.process_time()
        offsets_ms.append(1e3 * now_s - 1e-3 * t_us)
        report.results += 1
        report.with_face += bool(faces)
        if now_s - sampled_s >= 0.2:
            sampled_s = now_s
            report.rss_mb.append(resident_mb())
        if now_s - said_s >= every_s:
            counts = source.counters
            fresh = np.array(offsets_ms[said:]) - min(offsets_ms)
            say(
                f"{now_s - begin_s:6.0f} s  {report.rss_mb[-1]:6.1f} MB  "
                f"{len(fresh) / (now_s - said_s):5.1f} results/s  latency median "
                f"{np.median(fresh):5.1f} ms, longest {fresh.max():5.0f} ms  dropped "
                f"{counts.events_dropped:,}  backlog {counts.backlog_events:,}"
            )
            said_s, said = now_s, len(offsets_ms)
        if now_s - begin_s >= seconds:
            break
        if random.random() < 1 / STALL_EVERY:
            long = random.random() < 1 / LONG_STALL_EVERY
            pause_s = random.uniform(0.5, 2.0) if long else random.uniform(0.01, 0.5)
            report.stalls += 1
            report.stalled_s += pause_s
            time.sleep(pause_s)
    report.seconds = time.monotonic() - begin_s
    report.cpu_s = time.process_time() - begin_cpu_s
    shortest_ms = min(offsets_ms, default=0.0)
    report.latency_ms = (np.array(offsets_ms) - shortest_ms).tolist()


def _judge(report: Report) -> None:
    """Does everything add up?"""
    counts, faults = report.counters, report.faults
    if report.delivered != counts.events:
        faults.append(f"{report.delivered} events came, {counts.events} counted")
    # Packets may have been dropped since the last one came.
    if not 0 <= counts.events_dropped - report.missing <= counts.received - report.delivered:
        faults.append(f"gaps of {report.missing} events, {counts.events_dropped} counted")
    if report.with_face < 0.8 * report.results:
        faults.append(f"a face in only {report.with_face} of {report.results} results")
    if report.seconds >= 30:
        memory, latency = medians(report.rss_mb), medians(report.latency_ms)
        if memory[2] - memory[1] > GROWTH_LIMIT_MB:
            faults.append(f"memory grows: {memory[2] - memory[1]:+.1f} MB")
        if latency[2] - latency[1] > GROWTH_LIMIT_MS:
            faults.append(f"latency grows: {latency[2] - latency[1]:+.1f} ms")
    report.faults = [*faults[:3], *faults[3:][-7:]]


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def parse_size(text: str) -> SensorSize:
    width, _, height = text.partition("x")
    return SensorSize(int(width), int(height))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="evface-s")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1e6, help="events a second")
    parser.add_argument("--size", type=parse_size, default="346x260")
    parser.add_argument("--ring-events", type=int, default=500_000)
    parser.add_argument("--every", type=float, default=10, help="seconds between two lines")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    report = soak(
        arguments.seconds,
        model=arguments.model,
        rate_hz=arguments.rate,
        size=arguments.size,
        queue_events=arguments.queue_events,
        say=say,
        every_s=arguments.every,
        seed=arguments.seed,
    )
    say(report.summary())
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
