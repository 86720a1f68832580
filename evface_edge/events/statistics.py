"""Statistics of a recording, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize

#: A time without events counts as a gap from this duration on.
_MIN_GAP_US = 10_000
_LISTED = 5
_MAX_BINS = 4096


@dataclass(frozen=True)
class Gap:
    """A time without events."""

    start_us: int
    duration_us: int


@dataclass(frozen=True)
class HotPixel:
    """A pixel, and its fraction of all events."""

    x: int
    y: int
    events: int
    fraction: float


@dataclass(frozen=True)
class Statistics:
    """Statistics of a recording.

    Attributes:
        first_us, last_us: timestamps of the first and last event; None without events.
        on_fraction: fraction of the events with polarity 1.
        active_pixels: number of pixels with at least one event.
        hot_pixels: the five with the most events.
        gaps: the five longest times without events, of 10 ms or more.
        gap_count: number of all gaps of 10 ms or more.
        bin_us, counts: number of events (B,) in bins of equal duration from the first event on.
    """

    events: int
    first_us: int | None
    last_us: int | None
    on_fraction: float
    active_pixels: int
    hot_pixels: tuple[HotPixel, ...]
    gaps: tuple[Gap, ...]
    gap_count: int
    bin_us: int
    counts: NDArray[np.int64]

    @property
    def duration_us(self) -> int:
        """From the first event to the last."""
        if self.first_us is None or self.last_us is None:
            return 0
        return self.last_us - self.first_us

    @property
    def mean_rate_hz(self) -> float:
        """Events per second; 0 if all have the same timestamp."""
        return self.events / self.duration_us * 1e6 if self.duration_us else 0.0

    def rates_hz(self, bins: int) -> NDArray[np.float64]:
        """The mean rates (bins,) in equal parts of the duration."""
        if not self.duration_us:
            return np.zeros(0)
        edges = np.linspace(0, self.duration_us + 1, bins + 1)
        fine = np.arange(len(self.counts) + 1) * float(self.bin_us)
        fine[-1] = max(fine[-2] + 1, min(fine[-1], self.duration_us + 1))
        total = np.concatenate([[0], np.cumsum(self.counts)])
        rates: NDArray[np.float64] = np.diff(np.interp(edges, fine, total)) / np.diff(edges) * 1e6
        return rates


def compute_statistics(packets: Iterable[EventArray], size: SensorSize) -> Statistics:
    """The statistics of all events of a source."""
    pixels: NDArray[np.int64] = np.zeros(size.width * size.height, np.int64)
    counts: NDArray[np.int64] = np.zeros(_MAX_BINS, np.int64)
    bin_us, events, on, gap_count = 100, 0, 0, 0
    first_us: int | None = None
    last_us = 0
    gaps: list[Gap] = []
    for packet in packets:
        t = packet["t"]
        if first_us is None:
            first_us = last_us = int(t[0])
        steps = np.diff(t, prepend=last_us)
        where = np.flatnonzero(steps >= _MIN_GAP_US)
        gap_count += len(where)
        gaps += [Gap(int(t[i] - steps[i]), int(steps[i])) for i in where]
        gaps = sorted(gaps, key=lambda gap: -gap.duration_us)[:_LISTED]
        last_us = int(t[-1])
        while (last_us - first_us) // bin_us >= _MAX_BINS:
            counts[: _MAX_BINS // 2] = counts.reshape(-1, 2).sum(axis=1)
            counts[_MAX_BINS // 2 :] = 0
            bin_us *= 2
        counts += np.bincount((t - first_us) // bin_us, minlength=_MAX_BINS)
        places = packet["y"].astype(np.int64) * size.width + packet["x"]
        pixels += np.bincount(places, minlength=len(pixels))
        events += len(packet)
        on += int(packet["p"].sum(dtype=np.int64))
    hottest = np.argsort(-pixels, kind="stable")[:_LISTED]
    used = 1 if first_us is None else (last_us - first_us) // bin_us + 1
    return Statistics(
        events=events,
        first_us=first_us,
        last_us=None if first_us is None else last_us,
        on_fraction=on / events if events else 0.0,
        active_pixels=int(np.count_nonzero(pixels)),
        hot_pixels=tuple(
            HotPixel(int(i) % size.width, int(i) // size.width, int(pixels[i]), pixels[i] / events)
            for i in hottest
            if pixels[i]
        ),
        gaps=tuple(gaps),
        gap_count=gap_count,
        bin_us=bin_us,
        counts=counts[:used],
    )
