"""The value of a cell, compared with plain NumPy, closed forms and tonic."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation import (
    SATURATION,
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    TimeSurface,
    VoxelGrid,
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


def slow_newest(events: EventArray) -> NDArray[np.float64]:
    """Time of the newest event of each pixel and polarity, -inf where there is none."""
    newest = np.full((2, SIZE.height, SIZE.width), -np.inf)
    for event in events:
        newest[event["p"], event["y"], event["x"]] = event["t"]
    return newest


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
def test_voxel_grid_equals_the_paper(bins: int) -> None:
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
def test_time_surface_at_half_a_time_constant(decay: str, expected: float) -> None:
    events = make_events([0, 500, 1_000], [3, 4, 9], [2, 2, 5], [1, 0, 1])
    surface = TimeSurface(tau_us=1_000, decay=decay)(events, SIZE)
    assert surface[1, 5, 9] == 1
    assert surface[0, 2, 4] == pytest.approx(expected)
    assert surface[1, 2, 3] == pytest.approx(np.exp(-1) if decay == "exponential" else 0)
    assert np.count_nonzero(surface) == (3 if decay == "exponential" else 2)


@pytest.mark.parametrize("later_us", [0, 700])
@pytest.mark.parametrize("decay", ["exponential", "linear"])
def test_time_surface_pixel_by_pixel(decay: str, later_us: int) -> None:
    events = random_events(17, duration_us=9_000)
    now = int(events["t"][-1]) + later_us
    age = (now - slow_newest(events)) / 4_000
    expected = np.exp(-age) if decay == "exponential" else np.maximum(0, 1 - age)
    found = TimeSurface(4_000, decay)(events, SIZE, t_us=now)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_very_old_event_is_zero() -> None:
    events = make_events([0, 10_000_000], [1, 2], [1, 1], [1, 1])
    found = TimeSurface(1_000)(events, SIZE)
    assert found[1, 1, 1] == 0
    assert found[1, 1, 2] == 1


def test_multi_scale_surface_pixel_by_pixel() -> None:
    events = random_events(18, duration_us=150_000)
    now = int(events["t"][-1])
    newest = slow_newest(events)
    expected = [
        np.clip((newest[p] - now + scale) / scale, 0, None)
        for p in (0, 1)
        for scale in (1e3, 3e3, 10e3, 30e3, 100e3)
    ]
    np.testing.assert_allclose(MultiScaleSurface()(events, SIZE), expected, atol=1e-6)


def slow_statistics(
    events: EventArray, group: NDArray[np.int64], cells: int
) -> NDArray[np.float64]:
    """Count, net polarity, deviation of the gaps of single pixels; `group`: the cell of each."""
    result = np.zeros((3, cells))
    gaps: dict[int, list[int]] = {}
    newest: dict[tuple[int, int], int] = {}
    for event, cell in zip(events, group, strict=True):
        pixel = int(event["x"]), int(event["y"])
        result[:2, cell] += 1, 2 * int(event["p"]) - 1
        if pixel in newest:
            gaps.setdefault(int(cell), []).append(int(event["t"]) - newest[pixel])
        newest[pixel] = int(event["t"])
    for cell, values in gaps.items():
        result[2, cell] = np.std(values)
    return result


def test_event_statistics_pixel_by_pixel() -> None:
    events = random_events(19, count=4_000)
    pixel = events["y"].astype(np.int64) * SIZE.width + events["x"]
    expected = slow_statistics(events, pixel, SIZE.width * SIZE.height)
    found = EventStatistics()(events, SIZE).reshape(3, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-2)
    assert (found[2] > 0).mean() > 0.5


def test_gaps_do_not_cross_pixels_when_a_crop_shrinks() -> None:
    """Two neighbours fire in turn, each at a constant rate: the deviation is 0."""
    t = np.arange(20) * 100
    events = make_events(t, np.arange(20) % 2, np.zeros(20), np.ones(20))
    found = EventStatistics().crop(events, Box(-0.5, -0.5, 2, 1), (1, 1))
    np.testing.assert_array_equal(found[:, 0, 0], [20, 20, 0])
    events = random_events(20, count=3_000)
    cell = (events["y"] // 4).astype(np.int64) * 8 + events["x"] // 4
    expected = slow_statistics(events, cell, 40)
    found = EventStatistics().crop(events, Box(-0.5, -0.5, 32, 20), (8, 5))
    np.testing.assert_allclose(found.reshape(3, -1), expected, rtol=1e-5, atol=1e-2)


def test_normalised_statistics() -> None:
    events = random_events(21, count=2_000)
    count, net, deviation = EventStatistics()(events, SIZE).astype(np.float64)
    found = EventStatistics("mean")(events, SIZE)
    scale = SATURATION * count[count > 0].mean()
    np.testing.assert_allclose(found[0], np.clip(count / scale, 0, 1), atol=1e-6)
    np.testing.assert_allclose(found[1], np.clip(net / scale, -1, 1), atol=1e-6)
    scale = SATURATION * deviation[deviation > 0].mean()
    np.testing.assert_allclose(found[2], np.clip(deviation / scale, 0, 1), atol=1e-6)


def test_counts_and_surfaces_agree_with_tonic() -> None:
    """Not its voxel grid, which scales time by B where Zhu et al. have B - 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        functional = pytest.importorskip("tonic.functional", reason="tonic is not installed")
    events = random_events(22, duration_us=30_000)
    events["t"][0] = start = int(events["t"][-1]) - 30_000
    theirs = events.astype([("t", "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")])
    sensor = (SIZE.width, SIZE.height, 2)
    frames = functional.to_frame_numpy(theirs.copy(), sensor, n_event_bins=1)
    np.testing.assert_array_equal(EventFrame()(events, SIZE), frames[0])
    (surface,) = functional.to_timesurface_numpy(theirs.copy(), sensor, dt=30_000, tau=9_000)
    before = events[events["t"] < start + 30_000]
    found = TimeSurface(9_000)(before, SIZE, t_us=start + 30_000)
    np.testing.assert_allclose(found, surface, atol=1e-6)


@pytest.mark.parametrize("tau_us", [1e-9, 1e-3, 0.3, 1.0, 7.0, 1e12])
def test_any_time_constant(tau_us: float) -> None:
    events = random_events(24, duration_us=3_000)
    newest = slow_newest(events)
    with np.errstate(over="ignore"):
        expected = np.exp((newest - int(events["t"][-1])) / tau_us)
    np.testing.assert_allclose(TimeSurface(tau_us)(events, SIZE), expected, atol=1e-6)
