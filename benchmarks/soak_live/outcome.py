"""What a run came to."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


class Latency:
    """Times of packets, in bins of 5 %, so that ten minutes take no more memory than one second."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(400, np.int64)
        self.longest_ms = 0.0

    def add(self, milliseconds: float) -> None:
        self.longest_ms = max(self.longest_ms, milliseconds)
        index = round(math.log(max(milliseconds, 0.01) / 0.01, 1.05))
        self._counts[min(index, len(self._counts) - 1)] += 1

    def quantile(self, fraction: float) -> float:
        """In ms, to 5 %; 0 where there is none."""
        total = self._counts.cumsum()
        if not total[-1]:
            return 0.0
        return float(0.01 * 1.05 ** int(np.searchsorted(total, fraction * total[-1])))

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
