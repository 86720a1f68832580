"""Incremental forms equal the representation of the window, however the events come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation import (
    AdaptiveSurface,
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
)

SIZE = SensorSize(23, 14)
EPOCH_US = 1_700_000_000_000_000
AREAS = {
    "sensor": (SIZE, None),
    "shrunk": (Box(-3, 2.5, 20, 16), (6, 8)),
    "enlarged": (Box(4, 3, 9, 8), (20, 20)),
}
WINDOWED = [
    EventFrame(),
    EventFrame("mean"),
    VoxelGrid(2),
    VoxelGrid(5),
    VoxelGrid(4, "mean"),
    EventStatistics(),
    TimeSurface(3_000),
    TimeSurface(3_000, "linear"),
    MultiScaleSurface((500.0, 2_000.0)),
]
ENDLESS = [
    TimeSurface(3_000),
    TimeSurface(9_000, "linear"),
    MultiScaleSurface(),
    AdaptiveSurface("rate", slice_us=1_500, patch=4),
    AdaptiveSurface("log", slice_us=1_500, patch=4),
    AdaptiveSurface("spectrum", slice_us=1_500, patch=4),
]


def drawn_events(seed: int, count: int = 600) -> EventArray:
    """In bursts, many of them at the same times."""
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, 60, count) ** 2 * 5) + EPOCH_US,
        rng.integers(0, SIZE.width, count),
        rng.integers(0, SIZE.height, count),
        rng.integers(0, 2, count),
    )


def at_once(representation: Representation, events: EventArray, area: str, t_us: int) -> np.ndarray:
    place, output = AREAS[area]
    if isinstance(place, SensorSize):
        return representation(events, place, t_us=t_us)
    assert output is not None
    return representation.crop(events, place, output, t_us=t_us)


def check(
    representation: Representation,
    area: str,
    seed: int,
    cuts: list[int],
    waits: list[int],
    duration_us: int | None,
) -> None:
    events = drawn_events(seed)
    kept = events.copy()
    place, output = AREAS[area]
    running = representation.incremental(place, output, duration_us=duration_us)
    edges = [0, *sorted(cuts), len(events)]
    now = EPOCH_US
    for first, end, wait in zip(edges, edges[1:], waits, strict=False):
        running.push(events[first:end])
        if end:
            now = max(now, int(events["t"][end - 1]) + wait)
            window = events[:end]
            if duration_us is not None:
                window = window[window["t"] > now - duration_us]
            expected = at_once(representation, window, area, now)
            np.testing.assert_allclose(running.tensor(now), expected, rtol=1e-4, atol=2e-4)
    np.testing.assert_array_equal(events, kept)


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("representation", WINDOWED, ids=repr)
@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 1_000),
    cuts=st.lists(st.integers(0, 600), min_size=1, max_size=12),
    waits=st.lists(st.sampled_from([0, 0, 1, 900, 30_000]), min_size=13, max_size=13),
    duration_us=st.sampled_from([1, 700, 4_000, 60_000]),
)
def test_sliding_windows(
    representation: Representation,
    area: str,
    seed: int,
    cuts: list[int],
    waits: list[int],
    duration_us: int,
) -> None:
    check(representation, area, seed, cuts, waits, duration_us)


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("representation", ENDLESS, ids=repr)
def test_without_an_end(representation: Representation, area: str) -> None:
    check(
        representation, area, 5, [0, 1, 40, 41, 300, 301, 590], [0, 10, 0, 2_000, 0, 1, 0, 9], None
    )


def test_counts_are_exact_after_a_long_time() -> None:
    running = EventFrame().incremental(SIZE, duration_us=1_000)
    for step in range(200):
        events = drawn_events(step, 50)
        events["t"] += 20_000 * step
        running.push(events)
        window = events[events["t"] > events["t"][-1] - 1_000]
        np.testing.assert_array_equal(running.tensor(), EventFrame()(window, SIZE))


def test_before_the_first_event_it_is_empty() -> None:
    for representation in (*WINDOWED, *ENDLESS):
        duration = None if isinstance(representation, AdaptiveSurface) else 1_000
        running = representation.incremental(SIZE, duration_us=duration)
        assert not running.tensor().any()
        running.push(drawn_events(0, 0))
        assert running.tensor(EPOCH_US).shape == (representation.channels, 14, 23)


def test_what_comes_out_belongs_to_the_caller() -> None:
    running = EventFrame().incremental(SIZE, duration_us=10**6)
    running.push(drawn_events(1))
    first = running.tensor()
    kept = first.copy()
    first[:] = -1
    np.testing.assert_array_equal(running.tensor(), kept)


def test_time_does_not_go_back() -> None:
    events = drawn_events(2)
    running = TimeSurface().incremental(SIZE)
    running.push(events[300:])
    with pytest.raises(EventFormatError, match="push events in order of time"):
        running.push(events[:300])
    with pytest.raises(ConfigError, match="t_us"):
        running.tensor(int(events["t"][-1]) - 1)
    running.tensor(int(events["t"][-1]) + 10)
    with pytest.raises(ConfigError, match="t_us"):
        running.tensor(int(events["t"][-1]) + 9)


def test_unsound_events_are_refused_and_nothing_is_taken_in() -> None:
    events = drawn_events(3)
    running = EventFrame().incremental(SIZE, duration_us=10**6)
    for field, value in (("p", 2), ("x", SIZE.width), ("t", 0)):
        bad = events.copy()
        bad[field][500] = value
        with pytest.raises(EventFormatError, match="event 500"):
            running.push(bad)
    with pytest.raises(EventFormatError, match="EVENT_DTYPE"):
        running.push(np.zeros(4))
    assert not running.tensor().any()
    running.push(events)
    np.testing.assert_array_equal(running.tensor(), EventFrame()(events, SIZE))


@pytest.mark.parametrize(
    ("representation", "duration_us"),
    [
        (EventFrame(), None),
        (VoxelGrid(), None),
        (EventStatistics(), 10**9),
        (TimeSurface(), 0),
        (AdaptiveSurface(), 1_000),
    ],
    ids=repr,
)
def test_a_duration_that_cannot_be(representation: Representation, duration_us: int | None) -> None:
    with pytest.raises(ConfigError, match="duration_us"):
        representation.incremental(SIZE, duration_us=duration_us)


def test_a_box_needs_an_output_size_and_a_sensor_none() -> None:
    with pytest.raises(ConfigError, match="output_size"):
        TimeSurface().incremental(Box(0, 0, 9, 9))
    with pytest.raises(ConfigError, match="output_size"):
        TimeSurface().incremental(SIZE, (9, 9))
