"""Behaviour common to all representations: crops, checks, normalisation, limits."""

from __future__ import annotations

import json

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
    EventStatistics,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
    from_config,
    to_config,
)
from evface_edge.representation.base import Cells

SIZE = SensorSize(31, 17)


def random_events(seed: int, count: int = 400, duration_us: int = 20_000) -> EventArray:
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, duration_us, count)) + 1_700_000_000_000_000,
        rng.integers(0, SIZE.width, count),
        rng.integers(0, SIZE.height, count),
        rng.integers(0, 2, count),
    )


ALL = [
    pytest.param(REPRESENTATIONS[name](**options), id="-".join((name, *map(str, options.values()))))
    for name, options in (
        ("event_frame", {}),
        ("event_frame", {"normalisation": "mean"}),
        ("voxel_grid", {}),
        ("time_surface", {}),
        ("time_surface", {"decay": "linear"}),
        ("multi_scale_surface", {}),
        ("event_statistics", {}),
        ("event_statistics", {"normalisation": "mean"}),
        ("adaptive_surface", {"score": "rate"}),
        ("adaptive_surface", {"score": "log"}),
        ("adaptive_surface", {"score": "spectrum"}),
    )
]


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_the_callers_events_are_not_changed(name: str) -> None:
    events = random_events(2)
    kept = events.copy()
    representation = REPRESENTATIONS[name]()
    representation(events, SIZE)
    representation.crop(events, Box(3, 3, 9, 9), (16, 16))
    np.testing.assert_array_equal(events, kept)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_without_events_all_cells_are_zero(name: str) -> None:
    none = random_events(0, count=0)
    representation = REPRESENTATIONS[name]()
    assert not representation(none, SIZE).any()
    assert not representation.crop(none, Box(0, 0, 8, 8), (16, 16)).any()


def test_a_crop_at_pixel_borders_equals_a_slice() -> None:
    events = random_events(4)
    found = EventFrame().crop(events, Box(4.5, 2.5, 12, 9), (12, 9))
    np.testing.assert_array_equal(found, EventFrame()(events, SIZE)[:, 3:12, 5:17])


def test_a_smaller_output_counts_every_event() -> None:
    events = random_events(5)
    found = EventFrame().crop(events, Box(-0.5, -0.5, SIZE.width, SIZE.height), (8, 4))
    assert found.sum() == len(events)


def test_a_larger_output_is_interpolated_bilinearly() -> None:
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
def test_a_crop_counts_the_events_inside_any_box(
    x: float, y: float, side: float, output: int
) -> None:
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


def test_mean_normalisation_does_not_depend_on_the_number_of_events() -> None:
    events = random_events(8, count=300)
    twice = np.repeat(events, 2)
    once = EventFrame(normalisation="mean")(events, SIZE)
    np.testing.assert_allclose(EventFrame(normalisation="mean")(twice, SIZE), once, rtol=1e-6)
    counts = EventFrame()(events, SIZE)
    mean = counts[counts > 0].mean()
    np.testing.assert_allclose(once, np.minimum(counts / (SATURATION * mean), 1), rtol=1e-6)


def test_events_outside_the_sensor_are_refused() -> None:
    events = make_events([0], [SIZE.width], [0], [1])
    with pytest.raises(EventFormatError, match=r"event 0 .*\(31, 0\).*31×17"):
        VoxelGrid()(events, SIZE)


@pytest.mark.parametrize(
    ("config", "field", "named"),
    [
        ({"name": "voxelgrid", "width": 8, "height": 8}, "representation.name", "'voxel_grid'"),
        ({"name": "voxel_grid", "bins": 1, "width": 8, "height": 8}, "VoxelGrid.bins", "1"),
        ({"name": "voxel_grid", "width": 8}, "representation", "height"),
        ({"name": "voxel_grid", "width": 8, "height": 8, "bin": 5}, "representation", "'bin'"),
        (
            {"name": "event_frame", "width": 8, "height": 8, "normalisation": "x"},
            "normalisation",
            "'none'",
        ),
    ],
)
def test_a_wrong_configuration_is_rejected(
    config: dict[str, object], field: str, named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as error:
        from_config(config)
    assert error.value.field == field


def test_only_representations_of_the_table_have_a_configuration() -> None:
    class Other(EventFrame):
        pass

    with pytest.raises(ConfigError, match="Other") as error:
        to_config(Other(), (8, 8))
    assert error.value.field == "representation"


def test_there_is_a_case_for_every_representation() -> None:
    assert {type(case.values[0]) for case in ALL} == set(REPRESENTATIONS.values())


@pytest.mark.parametrize("representation", ALL)
def test_shape_dtype_and_range(representation: Representation) -> None:
    for found, shape in (
        (representation(random_events(9), SIZE), (17, 31)),
        (representation.crop(random_events(9), Box(2, 1, 20, 12), (8, 16)), (16, 8)),
    ):
        assert found.shape == (representation.channels, *shape)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert np.isfinite(found).all()
        if getattr(representation, "normalisation", "mean") == "mean" and not isinstance(
            representation, VoxelGrid
        ):
            assert np.abs(found).max() <= 1


@pytest.mark.parametrize("representation", ALL)
def test_a_crop_of_all_pixels_equals_the_whole_sensor(representation: Representation) -> None:
    events = random_events(10)
    whole = Box(-0.5, -0.5, SIZE.width, SIZE.height)
    found = representation.crop(events, whole, (SIZE.width, SIZE.height))
    np.testing.assert_array_equal(found, representation(events, SIZE))


@pytest.mark.parametrize("representation", ALL)
@pytest.mark.parametrize("count", [1, 2, 50])
def test_events_with_the_same_time(representation: Representation, count: int) -> None:
    events = random_events(11, count, duration_us=1)
    found = representation(events, SIZE)
    assert np.isfinite(found).all()
    assert np.count_nonzero(found) > 0


@pytest.mark.parametrize("representation", ALL)
def test_a_box_beside_the_sensor_is_empty(representation: Representation) -> None:
    found = representation.crop(random_events(12), Box(-80, 4, 60, 60), (16, 16))
    assert not found.any()


@pytest.mark.parametrize("representation", ALL)
@pytest.mark.parametrize(
    "box",
    [
        Box(-1e300, -1e300, 2e300, 2e300),
        Box(1e300, 0, 9, 9),
        Box(-1e300, 0, 9, 9),
        Box(3, 3, 1e-300, 1e-300),
        Box(-40_000, -40_000, 100_000, 100_000),
        Box(65_000, 65_000, 9_000, 9_000),
    ],
    ids=str,
)
def test_extreme_boxes(representation: Representation, box: Box) -> None:
    found = representation.crop(random_events(23), box, (8, 8))
    assert np.isfinite(found).all()
    if representation == EventFrame() and box.width > 1:
        events = random_events(23)
        inside = (events["x"] >= box.x) & (events["x"] < box.x + box.width)
        inside &= (events["y"] >= box.y) & (events["y"] < box.y + box.height)
        assert found.sum() == inside.sum()


@pytest.mark.parametrize("output_size", [(20_000, 20_000), (0, 8), (8, -1)])
def test_an_impossible_output_size_is_rejected(output_size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError) as error:
        EventFrame().crop(random_events(1), Box(0, 0, 1e6, 1e6), output_size)
    assert error.value.field == "output_size"


@pytest.mark.parametrize("representation", ALL)
def test_the_part_of_a_box_outside_the_sensor_is_zero(representation: Representation) -> None:
    """Moving all events and the box by whole pixels does not change the crop."""
    events = random_events(13)
    moved = events.copy()
    moved["x"] += 20
    moved["y"] += 30
    found = representation.crop(events, Box(-7.5, -3.5, 30, 15), (30, 15))
    expected = representation.crop(moved, Box(12.5, 26.5, 30, 15), (30, 15))
    np.testing.assert_array_equal(found, expected)
    assert found.any()
    assert not isinstance(representation, EventFrame) or not found[:, :, :7].any()


@pytest.mark.parametrize("representation", ALL)
def test_the_epoch_has_no_influence(representation: Representation) -> None:
    events = random_events(14)
    early = events.copy()
    early["t"] -= events["t"][0] + 3_000_000_000
    np.testing.assert_array_equal(representation(events, SIZE), representation(early, SIZE))


@pytest.mark.parametrize("representation", ALL)
def test_views_and_read_only_events(representation: Representation) -> None:
    events = random_events(15, count=100)
    expected = representation(events[::2].copy(), SIZE)
    view = events[::2]
    view.flags.writeable = False
    np.testing.assert_array_equal(representation(view, SIZE), expected)


@pytest.mark.parametrize("representation", ALL)
def test_invalid_events_are_rejected(representation: Representation) -> None:
    box = Box(0, 0, 20, 10)
    polarity = random_events(16)
    polarity["p"][7] = 2
    with pytest.raises(EventFormatError, match="event 7 "):
        representation(polarity, SIZE)
    with pytest.raises(EventFormatError, match="event 7 "):
        representation.crop(polarity, box, (10, 10))
    outside = random_events(16)
    outside["y"][9] = SIZE.height
    with pytest.raises(EventFormatError, match="event 9 "):
        representation(outside, SIZE)
    if not isinstance(representation, EventFrame):
        order = random_events(16)
        order["t"][3] = order["t"][2] - 1
        with pytest.raises(EventFormatError, match="event 3 "):
            representation(order, SIZE)
        with pytest.raises(EventFormatError, match="event 3 "):
            representation.crop(order, box, (10, 10))
    with pytest.raises(EventFormatError, match="EVENT_DTYPE"):
        representation.crop(np.zeros(3), box, (10, 10))
    events = random_events(16)
    with pytest.raises(ConfigError) as error:
        representation(events, SIZE, t_us=int(events["t"][-1]) - 1)
    assert error.value.field == "t_us"


@pytest.mark.parametrize("representation", ALL)
def test_a_configuration_survives_json(representation: Representation) -> None:
    config = json.loads(json.dumps(to_config(representation, (96, 64))))
    assert from_config(config) == (representation, (96, 64))


@pytest.mark.parametrize("scales", [(), (0.0, 1.0), (5.0, 5.0), (9.0, 3.0), 7.0, (1.0, np.inf)])
def test_scales_must_ascend(scales: object) -> None:
    with pytest.raises(ConfigError) as error:
        MultiScaleSurface(scales)  # type: ignore[arg-type]
    assert error.value.field == "MultiScaleSurface.scales_us"


def _guarded_cells(representation: Representation) -> tuple[NDArray[np.float32], Cells]:
    """The cells of the whole sensor, with sevens in memory before and after them."""
    memory = np.full(representation.channels * SIZE.height * SIZE.width + 7, 7, np.float32)
    memory[3:-3] = 0
    return memory, Cells((0.0, 0.0, SIZE.width, SIZE.height), SIZE.width, memory[3:-3])


@pytest.mark.parametrize("count", [1, 2, 17, 300])
@pytest.mark.parametrize(
    "representation",
    [EventFrame(), VoxelGrid(3), TimeSurface(), TimeSurface(decay="linear"), EventStatistics()],
    ids=str,
)
def test_one_invalid_event_is_rejected_and_nothing_is_written_outside(
    representation: Representation, count: int
) -> None:
    for index in {0, count // 2, count - 1}:
        for field, value in (("x", SIZE.width), ("y", SIZE.height), ("x", 65535), ("p", 2)):
            events = random_events(5, count)
            events[field][index] = value
            guarded, cells = _guarded_cells(representation)
            representation._fill(events, cells, int(events["t"][-1]))
            assert (guarded[[0, 1, 2, -3, -2, -1]] == 7).all()
            with pytest.raises(EventFormatError, match=f"event {index} "):
                representation(events, SIZE)


@pytest.mark.parametrize("extreme_us", [-(2**63), 2**63 - 1], ids=["past", "future"])
@pytest.mark.parametrize("index", [1, 130, 298])
def test_voxels_of_extreme_times_stay_within_the_cells(extreme_us: int, index: int) -> None:
    events = random_events(6, 300)
    events["t"][index] = extreme_us
    guarded, cells = _guarded_cells(VoxelGrid(3))
    assert not VoxelGrid(3)._fill(events, cells, 0)
    assert (guarded[[0, 1, 2, -3, -2, -1]] == 7).all()
    events["t"][:index], events["t"][index:] = -(2**63), 2**63 - 1  # in order, but a span too long
    VoxelGrid(3)._fill(events, cells, 0)
    assert (guarded[[0, 1, 2, -3, -2, -1]] == 7).all()
