"""Speed of representations, compared with plain numba loops and other libraries.

The window has events of a face-like shape, on a small and on a large sensor. Each candidate gets
the events in its preferred form, converted beforehand. The numba loops validate nothing.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.events.report import OURS, Candidate, Requirement, Row, log, measure
from evface_edge import Box, SensorSize
from evface_edge.events.array import EventArray, make_events
from evface_edge.representation import (
    AdaptiveSurface,
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
)

SENSORS = (SensorSize(346, 260), SensorSize(1280, 720))
COUNTS = (20_000, 1_000_000)
DURATION_US = 30_000
BINS = 5
OUTPUT = (128, 128)
#: Factor on the repeats where requirements apply: some candidates are nearly equal.
_MORE_TURNS = 3
LOOP = "numba loop"
FULL_LOOP = "numba loop, full frame"

COMPARED: dict[str, Representation] = {
    "count": EventFrame(),
    "voxel grid, 5 bins": VoxelGrid(BINS),
    "time surface": TimeSurface(float(DURATION_US)),
}
OTHERS: dict[str, Representation] = {
    "time surface, linear": TimeSurface(float(DURATION_US), "linear"),
    "multi-scale surface": MultiScaleSurface(),
    "event statistics": EventStatistics(),
    "adaptive surface, rate": AdaptiveSurface("rate"),
    "adaptive surface, LoG": AdaptiveSurface("log"),
    "adaptive surface, spectrum": AdaptiveSurface("spectrum"),
}


def setting(size: SensorSize, count: int) -> str:
    return f"{size}, {count // 1000} k events"


REQUIREMENTS = (
    *(
        Requirement(subject, peer, ratio, setting(size, COUNTS[0]))
        for subject in COMPARED
        for peer, ratio in ((LOOP, 0.8 if subject == "count" else 1), ("tonic", 5))
        for size in SENSORS
    ),
    *(
        Requirement(f"{subject}, crop", FULL_LOOP, 3, setting(SENSORS[1], COUNTS[0]))
        for subject in COMPARED
    ),
)


def face_like(size: SensorSize, count: int) -> tuple[EventArray, Box]:
    """Events, 80 % on curves in a box of half the height of the sensor, and the box."""
    rng = np.random.default_rng(7)
    side, on_face = 0.5 * size.height, int(0.8 * count)
    angle = rng.uniform(0, 2 * np.pi, on_face)
    radius = 0.45 * side * rng.choice([1, 0.8, 0.5, 0.3], on_face) + rng.normal(0, 1.5, on_face)
    spread = count - on_face
    x = np.concatenate(
        [size.width / 2 + radius * np.cos(angle), rng.uniform(0, size.width, spread)]
    )
    y = np.concatenate(
        [size.height / 2 + radius * np.sin(angle), rng.uniform(0, size.height, spread)]
    )
    order = rng.permutation(count)
    events = make_events(
        np.sort(rng.integers(0, DURATION_US, count)) + 1_700_000_000_000_000,
        np.clip(x[order], 0, size.width - 1).astype(int),
        np.clip(y[order], 0, size.height - 1).astype(int),
        rng.integers(0, 2, count),
    )
    return events, Box(size.width / 2 - side / 2, size.height / 2 - side / 2, side, side)


@cache
def plain_loops() -> dict[str, Callable[[EventArray, int, int], Any]]:
    """Plain loops without validation."""
    import numba

    @numba.njit
    def count(events: Any, height: int, width: int) -> Any:
        frame = np.zeros((2, height, width), np.float32)
        for event in events:
            frame[event.p, event.y, event.x] += 1
        return frame

    @numba.njit
    def voxels(events: Any, height: int, width: int) -> Any:
        grid = np.zeros((2 * BINS, height, width), np.float32)
        start = events[0].t
        scale = (BINS - 1) / max(events[-1].t - start, 1)
        for event in events:
            position = (event.t - start) * scale
            first = min(int(position), BINS - 2)
            fraction = position - first
            grid[event.p * BINS + first, event.y, event.x] += 1 - fraction
            grid[event.p * BINS + first + 1, event.y, event.x] += fraction
        return grid

    @numba.njit
    def surface(events: Any, height: int, width: int) -> Any:
        newest = np.full((2, height, width), -1, np.int64)
        for event in events:
            newest[event.p, event.y, event.x] = event.t
        now = events[-1].t
        result = np.zeros((2, height, width), np.float32)
        for p in range(2):
            for y in range(height):
                for x in range(width):
                    if newest[p, y, x] >= 0:
                        result[p, y, x] = np.exp((newest[p, y, x] - now) / DURATION_US)
        return result

    return dict(zip(COMPARED, (count, voxels, surface), strict=True))


def repeated(run: Callable[[], Any], events: EventArray, least_s: float = 0.05) -> Candidate:
    """Repeats `run` for at least `least_s`, so that the resolution of the clock does not matter."""

    def candidate() -> int:
        times, began = 0, time.process_time()
        while time.process_time() - began < least_s:
            for _ in range(max(1, times)):
                run()
            times += max(1, times)
        return times * len(events)

    return candidate


def tonic(subject: str, events: EventArray, size: SensorSize) -> Callable[[], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tonic.functional as library

    theirs = events.astype([("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "i2")])
    theirs["t"] -= theirs["t"][0]
    sensor = (size.width, size.height, 2)
    if subject == "count":
        return lambda: library.to_frame_numpy(theirs, sensor, n_event_bins=1)
    if subject.startswith("voxel"):
        # It changes the polarities, so that each call needs a copy.
        return lambda: library.to_voxel_grid_numpy(theirs.copy(), sensor, n_time_bins=BINS)
    return lambda: library.to_timesurface_numpy(
        theirs, sensor, dt=DURATION_US, tau=DURATION_US, include_incomplete=True
    )


def dv(subject: str, events: EventArray, size: SensorSize) -> Callable[[], Any] | None:
    """The edge map (8 bits) and time surface (linear) of dv-processing, with one channel each."""
    import dv_processing as library

    store = library.EventStore()
    for t, x, y, p in events.tolist():
        store.push_back(t, x, y, bool(p))
    resolution = (size.width, size.height)
    if subject == "count":
        edges = library.EdgeMapAccumulator(resolution, 0.25, True, 0.0, 1.0)

        def edge_map() -> Any:
            edges.accept(store)
            return edges.generateFrame()

        return edge_map
    if subject == "time surface":
        surface = library.TimeSurface(resolution)

        def time_surface() -> Any:
            surface.accept(store)
            frame = surface.generateFrame()
            surface.reset()
            return frame

        return time_surface
    return None


def _peers(subject: str, events: EventArray, size: SensorSize) -> dict[str, Candidate]:
    loop = plain_loops()[subject]
    found = {LOOP: repeated(lambda: loop(events, size.height, size.width), events)}
    for name, package, make in (("dv-processing", "dv_processing", dv), ("tonic", "tonic", tonic)):
        if importlib.util.find_spec(package) is None:
            log(f"{name} is not installed")
            continue
        run = make(subject, events, size)
        if run is not None:
            found[name] = repeated(run, events)
    return found


def rows(repeats: int) -> list[Row]:
    """Measures all representations, sensors and windows."""
    found: list[Row] = []

    def add(subject: str, at: str, candidates: dict[str, Candidate], turns: int = 1) -> None:
        log(f"{subject}, {at}")
        found.extend(measure(subject, at, candidates, turns * repeats))

    for size in SENSORS:
        for count in COUNTS:
            events, box = face_like(size, count)
            at = setting(size, count)
            for subject, representation in {**COMPARED, **OTHERS}.items():
                whole = repeated(partial(representation, events, size), events)
                crop = repeated(partial(representation.crop, events, box, OUTPUT), events)
                peers = _peers(subject, events, size) if subject in COMPARED else {}
                turns = _MORE_TURNS if peers and count == COUNTS[0] else 1
                add(subject, at, {OURS: whole, **peers}, turns)
                full = {FULL_LOOP: peers[LOOP]} if peers else {}
                add(f"{subject}, crop", at, {OURS: crop, **full}, turns)
    return found
