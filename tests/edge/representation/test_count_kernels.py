"""Counting sixteen events at a time, and one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray

from evface_edge.events.array import EventArray, make_events
from evface_edge.representation import count_kernels
from evface_edge.representation.count_kernels import count_one_by_one, count_together
from evface_edge.representation.vectors import TOGETHER, place

WIDTH, HEIGHT = 37, 23

Count = Callable[[EventArray, NDArray[np.float32]], bool]


@pytest.mark.parametrize(
    ("features", "named", "together"),
    [
        ({"avx512vbmi": True}, False, True),
        ({"avx512vbmi": True}, True, False),
        ({"avx512vbmi": False, "avx2": True}, False, False),
        ({"neon": True}, False, False),
        (None, False, False),
    ],
)
def test_who_counts_together(
    monkeypatch: pytest.MonkeyPatch,
    features: dict[str, bool] | None,
    named: bool,
    together: bool,
) -> None:
    def host() -> dict[str, bool]:
        if features is None:
            raise RuntimeError("failed to get host cpu features")
        return features

    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    if named:
        monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    monkeypatch.setattr(count_kernels.llvm, "get_host_cpu_features", host)
    assert count_kernels._shuffles() is together


@njit
def placed(
    events: EventArray, first: int, width: int, height: int, places: NDArray[np.uint32], at: int
) -> bool:
    return place(
        events, np.uint64(first), np.uint32(width), np.uint32(height), places, np.uint64(at)
    )


def some_events(count: int, seed: int, width: int = WIDTH, height: int = HEIGHT) -> EventArray:
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(-(1 << 62), 1 << 62, count)),  # no byte of a time is always 0
        rng.integers(0, width, count),
        rng.integers(0, height, count),
        rng.integers(0, 2, count),
    )


@settings(deadline=None)  # the first call compiles
@given(
    seed=st.integers(0, 1 << 32),
    first=st.integers(0, 40),
    at=st.integers(0, 30),
    size=st.sampled_from([(1, 1), (37, 23), (1280, 720), (65536, 1), (1, 65536), (46340, 46340)]),
)
def test_a_place_is_the_index_into_all_cells(
    seed: int, first: int, at: int, size: tuple[int, int]
) -> None:
    width, height = size
    events = some_events(first + TOGETHER + 1, seed, width, height)
    places = np.full(at + TOGETHER + 5, 7, np.uint32)
    assert not placed(events, first, width, height, places, at)
    own = events[first : first + TOGETHER]
    on, y, x = (own[name].astype(np.int64) for name in ("p", "y", "x"))
    np.testing.assert_array_equal(places[at : at + TOGETHER], (on * height + y) * width + x)
    assert (np.delete(places, range(at, at + TOGETHER)) == 7).all()


@pytest.mark.parametrize("lane", range(TOGETHER))
@pytest.mark.parametrize(
    ("field", "value"), [("x", WIDTH), ("x", 65535), ("y", HEIGHT), ("p", 2), ("p", 255)]
)
def test_what_is_outside_is_noticed_in_every_lane(field: str, value: int, lane: int) -> None:
    events = some_events(3 + TOGETHER + 1, lane)
    places = np.zeros(TOGETHER, np.uint32)
    events[field][3 + lane] = value
    assert placed(events, 3, WIDTH, HEIGHT, places, 0)
    # Only these sixteen are looked at.
    assert not placed(np.roll(events, -3 - lane - 1), 0, WIDTH, HEIGHT, places, 0)


@pytest.mark.parametrize("count", [count_together, count_one_by_one])
@settings(deadline=None)  # the first call compiles
@given(
    number=st.integers(0, 700), seed=st.integers(0, 1 << 32), step=st.sampled_from([1, 1, 2, -1])
)
def test_counts(count: Count, number: int, seed: int, step: int) -> None:
    events = some_events(number, seed)[::step]
    cells = np.ones((2, HEIGHT, WIDTH), np.float32)
    assert count(events, cells)
    expected = np.ones_like(cells)
    np.add.at(expected, (events["p"], events["y"], events["x"]), 1)
    np.testing.assert_array_equal(cells, expected)


@pytest.mark.parametrize("count", [count_together, count_one_by_one])
@settings(deadline=None)  # the first call compiles
@given(
    number=st.integers(1, 400),
    where=st.floats(0, 1, exclude_max=True),
    bad=st.sampled_from([("x", WIDTH), ("x", 65535), ("y", HEIGHT), ("y", 65535), ("p", 2)]),
)
def test_nothing_is_written_outside(
    count: Count, number: int, where: float, bad: tuple[str, int]
) -> None:
    events = some_events(number, number)
    events[bad[0]][int(where * number)] = bad[1]
    memory = np.zeros(6 * HEIGHT * WIDTH, np.float32)
    own = slice(2 * HEIGHT * WIDTH, 4 * HEIGHT * WIDTH)
    assert not count(events, memory[own].reshape(2, HEIGHT, WIDTH))
    memory[own] = 0
    assert not memory.any()
