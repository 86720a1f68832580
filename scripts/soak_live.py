#!/usr/bin/env python3
"""Holds the live sources to their promise, for as long as it takes, with a consumer that stalls.

    python scripts/soak_live.py --source replay --seconds 600
    python scripts/soak_live.py --source network --seconds 600

`replay` plays a generated recording as a camera, in a loop, at `--rate` events a second. `network`
reads what dv-processing's own writer sends over loopback as fast as it can (extra: inivation).
Every event carries its number in x, y and p, so the consumer knows what it did not get.

Prints memory, rate, latency and backlog over time. The exit code is 1 when memory grows, when what
was sent is not exactly what came plus what was counted as dropped, when events come twice or out
of order, or when newer events were dropped before older ones (the latest must win).
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import CameraError
from evface_edge.events import EventArray, EventWriter, make_events
from evface_edge.events.cameras.driver import Batch, Driver, EndOfStream
from evface_edge.events.cameras.live import LiveSource
from evface_edge.events.cameras.network import connect
from evface_edge.events.cameras.options import LiveOptions
from evface_edge.events.cameras.replay import Replay
from evface_edge.events.opening import open_recording
from evface_edge.events.uri import SourceName
from evface_edge.geometry import SensorSize

SIZE = SensorSize(1280, 720)
#: Each number of an event is one pixel and polarity, so they repeat after so many.
CODES = SIZE.width * SIZE.height * 2
#: Packets of the network; the times at which so many of this size were sent are remembered.
PACKET_EVENTS = 20_000
REMEMBERED = 1 << 16
#: Events that the sender may be ahead of the reader.
IN_FLIGHT = 500_000
GROWTH_LIMIT_MB = 8.0


def numbered(first: int, count: int, rate_hz: float) -> EventArray:
    """Events with the numbers from `first` on, at an even rate."""
    index = np.arange(first, first + count, dtype=np.int64)
    code = index % CODES
    pixel = code % (CODES // 2)
    t = (index * (1e6 / rate_hz)).astype(np.int64)
    return make_events(t, pixel % SIZE.width, pixel // SIZE.width, code // (CODES // 2))


def codes(events: EventArray) -> np.ndarray:
    """The numbers of events, modulo CODES."""
    p, y, x = (events[name].astype(np.int64) for name in ("p", "y", "x"))
    return (p * SIZE.height + y) * SIZE.width + x


class Latency:
    """Times of packets, in bins of 5 %, so that ten minutes take no more memory than one second."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(400, np.int64)
        self.longest_ms = 0.0

    def add(self, milliseconds: float) -> None:
        self.longest_ms = max(self.longest_ms, milliseconds)
        index = round(math.log(max(milliseconds, 0.01) / 0.01, 1.05))
        self._counts[min(index, len(self._counts) - 1)] += 1

    def quantile(self, share: float) -> float:
        """In ms, to 5 %; 0 where there is none."""
        total = self._counts.cumsum()
        if not total[-1]:
            return 0.0
        return float(0.01 * 1.05 ** int(np.searchsorted(total, share * total[-1])))

    def text(self) -> str:
        return (
            f"median {self.quantile(0.5):.1f} ms, 99 % {self.quantile(0.99):.1f} ms, "
            f"longest {self.longest_ms:.0f} ms"
        )


@dataclass
class Report:
    """What a run came to; `faults` is empty when every promise was kept."""

    sent: int = 0
    delivered: int = 0
    dropped: int = 0
    seconds: float = 0.0
    rss_mb: list[float] = field(default_factory=list)
    latency: Latency = field(default_factory=Latency)
    longest_backlog: int = 0
    stalls: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def growth_mb(self) -> float:
        """Median memory of the last third against that of the second."""
        third = len(self.rss_mb) // 3
        if not third:
            return 0.0
        middle, last = self.rss_mb[third : 2 * third], self.rss_mb[2 * third :]
        return statistics.median(last) - statistics.median(middle)

    def summary(self) -> str:
        low, high = (min(self.rss_mb), max(self.rss_mb)) if self.rss_mb else (0.0, 0.0)
        return (
            f"sent {self.sent:,} = delivered {self.delivered:,} + dropped {self.dropped:,}: "
            f"{self.sent == self.delivered + self.dropped}\n"
            f"{self.sent / max(self.seconds, 1e-9) / 1e6:.2f} Mev/s for {self.seconds:.0f} s, "
            f"{self.stalls} stalls, backlog up to {self.longest_backlog:,} events\n"
            f"memory {low:.1f} to {high:.1f} MB, last third against second: "
            f"{self.growth_mb:+.1f} MB\n"
            f"latency of a packet taken: {self.latency.text()}\n"
            + ("all promises kept" if not self.faults else "BROKEN: " + "; ".join(self.faults))
        )


class Consumer:
    """Takes packets, stalls at random, and checks each against the last one."""

    def __init__(
        self, source: LiveSource, ring_events: int, sent_s: Callable[[int], float | None], seed: int
    ) -> None:
        """
        Args:
            sent_s: number of an event → when it was sent, by the monotonic clock.
        """
        self._source, self._ring_events, self._sent_s = source, ring_events, sent_s
        self._random = np.random.default_rng(seed)
        self._expected = self._packets = 0
        self._largest = 0
        self.report, self._fresh = Report(), Latency()

    def run(self, say: Callable[[str], None], every_s: float) -> None:
        """Until the source ends."""
        report = self.report
        begin_s = said_s = sampled_s = time.monotonic()
        said_events = 0
        try:
            for packet in self._source:
                self._check(packet)
                now_s = time.monotonic()
                if now_s - sampled_s >= 0.2:
                    sampled_s = now_s
                    report.rss_mb.append(resident_mb())
                if now_s - said_s >= every_s:
                    counts = self._source.counters
                    say(
                        f"{now_s - begin_s:6.0f} s  {report.rss_mb[-1]:7.1f} MB  "
                        f"{(counts.received - said_events) / (now_s - said_s) / 1e6:6.2f} Mev/s  "
                        f"latency {self._fresh.text()}  dropped {counts.events_dropped:,}  "
                        f"backlog {counts.backlog_events:,}"
                    )
                    said_s, said_events, self._fresh = now_s, counts.received, Latency()
                self._maybe_stall()
        except CameraError as error:
            if "the sender closed it" not in str(error) or "within" in str(error):
                report.faults.append(str(error))
        report.seconds = time.monotonic() - begin_s

    def _check(self, packet: EventArray) -> None:
        report = self.report
        counts = self._source.counters
        self._largest = max(self._largest, len(packet))
        # All events of one packet in eight, the ends of the others: checking must not cost more
        # than what is checked.
        self._packets += 1
        numbers = codes(packet if self._packets % 8 == 0 else packet[[0, -1]])
        steps = np.diff(numbers)
        if len(numbers) == len(packet):
            broken = bool(((steps - 1) % CODES).any())
        else:
            broken = bool((int(steps[0]) - (len(packet) - 1)) % CODES)
        if broken:
            report.faults.append(f"events are missing within the packet after {self._expected}")
        # What was dropped lies before this packet; where a whole round of numbers may have been,
        # the counters tell how many.
        gap = int(numbers[0] - self._expected) % CODES
        most = counts.events + counts.events_dropped - len(packet) - self._expected
        gap += max(0, (most - gap) // CODES) * CODES
        if gap > most:
            report.faults.append(f"{gap} events are gone before {self._expected}, {most} counted")
        waiting = counts.backlog_events + len(packet)
        if gap and waiting < self._ring_events - 3 * self._largest:
            report.faults.append(f"dropped while only {waiting} events waited")
        if counts.backlog_events > self._ring_events:
            report.faults.append(f"{counts.backlog_events} events waited, more than allowed")
        if counts.received != counts.events + counts.events_dropped + counts.backlog_events:
            report.faults.append(f"counters do not add up: {counts}")
        self._expected += gap + len(packet)
        report.delivered += len(packet)
        report.dropped += gap
        report.longest_backlog = max(report.longest_backlog, counts.backlog_events)
        sent_s = self._sent_s(self._expected - 1)
        if sent_s is not None:
            milliseconds = (time.monotonic() - sent_s) * 1e3
            report.latency.add(milliseconds)
            self._fresh.add(milliseconds)

    def _maybe_stall(self) -> None:
        """Mostly not; one time in three hundred for up to half a second, seldom for longer."""
        draw = self._random.random()
        if draw < 1 / 300:
            self.report.stalls += 1
            time.sleep(self._random.uniform(0.01, 0.5 if draw > 1 / 6000 else 2.0))

    def conclude(self, sent: int) -> Report:
        """After the end: does everything add up?"""
        report, counts = self.report, self._source.counters
        report.sent = sent
        for what, one, other in (
            ("received is not what was sent", counts.received, sent),
            ("delivered is not what was counted", report.delivered, counts.events),
            ("the gaps are not what was counted as dropped", report.dropped, counts.events_dropped),
            ("events still wait", counts.backlog_events, 0),
            (
                "delivered and dropped are not what was sent",
                report.delivered + report.dropped,
                sent,
            ),
            ("events were rejected", counts.rejected, 0),
            ("times were clamped", counts.times_clamped, 0),
        ):
            if one != other:
                report.faults.append(f"{what}: {one} and {other}")
        if report.seconds >= 30 and report.growth_mb > GROWTH_LIMIT_MB:
            report.faults.append(f"memory grows: {report.growth_mb:+.1f} MB")
        report.faults = [*report.faults[:3], *report.faults[3:][-7:]]
        return report


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Clock:
    """When events were sent, by their number; the last REMEMBERED × PACKET_EVENTS of them."""

    def __init__(self, times_s: NDArray[np.float64]) -> None:
        self._times_s = times_s

    def note(self, first: int, count: int) -> None:
        """So many events, with the numbers from `first` on, are sent now."""
        now_s = time.monotonic()
        for bucket in range(first // PACKET_EVENTS, (first + count - 1) // PACKET_EVENTS + 1):
            self._times_s[bucket % REMEMBERED] = now_s

    def sent_s(self, number: int) -> float | None:
        """To a bucket of PACKET_EVENTS exactly."""
        return float(self._times_s[number // PACKET_EVENTS % REMEMBERED]) or None


class Counted:
    """A driver that notes the events that go through it, and ends after some seconds."""

    def __init__(
        self, driver: Driver, note: Callable[[int, int], None], seconds: float = float("inf")
    ) -> None:
        """
        Args:
            note: called with the events so far and those of a batch.
        """
        self.title, self.size = driver.title, driver.size
        self._driver, self._seconds, self._note = driver, seconds, note
        self.begin_s: float | None = None
        self.events = 0

    def read(self) -> Batch | None:
        if self.begin_s is not None and time.monotonic() - self.begin_s > self._seconds:
            raise EndOfStream
        batch = self._driver.read()
        if batch is not None:
            self.begin_s = time.monotonic() if self.begin_s is None else self.begin_s
            self._note(self.events, len(batch.t))
            self.events += len(batch.t)
        return batch

    def close(self) -> None:
        self._driver.close()


def soak_replay(
    seconds: float,
    *,
    rate_hz: float = 10e6,
    ring_events: int = 2_000_000,
    say: Callable[[str], None] = lambda line: None,
    every_s: float = 10.0,
    seed: int = 0,
) -> Report:
    """A generated recording, played in a loop as a camera."""
    with tempfile.TemporaryDirectory(prefix="soak-live-") as folder:
        path = Path(folder) / "numbered.raw"
        # Whole rounds of numbers, and a whole number of microseconds, so that the loop fits.
        rounds = max(1, round(min(seconds, 1.0) * rate_hz / CODES))
        with EventWriter(f"{path}?format=evt2", SIZE) as writer:
            for first in range(0, rounds * CODES, CODES // 8):
                writer.write(numbered(first, CODES // 8, rate_hz))
        recording = open_recording(SourceName("", str(path)))
        clock = Clock(np.zeros(REMEMBERED))
        driver = Counted(Replay(recording, loop=True), clock.note, seconds)
        with LiveSource(lambda: driver, LiveOptions(ring_events)) as source:
            consumer = Consumer(source, ring_events, clock.sent_s, seed)
            consumer.run(say, every_s)
            return consumer.conclude(driver.events)


def soak_network(
    seconds: float,
    *,
    port: int = 7791,
    ring_events: int = 2_000_000,
    say: Callable[[str], None] = lambda line: None,
    every_s: float = 10.0,
    seed: int = 0,
) -> Report:
    """What dv-processing's writer sends from a process of its own."""
    with tempfile.TemporaryDirectory(prefix="soak-live-") as folder:
        clock_path = Path(folder) / "sent.f64"
        shared = np.memmap(clock_path, np.float64, "w+", shape=REMEMBERED + 1)
        clock = Clock(shared)
        command = [sys.executable, __file__, "--send", str(port), "--seconds", str(seconds)]
        with subprocess.Popen(
            [*command, "--clock", str(clock_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as sender:
            if sender.stdout is None or sender.stdin is None:
                raise RuntimeError("no pipes to the sender")
            try:
                sender.stdout.readline()  # it listens

                def acknowledge(before: int, count: int) -> None:
                    shared[-1] = before + count

                def opener() -> Driver:
                    return Counted(connect("127.0.0.1", port, None), acknowledge)

                with LiveSource(opener, LiveOptions(ring_events)) as source:
                    sender.stdin.write("go\n")
                    sender.stdin.flush()
                    consumer = Consumer(source, ring_events, clock.sent_s, seed)
                    consumer.run(say, every_s)
                    sent, rounds = map(int, sender.stdout.readline().split())
                    report = consumer.conclude(sent)
                    resets = source.counters.clock_resets
                    if resets != rounds - 1:
                        report.faults.append(f"{resets} resets of the clock, {rounds - 1} sent")
                    return report
            finally:
                sender.kill()


def send(port: int, seconds: float, clock_path: Path) -> None:
    """The sender: the same million numbered events again and again, so the time starts anew."""
    import dv_processing as dv

    stream = dv.io.Stream.EventStream(0, "events", "soak", (SIZE.width, SIZE.height))
    writer = dv.io.NetworkWriter("127.0.0.1", port, stream)
    round_events = CODES // PACKET_EVENTS * PACKET_EVENTS
    tail = CODES - round_events
    store = dv.EventStore()
    for first in range(0, CODES, 1 << 17):
        events = numbered(first, min(1 << 17, CODES - first), 1e6)
        deque(map(store.push_back, events.tolist()), maxlen=0)
    packets = [store.slice(first, PACKET_EVENTS) for first in range(0, round_events, PACKET_EVENTS)]
    packets += [store.slice(round_events, tail)] if tail else []
    shared = np.memmap(clock_path, np.float64, "r+", shape=REMEMBERED + 1)
    clock = Clock(shared)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sent = rounds = 0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        rounds += 1
        for packet in packets:
            # Its queues have no end; without this the memory of the sender would have none.
            while sent - shared[-1] > IN_FLIGHT:
                time.sleep(0.0005)
            clock.note(sent, packet.size())
            writer.writeEvents(packet)
            sent += packet.size()
    while shared[-1] < sent:
        time.sleep(0.005)
    sys.stdout.write(f"{sent} {rounds}\n")
    sys.stdout.flush()
    # No tidy end: its destructor would wait for ever, as a reader is connected.
    os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", choices=("replay", "network"), default="replay")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10e6, help="events a second of the replay")
    parser.add_argument("--ring-events", type=int, default=2_000_000)
    parser.add_argument("--port", type=int, default=7791)
    parser.add_argument("--every", type=float, default=10, help="seconds between two lines")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--send", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--clock", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send is not None:
        send(arguments.send, arguments.seconds, arguments.clock)

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    settings = {
        "ring_events": arguments.ring_events,
        "say": say,
        "every_s": arguments.every,
        "seed": arguments.seed,
    }
    if arguments.source == "replay":
        report = soak_replay(arguments.seconds, rate_hz=arguments.rate, **settings)
    else:
        report = soak_network(arguments.seconds, port=arguments.port, **settings)
    say(report.summary())
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
