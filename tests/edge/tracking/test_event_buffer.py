"""The buffer of recent events against a plain list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evface_edge.card import WindowPolicy
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box
from evface_edge.tracking.event_buffer import LARGE_PACKET, PIECE_EVENTS, EventBuffer


def some_events(count: int, seed: int, *, most_us: int = 3) -> EventArray:
    rng = np.random.default_rng(seed)
    return make_events(
        np.cumsum(rng.integers(0, most_us, count)),
        rng.integers(0, 64, count),
        rng.integers(0, 48, count),
        rng.integers(0, 2, count),
    )


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(
        st.one_of(st.integers(0, 60), st.integers(0, 2 * LARGE_PACKET), st.integers(0, 60_000)),
        min_size=1,
        max_size=12,
    ),
    max_duration_us=st.integers(1, 100_000),
    seed=st.integers(0, 1000),
)
def test_it_keeps_exactly_what_is_not_too_old(
    sizes: list[int], max_duration_us: int, seed: int
) -> None:
    events = some_events(sum(sizes), seed)
    recent = EventBuffer(max_duration_us)
    done = 0
    for size in sizes:
        recent.append(events[done : done + size])
        done += size
        so_far = events[:done]
        if done:
            expected = so_far[so_far["t"] >= so_far["t"][-1] - max_duration_us]
            np.testing.assert_array_equal(recent.events, expected)
            for count in (1, 100, 20_000):
                np.testing.assert_array_equal(recent.newest(count), expected[-count:])


@settings(deadline=None, max_examples=60)
@given(
    packet=st.sampled_from([7, 700, LARGE_PACKET, 12_000]),
    edges=st.tuples(st.floats(-30, 70), st.floats(-30, 60), st.floats(1, 90), st.floats(1, 90)),
    wanted=st.sampled_from([1, 50, 5_000, 100_000]),
    max_duration_us=st.integers(1, 40_000),
    late_us=st.integers(0, 5_000),
    seed=st.integers(0, 50),
)
def test_a_window_is_what_a_search_of_all_events_finds(
    packet: int,
    edges: tuple[float, float, float, float],
    wanted: int,
    max_duration_us: int,
    late_us: int,
    seed: int,
) -> None:
    events = some_events(30_000, seed)
    recent = EventBuffer(50_000)
    for start in range(0, len(events), packet):
        recent.append(events[start : start + packet])
    box = Box(*edges)
    now_us = int(events["t"][-1]) + late_us
    policy = WindowPolicy(1.0, wanted, wanted, max_duration_us)
    x, y = events["x"].astype(float), events["y"].astype(float)
    inside = (x >= box.x) & (x < box.x + box.width) & (y >= box.y) & (y < box.y + box.height)
    inside &= events["t"] >= now_us - max_duration_us
    expected = np.flatnonzero(inside)[-wanted:]
    window, found = recent.window(box, policy, now_us)
    assert found == len(expected)
    if len(expected):
        newest = len(events) - 1
        with_newest = expected if expected[-1] == newest else np.append(expected, newest)
        np.testing.assert_array_equal(window, events[with_newest])
    else:
        assert not len(window)


@pytest.mark.parametrize("packet", [100, LARGE_PACKET, 50_000])
def test_memory_is_bounded_by_the_duration(packet: int) -> None:
    """One event each µs, 20 ms kept: 20,000 events, and at most two packets or pieces more."""
    recent = EventBuffer(20_000)
    for first in range(0, 1_000_000, packet):
        t = np.arange(first, first + packet)
        recent.append(make_events(t, t % 64, t % 48, t % 2))
    held = sum(
        piece.base.size if piece.base is not None else len(piece) for piece in recent._pieces
    )
    assert 20_000 < held <= 20_001 + 2 * max(packet, PIECE_EVENTS)


def test_a_small_packet_may_be_used_again() -> None:
    recent = EventBuffer(10**6)
    packet = some_events(500, 1)
    before = packet.copy()
    recent.append(packet)
    packet["x"] = 9
    np.testing.assert_array_equal(recent.events, before)


def test_a_window_is_the_callers_own() -> None:
    recent = EventBuffer(10**6)
    events = some_events(LARGE_PACKET, 1)
    before = events.copy()
    recent.append(events)
    window, _ = recent.window(Box(0, 0, 64, 48), WindowPolicy(1, 10, 10**5, 10**6), 10**5)
    window["x"] = 9
    np.testing.assert_array_equal(events, before)


def test_nothing_came_yet() -> None:
    recent = EventBuffer(1000)
    assert not len(recent.events)
    assert not len(recent.newest(5))
    window, found = recent.window(Box(0, 0, 9, 9), WindowPolicy(1, 1, 10, 1000), 0)
    assert (len(window), found) == (0, 0)
