"""Who takes the packets, stalls, and holds the source to its promise."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.soak_live.numbered import CODES, codes
from benchmarks.soak_live.outcome import Latency, Report
from evface_edge.errors import CameraError
from evface_edge.events import EventArray
from evface_edge.events.cameras.live import LiveSource

GROWTH_LIMIT_MB = 8.0


class Consumer:
    """Takes packets, stalls at random, and checks each against the last one."""

    def __init__(
        self,
        source: LiveSource,
        queue_events: int,
        sent_s: Callable[[int], float | None],
        seed: int,
    ) -> None:
        """
        Args:
            sent_s: number of an event → when it was sent, by the monotonic clock.
        """
        self._source, self._queue_events, self._sent_s = source, queue_events, sent_s
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
        if gap and waiting < self._queue_events - 3 * self._largest:
            report.faults.append(f"dropped while only {waiting} events waited")
        if counts.backlog_events > self._queue_events:
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
