"""A canvas shows each window as the representation itself does, whatever came before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import SensorSize
from evface_edge.representation import (
    AdaptiveSurface,
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
)

SIZE = SensorSize(40, 32)  # windows of up to 80 events are cleared pixel by pixel
EVERY = [
    EventFrame(),
    EventFrame("mean"),
    VoxelGrid(2),
    VoxelGrid(5, "mean"),
    TimeSurface(3_000),
    TimeSurface(3_000, "linear"),
    MultiScaleSurface((500.0, 2_000.0)),
    EventStatistics("mean"),
    AdaptiveSurface("rate", slice_us=1_500, patch=4),
]


def drawn(seed: int, count: int) -> EventArray:
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, 5_000, count)) + 1_700_000_000_000_000,
        rng.integers(0, SIZE.width, count),
        rng.integers(0, SIZE.height, count),
        rng.integers(0, 2, count),
    )


@pytest.mark.parametrize("representation", EVERY, ids=str)
@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.sampled_from([0, 1, 7, 79, 80, 81, 500]), min_size=1, max_size=6))
def test_each_window_is_as_on_a_new_tensor(
    representation: Representation, counts: list[int]
) -> None:
    canvas = representation.canvas(SIZE)
    for seed, count in enumerate(counts):
        events = drawn(seed, count)
        expected = representation(events, SIZE)
        np.testing.assert_array_equal(canvas(events), expected)
        events["x"] = 0  # the caller uses its array anew


def test_ages_are_counted_from_the_instant() -> None:
    surface, events = TimeSurface(3_000), drawn(0, 50)
    now_us = int(events["t"][-1]) + 700
    canvas = surface.canvas(SIZE)
    canvas(drawn(1, 50))
    np.testing.assert_array_equal(canvas(events, t_us=now_us), surface(events, SIZE, t_us=now_us))


def test_what_it_shows_is_not_to_be_written_to() -> None:
    shown = EventFrame().canvas(SIZE)(drawn(0, 30))
    with pytest.raises(ValueError, match="read-only"):
        shown[0, 0, 0] = 1


@pytest.mark.parametrize("representation", EVERY, ids=str)
def test_after_an_error_it_is_right_again(representation: Representation) -> None:
    canvas = representation.canvas(SIZE)
    canvas(drawn(0, 60))
    outside = drawn(1, 60)
    outside["y"][50] = SIZE.height
    with pytest.raises(EventFormatError, match="event 50"):
        canvas(outside)
    np.testing.assert_array_equal(canvas(drawn(2, 0)), 0)
    with pytest.raises(ConfigError, match="t_us = 5"):
        canvas(drawn(3, 60), t_us=5)
    events = drawn(4, 60)
    np.testing.assert_array_equal(canvas(events), representation(events, SIZE))
