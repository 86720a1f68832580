"""Representations against slow, obvious NumPy, closed forms, and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation import (
    REPRESENTATIONS,
    SATURATION,
    EventFrame,
    TimeSurface,
    VoxelGrid,
    from_config,
)

SIZE = SensorSize(31, 17)


def random_events(seed: int, count: int = 400, duration_us: int = 20_000) -> EventArray:
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, duration_us, count)) + 1_700_000_000_000_000,
        rng.integers(0, SIZE.width, count),
        rng.integers(0, SIZE.height, count),
        rng.integers(0, 2, count),
    )


def slow_voxels(events: EventArray, bins: int) -> NDArray[np.float64]:
    """Zhu et al., eq. 1-2, event by event."""
    grid = np.zeros((2, bins, SIZE.height, SIZE.width))
    start, span = int(events["t"][0]), int(events["t"][-1]) - int(events["t"][0])
    for event in events:
        scaled = (bins - 1) * (int(event["t"]) - start) / span
        for index in range(bins):
            grid[event["p"], index, event["y"], event["x"]] += max(0.0, 1 - abs(index - scaled))
    return grid.reshape(2 * bins, SIZE.height, SIZE.width)


@pytest.mark.parametrize("bins", [2, 3, 5, 9])
def test_voxel_grid_is_bilinear_in_time(bins: int) -> None:
    events = random_events(bins)
    found = VoxelGrid(bins)(events, SIZE)
    assert found.shape == (2 * bins, SIZE.height, SIZE.width)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_voxels(events, bins), atol=1e-4)


def test_event_frame_counts() -> None:
    events = random_events(1)
    expected = np.zeros((2, SIZE.height, SIZE.width))
    np.add.at(expected, (events["p"], events["y"], events["x"]), 1)
    np.testing.assert_array_equal(EventFrame()(events, SIZE), expected)


@pytest.mark.parametrize(
    ("decay", "expected"), [("exponential", np.exp(-0.5)), ("linear", 0.5)], ids=["exp", "linear"]
)
def test_time_surface_at_half_a_constant(decay: str, expected: float) -> None:
    events = make_events([0, 500, 1_000], [3, 4, 9], [2, 2, 5], [1, 0, 1])
    surface = TimeSurface(tau_us=1_000, decay=decay)(events, SIZE)
    assert surface[1, 5, 9] == 1
    assert surface[0, 2, 4] == pytest.approx(expected)
    assert surface[1, 2, 3] == pytest.approx(np.exp(-1) if decay == "exponential" else 0)
    assert np.count_nonzero(surface) == (3 if decay == "exponential" else 2)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_the_callers_events_are_left_alone(name: str) -> None:
    events = random_events(2)
    kept = events.copy()
    representation = REPRESENTATIONS[name]()
    representation(events, SIZE)
    representation.crop(events, Box(3, 3, 9, 9), (16, 16))
    np.testing.assert_array_equal(events, kept)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_no_events_is_all_zero(name: str) -> None:
    nothing = random_events(0, count=0)
    representation = REPRESENTATIONS[name]()
    assert not representation(nothing, SIZE).any()
    assert not representation.crop(nothing, Box(0, 0, 8, 8), (16, 16)).any()


def test_a_crop_of_the_whole_sensor_is_the_whole_sensor() -> None:
    events = random_events(3)
    whole = Box(-0.5, -0.5, SIZE.width, SIZE.height)
    found = VoxelGrid(5).crop(events, whole, (SIZE.width, SIZE.height))
    np.testing.assert_array_equal(found, VoxelGrid(5)(events, SIZE))


def test_a_crop_at_pixel_edges_is_a_slice() -> None:
    events = random_events(4)
    found = EventFrame().crop(events, Box(4.5, 2.5, 12, 9), (12, 9))
    np.testing.assert_array_equal(found, EventFrame()(events, SIZE)[:, 3:12, 5:17])


def test_a_shrinking_crop_keeps_every_event() -> None:
    events = random_events(5)
    found = EventFrame().crop(events, Box(-0.5, -0.5, SIZE.width, SIZE.height), (8, 4))
    assert found.sum() == len(events)


def test_an_enlarging_crop_is_bilinear() -> None:
    events = random_events(6)
    frame = EventFrame()(events, SIZE)[:, 1:9, 2:12]
    found = EventFrame().crop(events, Box(1.5, 0.5, 10, 8), (40, 24))
    rows = np.clip((np.arange(24) + 0.5) * 8 / 24 - 0.5, 0, 7)
    columns = np.clip((np.arange(40) + 0.5) * 10 / 40 - 0.5, 0, 9)
    at = np.meshgrid(rows, columns, indexing="ij")
    expected = [ndimage.map_coordinates(channel, at, order=1) for channel in frame]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    x=st.floats(-60, 60), y=st.floats(-60, 60), side=st.floats(0.5, 90), output=st.integers(1, 40)
)
def test_any_box_leaves_out_what_is_outside(x: float, y: float, side: float, output: int) -> None:
    events = random_events(7)
    found = EventFrame().crop(events, Box(x, y, side, side), (output, output))
    inside = (events["x"] >= x) & (events["x"] < x + side)
    inside &= (events["y"] >= y) & (events["y"] < y + side)
    assert found.shape == (2, output, output)
    assert found.sum() > 0 or not inside.any()
    if round(side) >= output:
        assert abs(found.sum() - inside.sum()) <= 1 + np.count_nonzero(
            np.isclose(events["x"], x)
            | np.isclose(events["x"], x + side)
            | np.isclose(events["y"], y)
            | np.isclose(events["y"], y + side)
        )


def test_mean_normalisation_does_not_depend_on_how_many_events() -> None:
    events = random_events(8, count=300)
    twice = np.repeat(events, 2)
    once = EventFrame(normalisation="mean")(events, SIZE)
    np.testing.assert_allclose(EventFrame(normalisation="mean")(twice, SIZE), once, rtol=1e-6)
    counts = EventFrame()(events, SIZE)
    mean = counts[counts > 0].mean()
    np.testing.assert_allclose(once, np.minimum(counts / (SATURATION * mean), 1), rtol=1e-6)


def test_events_outside_the_sensor_are_refused() -> None:
    events = make_events([0], [SIZE.width], [0], [1])
    with pytest.raises(EventFormatError, match=r"event 0 lies at \(31, 0\), outside the 31×17"):
        VoxelGrid()(events, SIZE)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "voxelgrid", "width": 8, "height": 8}, "did you mean 'voxel_grid'"),
        ({"name": "voxel_grid", "bins": 1, "width": 8, "height": 8}, "VoxelGrid.bins = 1"),
        ({"name": "voxel_grid", "width": 8}, "height"),
        ({"name": "voxel_grid", "width": 8, "height": 8, "bin": 5}, "bin"),
        ({"name": "event_frame", "width": 8, "height": 8, "normalisation": "x"}, "'none' or"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_config(config)
