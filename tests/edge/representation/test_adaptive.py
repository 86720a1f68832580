"""The adaptive surface, compared with its formulas slice by slice and patch by patch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation import AdaptiveSurface

SIZE = SensorSize(24, 16)


def random_events(seed: int, count: int = 900, size: SensorSize = SIZE) -> EventArray:
    """Random events, most of them on the left."""
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, 40_000, count)) + 1_700_000_000_000_000,
        np.minimum(rng.exponential(5, count), size.width - 1).astype(int),
        rng.integers(0, size.height, count),
        rng.integers(0, 2, count),
    )


def factor(
    patch: NDArray[np.float64], counts: NDArray[np.float64], adaptive: AdaptiveSurface
) -> float:
    if adaptive.score == "rate":
        return float(np.exp(-counts.mean() / adaptive.reference))
    if adaptive.score == "log":
        return float((1 + np.exp(-0.75 * 0.75)) / (1 + np.exp(0.75 * (patch.mean() - 0.75))))
    energy = np.abs(np.fft.fft2(patch)) ** 2
    if not energy.sum():
        return 1.0
    down, across = np.meshgrid(*2 * [np.fft.fftfreq(len(patch))], indexing="ij")
    radius = np.sqrt(down**2 + across**2)
    return float(energy[radius > adaptive.high_frequency * radius.max()].sum() / energy.sum())


def slow_surface(
    events: EventArray, adaptive: AdaptiveSurface, size: SensorSize
) -> NDArray[np.float64]:
    """For sizes that are multiples of the patch."""
    surface = np.zeros((size.height, size.width))
    numbers = (events["t"] - events["t"][0]) // adaptive.slice_us
    # The Laplacian of Gaussian at the nine points, sum 0, centre 1.
    squares = np.add.outer([1, 0, 1], [1, 0, 1])
    kernel = (1 - squares / (2 * 0.5**2)) * np.exp(-squares / (2 * 0.5**2))
    kernel -= kernel.mean()
    kernel /= kernel[1, 1]
    for number in range(int(numbers.max()) + 1):
        part = events[numbers == number]
        image, counts = np.zeros_like(surface), np.zeros_like(surface)
        np.add.at(image, (part["y"], part["x"]), 2.0 * part["p"] - 1)
        np.add.at(counts, (part["y"], part["x"]), 1)
        scored = image
        if adaptive.score == "log":
            scored = np.abs(ndimage.correlate(image, kernel, mode="constant"))
        side = adaptive.patch
        factors = np.array(
            [
                [
                    factor(
                        scored[y : y + side, x : x + side],
                        counts[y : y + side, x : x + side],
                        adaptive,
                    )
                    for x in range(0, size.width, side)
                ]
                for y in range(0, size.height, side)
            ]
        )
        at = np.meshgrid(
            (np.arange(size.height) + 0.5) / side - 0.5,
            (np.arange(size.width) + 0.5) / side - 0.5,
            indexing="ij",
        )
        surface = image + surface * ndimage.map_coordinates(factors, at, order=1, mode="nearest")
    return np.clip(surface / adaptive.clip, -1, 1)


@pytest.mark.parametrize("patch", [4, 8])
@pytest.mark.parametrize("score", ["rate", "log", "spectrum"])
def test_against_the_formula(score: str, patch: int) -> None:
    events = random_events(patch)
    adaptive = AdaptiveSurface(score, slice_us=5_000, patch=patch, reference=1.0)
    found = adaptive(events, SIZE)
    np.testing.assert_allclose(found[0], slow_surface(events, adaptive, SIZE), atol=1e-5)


@pytest.mark.parametrize("score", ["rate", "log", "spectrum"])
def test_without_new_events_nearby_there_is_no_decay(score: str) -> None:
    """One event, then many far away: the first keeps its full weight."""
    t = np.concatenate([[0], np.full(200, 50_000)])
    x = np.concatenate([[2], np.full(200, 60)])
    events = make_events(t, x, np.full(201, 2), np.ones(201))
    found = AdaptiveSurface(score)(events, SensorSize(64, 8))
    assert found[0, 2, 2] == pytest.approx(1 / 5)


def test_events_decay_where_new_ones_arrive() -> None:
    """Two slices in one patch: the older one is multiplied by exp(-events per cell / ref)."""
    events = make_events([0, 10_000], [1, 3], [1, 3], [1, 0])
    found = AdaptiveSurface(patch=4, reference=0.05, clip=1.0)(events, SensorSize(4, 4))
    assert found[0, 1, 1] == pytest.approx(np.exp(-(1 / 16) / 0.05))
    assert found[0, 3, 3] == -1


def test_patches_at_the_edge_may_be_smaller() -> None:
    """The mean is taken over the cells of the smaller patch."""
    events = make_events([0, 10_000], [4, 4], [0, 1], [1, 1])
    found = AdaptiveSurface(patch=4, reference=1.0, clip=1.0)(events, SensorSize(5, 4))
    # Column 4 lies half a patch and less beyond the centre of the last one, which is 1 × 4 cells.
    fraction = min((4 + 0.5) / 4 - 0.5, 1)
    expected = (1 - fraction) * 1 + fraction * np.exp(-1 / 4)
    assert found[0, 0, 4] == pytest.approx(expected)


def test_a_crop_has_patches_of_its_own_cells() -> None:
    events = random_events(3)
    moved = events[(events["x"] >= 8) & (events["y"] >= 4)].copy()
    adaptive = AdaptiveSurface(patch=4)
    start = events[:1].copy()  # slices are counted from the first event, wherever it is
    start["x"], start["y"] = 23, 15
    moved = np.concatenate([start, moved[moved["t"] > start["t"]]])
    found = adaptive.crop(moved, Box(7.5, 3.5, 16, 12), (16, 12))
    moved["x"] -= 8
    moved["y"] -= 4
    np.testing.assert_array_equal(found, adaptive(moved, SensorSize(16, 12)))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"score": "fft"}, "score"),
        ({"slice_us": 0}, "slice_us"),
        ({"patch": 0}, "patch"),
        ({"reference": 0.0}, "reference"),
        ({"clip": -1.0}, "clip"),
        ({"high_frequency": 1.0}, "high_frequency"),
    ],
)
def test_a_wrong_setting_is_rejected(options: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError) as error:
        AdaptiveSurface(**options)  # type: ignore[arg-type]
    assert error.value.field == f"AdaptiveSurface.{field}"
