"""The sources that are held to their promise: a replay, and a network."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.soak_live.consumer import Consumer
from benchmarks.soak_live.numbered import CODES, REMEMBERED, SIZE, Clock, numbered
from benchmarks.soak_live.outcome import Report
from evface_edge.events import EventWriter
from evface_edge.events.cameras.driver import Batch, Driver, EndOfStream
from evface_edge.events.cameras.dv_network import connect
from evface_edge.events.cameras.live import LiveSource
from evface_edge.events.cameras.options import LiveOptions
from evface_edge.events.cameras.replay import Replay
from evface_edge.events.opening import open_recording
from evface_edge.events.uri import SourceName

SENDER = "benchmarks.soak_live.sender"


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


@dataclass(frozen=True)
class Soak:
    """How long, and with which consumer.

    Attributes:
        seed: of its stalls.
        say: gets a line every `every_s`.
    """

    seconds: float = 60.0
    queue_events: int = 2_000_000
    seed: int = 0
    every_s: float = 10.0
    say: Callable[[str], None] = lambda line: None

    def consumer(self, source: LiveSource, clock: Clock) -> Consumer:
        """Who has taken all that came when it returns."""
        consumer = Consumer(source, self.queue_events, clock.sent_s, self.seed)
        consumer.run(self.say, self.every_s)
        return consumer


def soak_replay(soak: Soak, rate_hz: float = 10e6) -> Report:
    """A generated recording, played in a loop as a camera."""
    with tempfile.TemporaryDirectory(prefix="soak-live-") as folder:
        path = Path(folder) / "numbered.raw"
        # Whole rounds of numbers, and a whole number of microseconds, so that the loop fits.
        rounds = max(1, round(min(soak.seconds, 1.0) * rate_hz / CODES))
        with EventWriter(f"{path}?format=evt2", SIZE) as writer:
            for first in range(0, rounds * CODES, CODES // 8):
                writer.write(numbered(first, CODES // 8, rate_hz))
        recording = open_recording(SourceName("", str(path)))
        clock = Clock(np.zeros(REMEMBERED))
        driver = Counted(Replay(recording, loop=True), clock.note, soak.seconds)
        with LiveSource(lambda: driver, LiveOptions(soak.queue_events)) as source:
            return soak.consumer(source, clock).conclude(driver.events)


def soak_network(soak: Soak, port: int = 7791) -> Report:
    """What dv-processing's writer sends from a process of its own."""
    with tempfile.TemporaryDirectory(prefix="soak-live-") as folder:
        clock_path = Path(folder) / "sent.f64"
        shared = np.memmap(clock_path, np.float64, "w+", shape=REMEMBERED + 1)
        clock = Clock(shared)
        with subprocess.Popen(
            [sys.executable, "-m", SENDER, str(port), str(soak.seconds), clock_path],
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

                with LiveSource(opener, LiveOptions(soak.queue_events)) as source:
                    sender.stdin.write("go\n")
                    sender.stdin.flush()
                    consumer = soak.consumer(source, clock)
                    sent, rounds = map(int, sender.stdout.readline().split())
                    report = consumer.conclude(sent)
                    resets = source.counters.clock_resets
                    if resets != rounds - 1:
                        report.faults.append(f"{resets} resets of the clock, {rounds - 1} sent")
                    return report
            finally:
                sender.kill()
