"""Latency from events to landmarks in sensor pixels, stage by stage.

window → tracking → representation → network → decode. The events are those of the demo recording,
enlarged to the sensor and thinned out or repeated to the event rate. They are in memory, so that
reading files is not measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from evface_edge import DEMO_RECORDING
from evface_edge.bench.latency import Latency
from evface_edge.errors import ConfigError
from evface_edge.events import make_events, read_events
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import Crop, Detection, LandmarkNetwork
from evface_edge.tracking.tracker import Tracker

STAGES = ("window", "tracking", "representation", "network", "decode")
SIZES = (SensorSize(346, 260), SensorSize(1280, 720))
RATES_MEV_PER_S = (0.1, 1.0, 10.0)
PERIOD_US = 10_000
#: The part of the recording that is used.
_FROM_US, _UNTIL_US = 1_000_000, 1_500_000
#: Results that are not counted at the start, while the face is searched and buffers grow.
_WARM_UP = 10
#: Repeated events are moved in time by up to this much, so that short windows differ.
_SPREAD_US = 20_000


def stage_events(
    size: SensorSize,
    mev_per_s: float,
    seed: int = 0,
    *,
    from_us: int = _FROM_US,
    until_us: int = _UNTIL_US,
) -> EventArray:
    """Return events of a moving face on a sensor of this size at this rate, half a second long.

    Args:
        from_us, until_us: part of the demo recording, which has three seconds.

    Raises:
        ConfigError: a rate that is not above 0.
    """
    if not mev_per_s > 0:
        raise ConfigError("mev_per_s", mev_per_s, "above 0")
    rng = np.random.default_rng(seed)
    events, original = read_events(DEMO_RECORDING)
    events = events[(events["t"] >= from_us) & (events["t"] < until_us)]
    count = round(mev_per_s * (until_us - from_us))
    if count <= len(events):
        chosen = np.sort(rng.choice(len(events), count, replace=False))
        spread = np.zeros(count, np.int64)
    else:
        chosen = rng.integers(0, len(events), count)
        spread = rng.integers(-_SPREAD_US, _SPREAD_US, count)
    events = events[chosen]
    t = np.clip(events["t"] + spread, from_us, until_us - 1)
    scale = min(size.width / original.width, size.height / original.height)
    x = _enlarge(events["x"], scale, size.width, original.width, rng)
    y = _enlarge(events["y"], scale, size.height, original.height, rng)
    order = np.argsort(t, kind="stable")
    return make_events(t[order], x[order], y[order], events["p"][order])


def _enlarge(values: Any, scale: float, length: int, original: int, rng: Any) -> Any:
    """Map pixels to a random one of the larger pixels that they cover."""
    position = (values + rng.uniform(0, 1, len(values)) - original / 2) * scale + length / 2
    return np.clip(np.floor(position), 0, length - 1).astype(np.int64)


@dataclass(frozen=True)
class StageTimes:
    """Times of one result.

    Attributes:
        wall_ms: stage → elapsed time, including interruptions by other programs.
        cpu_ms: stage → CPU time of all threads of this process.
    """

    wall_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    cpu_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))


class StageClock:
    """Measures the time of each stage, without that of nested stages."""

    def __init__(self) -> None:
        self._times = StageTimes()
        self._running: list[_Stage] = []

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Return a context whose time is added to a stage."""
        return _Stage(self, name)

    def reset(self) -> StageTimes:
        """Return the times since the last reset."""
        times, self._times = self._times, StageTimes()
        return times


class _Stage:
    """A running stage; a class with slots, since its own time is measured too."""

    __slots__ = ("_began", "_began_cpu", "_clock", "_name", "nested", "nested_cpu")

    def __init__(self, clock: StageClock, name: str) -> None:
        self._clock, self._name = clock, name
        self.nested = self.nested_cpu = 0.0

    def __enter__(self) -> None:
        self._clock._running.append(self)
        self._began_cpu, self._began = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        took = 1e3 * (time.perf_counter() - self._began)
        took_cpu = 1e3 * (time.process_time() - self._began_cpu)
        times, running = self._clock._times, self._clock._running
        running.pop()
        times.wall_ms[self._name] += took - self.nested
        times.cpu_ms[self._name] += took_cpu - self.nested_cpu
        if running:
            running[-1].nested += took
            running[-1].nested_cpu += took_cpu


class _Timed:
    """Proxy of an object that times one of its methods."""

    def __init__(self, inner: Any, method: str, clock: StageClock, stage: str) -> None:
        self._inner, self._method, self._clock, self._stage = inner, method, clock, stage

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name != self._method:
            return attribute

        def timed(*arguments: Any) -> Any:
            with self._clock.stage(self._stage):
                return attribute(*arguments)

        return timed


class TimedNetwork(LandmarkNetwork):
    """The network as `Predictor` uses it, with a clock for its stages."""

    def __init__(
        self, path: Path, clock: StageClock, window_events: int | None = None, **options: Any
    ) -> None:
        super().__init__(path, **options)
        if window_events is not None:
            fewest = min(self.card.window.min_events, window_events)
            window = replace(self.card.window, min_events=fewest, max_events=window_events)
            self.card = replace(self.card, window=window)
        self._clock = clock
        self.event_count = 0  # in the newest crop
        self.runtime = cast(Any, _Timed(self.runtime, "run", clock, "network"))
        self._representation = cast(
            Any, _Timed(self._representation, "crop", clock, "representation")
        )

    def crop(self, buffer: EventBuffer, box: Box, now_us: int, *, mirrored: bool = False) -> Crop:
        with self._clock.stage("window"):
            crop = super().crop(buffer, box, now_us, mirrored=mirrored)
        self.event_count = crop.event_count
        return crop

    def infer(self, crops: Sequence[Crop]) -> list[Detection]:
        with self._clock.stage("decode"):
            return super().infer(crops)


def measure_stages(
    path: Path,
    size: SensorSize,
    mev_per_s: float,
    *,
    window_events: int | None = None,
    runtime: str | None = None,
    device: str = "auto",
    threads: int = 1,
) -> dict[str, Any]:
    """Follow the face at 100 results a second, as fast as possible.

    Args:
        window_events: maximum number of events of one inference; by default that of the card.

    Returns:
        `stages_ms`: stage → a time for each result; `total_ms`: their sums; `stages_cpu_ms` and
        `total_cpu_ms`: the same in CPU time; `window_events`: events of each inference;
        `instants`: number of results; `with_face`: how many have a face; `mev_per_s`: the highest
        event rate that could be processed on average, including the search.
    """
    events = stage_events(size, mev_per_s)
    clock = StageClock()
    network = TimedNetwork(
        path, clock, window_events, runtime=runtime, device=device, threads=threads
    )
    try:
        _run(network, clock, events[: len(events) // 5], size)  # compiles the loops
        all_times, faces, event_counts = _run(network, clock, events, size)
    finally:
        network.close()
    times = all_times[_WARM_UP:]
    wall, cpu = [one.wall_ms for one in times], [one.cpu_ms for one in times]
    busy_s = 1e-3 * sum(sum(one.wall_ms.values()) for one in all_times)
    return {
        "stages_ms": _by_stage(wall),
        "total_ms": [round(sum(one.values()), 5) for one in wall],
        "stages_cpu_ms": _by_stage(cpu),
        "total_cpu_ms": [round(sum(one.values()), 5) for one in cpu],
        "window_events": event_counts[_WARM_UP:],
        "instants": len(times),
        "with_face": sum(faces[_WARM_UP:]),
        "mev_per_s": len(events) / busy_s * 1e-6,
    }


def _by_stage(times: list[dict[str, float]]) -> dict[str, list[float]]:
    return {stage: [round(one[stage], 5) for one in times] for stage in STAGES}


def _run(
    network: TimedNetwork, clock: StageClock, events: EventArray, size: SensorSize
) -> tuple[list[StageTimes], list[bool], list[int]]:
    """Return for each result its times, whether there is a face, and its number of events."""
    buffer = EventBuffer(network.card.window.max_duration_us)
    tracker = Tracker(network, size)
    first, last = int(events["t"][0]), int(events["t"][-1])
    instants = range(first + PERIOD_US, last + 1, PERIOD_US)
    edges = [0, *np.searchsorted(events["t"], instants, side="right")]
    clock.reset()
    times, faces, event_counts = [], [], []
    for now_us, start, stop in zip(instants, edges[:-1], edges[1:], strict=True):
        with clock.stage("window"):
            buffer.append(events[start:stop])
        with clock.stage("tracking"):
            faces.append(bool(tracker.update(buffer, now_us)))
        times.append(clock.reset())
        event_counts.append(network.event_count)
    return times, faces, event_counts


def summarise(times_ms: list[float]) -> dict[str, float]:
    """Return the percentiles of one stage."""
    latency = Latency(np.array(times_ms))
    return {
        "fast_ms": latency.fast_ms,
        "p50_ms": latency.p50_ms,
        "p95_ms": latency.p95_ms,
        "p99_ms": latency.p99_ms,
    }
