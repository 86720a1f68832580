"""The buffer of recent events against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evface_edge.card import WindowPolicy
from evface_edge.events.array import make_events
from evface_edge.geometry import Box
from evface_edge.tracking.recent import RecentEvents


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=12),
    max_duration_us=st.integers(1, 100_000),
    seed=st.integers(0, 1000),
)
def test_it_keeps_exactly_what_is_not_too_old(
    sizes: list[int], max_duration_us: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(0, 3, sum(sizes)))
    events = make_events(times, times % 50, times % 40, times % 2)
    recent = RecentEvents(max_duration_us)
    done = 0
    for size in sizes:
        recent.append(events[done : done + size])
        done += size
        so_far = events[:done]
        if size:
            expected = so_far[so_far["t"] >= so_far["t"][-1] - max_duration_us]
            np.testing.assert_array_equal(recent.events, expected)


def test_a_window_holds_the_newest_events_of_its_box() -> None:
    rng = np.random.default_rng(5)
    count = 5_000
    events = make_events(
        np.arange(count) * 10, rng.integers(0, 64, count), rng.integers(0, 48, count), [1] * count
    )
    recent = RecentEvents(10**9)
    recent.append(events)
    box = Box(10, 10, 20, 20)
    inside = events[(events["x"] >= 10) & (events["x"] < 30)]
    inside = inside[(inside["y"] >= 10) & (inside["y"] < 30)]
    policy = WindowPolicy(0.25, min_events=1, max_events=1000, max_duration_us=10**9)
    window, found = recent.window(box, policy, int(events["t"][-1]))
    assert found == 100
    assert window["t"][0] == inside["t"][-100]
    assert window["t"][-1] == events["t"][-1]
    short = WindowPolicy(0.25, min_events=1, max_events=1000, max_duration_us=500)
    window, found = recent.window(box, short, int(events["t"][-1]))
    assert found == np.count_nonzero(inside["t"] >= events["t"][-1] - 500) < 100
