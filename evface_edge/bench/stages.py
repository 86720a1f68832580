"""Events to landmarks in sensor pixels, timed stage by stage.

window → tracking → representation → network → decode. The events are those of the recording that
came along, enlarged to the sensor and thinned or repeated to the rate, with the camera's noise
repeated too; they come from memory, so that no reading of files is in the times.
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
#: The part of the recording that is used, and how many of its first instants are not counted: in
#: them the face is searched for, and buffers grow.
_FROM_US, _UNTIL_US, _NOT_COUNTED = 1_000_000, 1_500_000, 10
#: Repeated events are spread in time, so that a short window still holds different ones.
_SPREAD_US = 20_000


def stage_events(
    size: SensorSize,
    mev_per_s: float,
    seed: int = 0,
    *,
    from_us: int = _FROM_US,
    until_us: int = _UNTIL_US,
) -> EventArray:
    """A face that moves, half a second of it, on such a sensor, at such a rate.

    Args:
        from_us, until_us: another part of the recording that came along; it has three seconds.

    Raises:
        ConfigError: a rate that is not above 0.
    """
    if not mev_per_s > 0:
        raise ConfigError("mev_per_s", mev_per_s, "above 0")
    rng = np.random.default_rng(seed)
    events, original = read_events(DEMO_RECORDING)
    events = events[(events["t"] >= from_us) & (events["t"] < until_us)]
    wanted = round(mev_per_s * (until_us - from_us))
    if wanted <= len(events):
        chosen = np.sort(rng.choice(len(events), wanted, replace=False))
        spread = np.zeros(wanted, np.int64)
    else:
        chosen = rng.integers(0, len(events), wanted)
        spread = rng.integers(-_SPREAD_US, _SPREAD_US, wanted)
    events = events[chosen]
    t = np.clip(events["t"] + spread, from_us, until_us - 1)
    scale = min(size.width / original.width, size.height / original.height)
    x = _enlarge(events["x"], scale, size.width, original.width, rng)
    y = _enlarge(events["y"], scale, size.height, original.height, rng)
    order = np.argsort(t, kind="stable")
    return make_events(t[order], x[order], y[order], events["p"][order])


def _enlarge(values: Any, scale: float, length: int, original: int, rng: Any) -> Any:
    """Pixels of the small sensor to pixels of the large one, anywhere under the small one."""
    place = (values + rng.uniform(0, 1, len(values)) - original / 2) * scale + length / 2
    return np.clip(np.floor(place), 0, length - 1).astype(np.int64)


@dataclass(frozen=True)
class Spent:
    """On one instant, stage by stage, ms.

    Attributes:
        wall_ms: as a clock on the wall sees it, with the time in which others had the core.
        cpu_ms: of the processor, in all threads of this process.
    """

    wall_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    cpu_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))


class StageClock:
    """Time spent in each stage, without that of stages called from within it."""

    def __init__(self) -> None:
        self._spent = Spent()
        self._within: list[_Running] = []

    def stage(self, name: str) -> AbstractContextManager[None]:
        return _Running(self, name)

    def take(self) -> Spent:
        """What was spent since the last time this was asked."""
        spent, self._spent = self._spent, Spent()
        return spent


class _Running:
    """A stage that goes on; as light as can be, since its own time is measured too."""

    __slots__ = ("_began", "_began_cpu", "_clock", "_name", "inner", "inner_cpu")

    def __init__(self, clock: StageClock, name: str) -> None:
        self._clock, self._name = clock, name
        self.inner = self.inner_cpu = 0.0

    def __enter__(self) -> None:
        self._clock._within.append(self)
        self._began_cpu, self._began = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        took = 1e3 * (time.perf_counter() - self._began)
        took_cpu = 1e3 * (time.process_time() - self._began_cpu)
        spent, within = self._clock._spent, self._clock._within
        within.pop()
        spent.wall_ms[self._name] += took - self.inner
        spent.cpu_ms[self._name] += took_cpu - self.inner_cpu
        if within:
            within[-1].inner += took
            within[-1].inner_cpu += took_cpu


class _Timed:
    """Anything, one of whose methods is timed."""

    def __init__(self, inner: Any, method: str, clock: StageClock, stage: str) -> None:
        self._inner, self._method, self._clock, self._stage = inner, method, clock, stage

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        def timed(*arguments: Any) -> Any:
            with self._clock.stage(self._stage):
                return found(*arguments)

        return timed


class TimedNetwork(LandmarkNetwork):
    """The network as `Predictor` uses it, with its stages on a clock."""

    def __init__(
        self, path: Path, clock: StageClock, window_events: int | None = None, **options: Any
    ) -> None:
        super().__init__(path, **options)
        if window_events is not None:
            least = min(self.card.window.min_events, window_events)
            window = replace(self.card.window, min_events=least, max_events=window_events)
            self.card = replace(self.card, window=window)
        self._clock = clock
        self.event_count = 0  # of the newest crop
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
    """Follow the face at 100 results a second, as fast as it goes.

    Args:
        window_events: that the network is shown at once, at most; None: as its card says.

    Returns:
        `stages_ms`: stage → one time for each instant counted; `total_ms`: their sums;
        `stages_cpu_ms` and `total_cpu_ms`: the same of the processor's time; `window_events`: how
        many events the network was shown at each; `instants` counted, and `with_face`: how many of
        them had a face; `mev_per_s`: the most that it could keep up with on average, searching
        included.
    """
    events = stage_events(size, mev_per_s)
    clock = StageClock()
    network = TimedNetwork(
        path, clock, window_events, runtime=runtime, device=device, threads=threads
    )
    try:
        _run(network, clock, events[: len(events) // 5], size)  # compiles what is compiled
        taken, faces, shown = _run(network, clock, events, size)
    finally:
        network.close()
    counted = taken[_NOT_COUNTED:]
    wall, cpu = [spent.wall_ms for spent in counted], [spent.cpu_ms for spent in counted]
    busy_s = 1e-3 * sum(sum(spent.wall_ms.values()) for spent in taken)
    return {
        "stages_ms": _by_stage(wall),
        "total_ms": [round(sum(instant.values()), 5) for instant in wall],
        "stages_cpu_ms": _by_stage(cpu),
        "total_cpu_ms": [round(sum(instant.values()), 5) for instant in cpu],
        "window_events": shown[_NOT_COUNTED:],
        "instants": len(counted),
        "with_face": sum(faces[_NOT_COUNTED:]),
        "mev_per_s": len(events) / busy_s * 1e-6,
    }


def _by_stage(instants: list[dict[str, float]]) -> dict[str, list[float]]:
    return {stage: [round(instant[stage], 5) for instant in instants] for stage in STAGES}


def _run(
    network: TimedNetwork, clock: StageClock, events: EventArray, size: SensorSize
) -> tuple[list[Spent], list[bool], list[int]]:
    recent = EventBuffer(network.card.window.max_duration_us)
    tracker = Tracker(network, size)
    first, last = int(events["t"][0]), int(events["t"][-1])
    instants = range(first + PERIOD_US, last + 1, PERIOD_US)
    edges = [0, *np.searchsorted(events["t"], instants, side="right")]
    clock.take()
    taken, faces, shown = [], [], []
    for now_us, start, stop in zip(instants, edges[:-1], edges[1:], strict=True):
        with clock.stage("window"):
            recent.append(events[start:stop])
        with clock.stage("tracking"):
            faces.append(bool(tracker.update(recent, now_us)))
        taken.append(clock.take())
        shown.append(network.event_count)
    return taken, faces, shown


def summarise(times_ms: list[float]) -> dict[str, float]:
    """The figures of one stage."""
    latency = Latency(np.array(times_ms))
    return {
        "fast_ms": latency.fast_ms,
        "p50_ms": latency.p50_ms,
        "p95_ms": latency.p95_ms,
        "p99_ms": latency.p99_ms,
    }
