"""The coarse grid against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.tracking.detector_grid import FRACTIONS, SATURATION, GridShape, SensorGrid

SIZES = [SensorSize(346, 260), SensorSize(1280, 720), SensorSize(128, 128), SensorSize(40, 30)]


def _events(size: SensorSize, count: int, span_us: int) -> EventArray:
    rng = np.random.default_rng(3)
    return make_events(
        np.sort(rng.integers(0, span_us, count)),
        rng.integers(0, size.width, count),
        rng.integers(0, size.height, count),
        rng.integers(0, 2, count),
    )


def _by_hand(grid: SensorGrid, events: EventArray, now_us: int) -> np.ndarray:
    """Events one by one; pixels of a cell one by one."""
    shape, size = grid.shape, grid.size
    scale = max(size.width / shape.width, size.height / shape.height, 1)
    cell_x = [min(int((x + 0.5) / scale), shape.width - 1) for x in range(size.width)]
    cell_y = [min(int((y + 0.5) / scale), shape.height - 1) for y in range(size.height)]
    pixels = np.zeros((shape.height, shape.width))
    for y in range(size.height):
        for x in range(size.width):
            pixels[cell_y[y], cell_x[x]] += 1
    counts = np.zeros((shape.channels, shape.height, shape.width))
    for t, x, y, p in events.tolist():
        for window, fraction in enumerate(FRACTIONS):
            if now_us - round(fraction * shape.lookback_us) < t <= now_us:
                counts[2 * window + p, cell_y[y], cell_x[x]] += 1
    full: np.ndarray = np.sqrt(np.minimum(counts / np.maximum(pixels, 1) / SATURATION, 1))
    return full


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_cells_hold_events_per_pixel(size: SensorSize) -> None:
    grid = SensorGrid(GridShape(), size)
    events = _events(size, 4000, 300_000)
    found = grid(events, 300_000)
    np.testing.assert_allclose(found, _by_hand(grid, events, 300_000), atol=1e-6)
    assert found.max() > 0


def test_a_finer_sensor_gives_the_same_cells() -> None:
    """Each pixel of one sensor is four of the other."""
    coarse = _events(SensorSize(192, 144), 20_000, 128_000)
    parts = [coarse.copy() for _ in range(4)]
    for k, part in enumerate(parts):
        part["x"], part["y"] = 2 * part["x"] + k % 2, 2 * part["y"] + k // 2
    fine = np.concatenate(parts)
    fine = fine[np.argsort(fine["t"], kind="stable")]
    one = SensorGrid(GridShape(), SensorSize(192, 144))(coarse, 128_000)
    other = SensorGrid(GridShape(), SensorSize(384, 288))(fine, 128_000)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_with_many_events_time_is_shortened() -> None:
    size = SensorSize(96, 72)
    events = _events(size, 5000, 100_000)
    few = GridShape(max_events=1000)
    newest = events[-1000:]
    lookback_us = 100_000 - int(newest["t"][0])
    shorter = SensorGrid(GridShape(lookback_us=lookback_us), size)
    # The oldest event itself ends the longest window.
    expected = shorter(events, 100_000)
    found = SensorGrid(few, size)(events, 100_000)
    np.testing.assert_allclose(found[:4], expected[:4])
    assert np.count_nonzero(found[4:] != expected[4:]) <= 1


def test_no_events_give_zeros_and_old_ones_do_not_count() -> None:
    grid = SensorGrid(GridShape(), SensorSize(346, 260))
    events = _events(grid.size, 100, 1000)
    assert not grid(events[:0], 5).any()
    assert not grid(events, 1_000_000).any()


def test_config_round_trip() -> None:
    shape = GridShape(width=64, height=48, lookback_us=50_000)
    assert GridShape.from_config(shape.to_config()) == shape
    with pytest.raises(ConfigError) as caught:
        GridShape.from_config({"name": "voxel_grid", "bins": 5})
    assert caught.value.field == "representation"
    with pytest.raises(ConfigError) as caught:
        GridShape(width=20)
    assert (caught.value.field, caught.value.value) == ("GridShape.width", 20)


def test_a_part_is_the_grid_of_a_sensor_of_its_own() -> None:
    size, part = SensorSize(346, 260), Box(138, 104, 208, 156)
    events = _events(size, 8000, 128_000)
    inside = (events["x"] >= 138) & (events["y"] >= 104)
    alone = events[inside].copy()
    alone["x"] -= 138
    alone["y"] -= 104
    found = SensorGrid(GridShape(), size, part)(events, 128_000)
    expected = SensorGrid(GridShape(), SensorSize(208, 156))(alone, 128_000)
    np.testing.assert_array_equal(found, expected)
