"""Latency of several calls in one run, so that ratios between them are reliable."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Latency:
    """The latency of one call, measured many times.

    Attributes:
        samples_ms: (N,) float64, in the order of the calls.
    """

    samples_ms: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.samples_ms.ndim != 1 or not len(self.samples_ms):
            raise ConfigError("samples_ms", self.samples_ms.shape, "shape (N,), N above 0")

    def percentile(self, fraction: float) -> float:
        """Return a percentile in ms; 50 is the median."""
        return float(np.percentile(self.samples_ms, fraction))

    @property
    def fast_ms(self) -> float:
        """The 10th percentile: the latency without disturbance by other programs.

        Ratios use this one, since it hardly depends on the load of the machine.
        """
        return self.percentile(10)

    @property
    def disturbed(self) -> bool:
        """Whether other programs used the core so much that p50 and p99 are unreliable."""
        return self.p50_ms > 1.5 * self.fast_ms

    @property
    def p50_ms(self) -> float:
        return self.percentile(50)

    @property
    def p95_ms(self) -> float:
        return self.percentile(95)

    @property
    def p99_ms(self) -> float:
        return self.percentile(99)

    def __str__(self) -> str:
        return f"{self.p50_ms:.3f} ms (p95 {self.p95_ms:.3f}, p99 {self.p99_ms:.3f})"


#: Minimum number of calls in a round. On a busy machine, a round of a few milliseconds could
#: otherwise consist of a single interrupted call.
_MIN_CALLS = 5


def measure(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 1.0,
    rounds: int = 10,
    warm_up: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Latency]:
    """Measure each call for about `seconds`, and at least five times in each round.

    In every round the calls are measured one after the other, so that a machine that slows down
    slows all of them.

    Args:
        warm_up: calls before the measurement.
        clock: returns seconds; `time.process_time` measures CPU time, without waiting.

    Raises:
        ConfigError: no calls, or a setting that is not above 0.
    """
    _prepare(calls, seconds, rounds, warm_up)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name] += _timed(call, seconds / rounds, clock)
    return {name: Latency(np.array(taken)) for name, taken in samples.items()}


def interleaved_ratios(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 2.0,
    rounds: int = 80,
    warm_up: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the time of each call ÷ that of the first: the median over many short rounds.

    The ratio is taken within a round of a few hundredths of a second, so that changes of the
    machine's speed between rounds, as in virtual machines, do not matter.

    Args:
        seconds: for each call, in all rounds together; the rest as for `measure`.

    Raises:
        ConfigError: no calls, or a setting that is not above 0.
    """
    _prepare(calls, seconds, rounds, warm_up)
    fast = [
        [
            Latency(np.array(_timed(call, seconds / rounds, clock))).fast_ms
            for call in calls.values()
        ]
        for _ in range(rounds)
    ]
    ratios = np.array(fast) / np.array(fast)[:, :1]
    return dict(zip(calls, np.median(ratios, axis=0).tolist(), strict=True))


def _prepare(
    calls: Mapping[str, Callable[[], object]], seconds: float, rounds: int, warm_up: int
) -> None:
    """Check the settings and warm up."""
    for field, value in (("seconds", seconds), ("rounds", rounds), ("calls", len(calls))):
        if not value > 0:
            raise ConfigError(field, value, "above 0")
    for call in calls.values():
        for _ in range(warm_up):
            call()


def _timed(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> list[float]:
    """Repeat a call for `seconds`; return the milliseconds of each."""
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while len(taken) < _MIN_CALLS or time.perf_counter() < until:
        before = clock()
        call()
        taken.append(1e3 * (clock() - before))
    return taken


@contextmanager
def pinned() -> Iterator[int | None]:
    """Pin this thread, and threads it starts, to the last core that this process may use.

    Yields its number, or None on systems without `sched_setaffinity`.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    chosen = max(before)
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)
