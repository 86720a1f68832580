"""Windows depend on the events alone, not on their split into packets."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evface_edge.errors import ConfigError
from evface_edge.events import (
    EventArray,
    Window,
    adaptive,
    at_rate,
    by_count,
    by_duration,
    make_events,
)

Cut = Callable[[Iterable[EventArray]], Iterator[Window]]


def stream(times: list[int]) -> EventArray:
    count = len(times)
    return make_events(times, np.arange(count), np.zeros(count), np.ones(count))


times = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 40)), max_size=60).map(
    lambda steps: [1_000 + int(t) for t in np.cumsum(steps)]
)


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    count, duration = draw(st.integers(1, 20)), draw(st.integers(1, 100))
    rate = draw(st.sampled_from([1e6, 333_333.3, 100_000, 12_345, 1]))
    kinds: dict[str, Cut] = {
        "duration": lambda packets: by_duration(packets, duration),
        "origin": lambda packets: by_duration(packets, duration, origin_us=990),
        "count": lambda packets: by_count(packets, count),
        "adaptive": lambda packets: adaptive(packets, count, duration),
        "rate": lambda packets: at_rate(packets, rate, count, duration),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]


def plain(windows: Iterable[Window]) -> list[tuple[int, int, list[int]]]:
    return [(w.start_us, w.end_us, w.events["x"].tolist()) for w in windows]


@given(times=times, cut=cuts(), data=st.data())
def test_any_split_into_packets_gives_the_same_windows(
    times: list[int], cut: Cut, data: st.DataObject
) -> None:
    events = stream(times)
    borders = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=10)))
    packets = np.split(events, borders)
    assert plain(cut(iter(packets))) == plain(cut([events]))


@given(times=times, cut=cuts())
def test_packets_may_be_overwritten_later(times: list[int], cut: Cut) -> None:
    events = stream(times)

    def reused() -> Iterator[EventArray]:
        memory = np.zeros(1, events.dtype)
        for event in events:
            memory[0] = event
            yield memory

    assert plain(cut(reused())) == plain(cut([events]))


@given(times=times, duration=st.integers(1, 100))
def test_by_duration_is_a_histogram(times: list[int], duration: int) -> None:
    windows = list(by_duration([stream(times)], duration))
    if not times:
        assert windows == []
        return
    counts, edges = np.histogram(
        times, bins=np.arange(times[0], times[-1] + duration + 1, duration)
    )
    last = counts[-1] if times[-1] == edges[-1] else 0  # numpy closes the last bin on the right
    assert [len(w.events) for w in windows][: len(counts) - 1] == counts[:-1].tolist()
    assert sum(len(w.events) for w in windows) == len(times)
    assert [w.start_us for w in windows] == [times[0] + k * duration for k in range(len(windows))]
    assert all((w.events["t"] >= w.start_us).all() for w in windows)
    assert all((w.events["t"] < w.end_us).all() for w in windows)
    assert last >= 0


@given(times=times, count=st.integers(1, 20))
def test_by_count_gives_all_events_in_order(times: list[int], count: int) -> None:
    windows = list(by_count([stream(times)], count))
    assert [x for w in windows for x in w.events["x"]] == list(range(len(times)))
    assert all(len(w.events) == count for w in windows[:-1])
    assert all(1 <= len(w.events) <= count for w in windows[-1:])


@given(times=times, count=st.integers(1, 20), duration=st.integers(1, 100))
def test_adaptive_keeps_both_limits_and_every_event(
    times: list[int], count: int, duration: int
) -> None:
    windows = list(adaptive([stream(times)], count, duration))
    assert [x for w in windows for x in w.events["x"]] == list(range(len(times)))
    for window in windows:
        assert len(window.events) <= count
        assert window.end_us - window.start_us <= duration
        assert len(window.events) == count or window.end_us - window.start_us == duration
        assert (window.events["t"] >= window.start_us).all()
        assert (window.events["t"] < window.end_us).all()
    for before, after in itertools.pairwise(windows):
        assert after.start_us in (before.end_us, before.end_us - 1)


@given(
    times=times,
    rate=st.sampled_from([1e6, 333_333.3, 50_000.0, 7_777.0]),
    count=st.integers(1, 20),
    duration=st.integers(1, 100),
)
def test_at_rate_agrees_with_brute_force(
    times: list[int], rate: float, count: int, duration: int
) -> None:
    expected = []
    index = 1
    while times:
        instant = times[0] + round(index * 1e6 / rate)
        expected.append(
            [k for k, t in enumerate(times) if instant - duration <= t < instant][-count:]
        )
        index += 1
        if instant > times[-1]:
            break
    windows = list(at_rate([stream(times)], rate, count, duration))
    assert [w.events["x"].tolist() for w in windows] == expected


def test_empty_windows() -> None:
    events = stream([0, 35])
    assert plain(by_duration([events], 10)) == [
        (0, 10, [0]),
        (10, 20, []),
        (20, 30, []),
        (30, 40, [1]),
    ]
    assert plain(adaptive([events], 5, 10)) == [
        (0, 10, [0]),
        (10, 20, []),
        (20, 30, []),
        (30, 40, [1]),
    ]


def test_events_of_the_same_time_fill_more_than_one_window() -> None:
    events = stream([7] * 5 + [9])
    assert plain(by_count([events], 2)) == [(7, 8, [0, 1]), (7, 8, [2, 3]), (7, 10, [4, 5])]
    assert plain(adaptive([events], 2, 100)) == [(7, 8, [0, 1]), (7, 8, [2, 3]), (7, 10, [4, 5])]


@pytest.mark.parametrize(
    "cut",
    [
        lambda: by_duration([stream([1])], 0),
        lambda: by_count([stream([1])], 0),
        lambda: adaptive([stream([1])], 0, 1),
        lambda: adaptive([stream([1])], 1, 0),
        lambda: at_rate([stream([1])], 0, 1, 1),
        lambda: at_rate([stream([1])], 2e6, 1, 1),
        lambda: at_rate([stream([1])], float("nan"), 1, 1),
        lambda: by_duration([stream([1])], 5, origin_us=2),
    ],
)
def test_impossible_settings(cut: Callable[[], Iterator[Window]]) -> None:
    with pytest.raises(ConfigError):
        list(cut())


def test_one_large_array_takes_no_longer_than_its_packets() -> None:
    """A search in the whole array for each window would take about twenty times as long."""
    count = 800_000
    events = make_events(np.arange(count) // 2, [1] * count, [1] * count, [1] * count)
    parts = np.array_split(events, 20)

    def seconds(packets: list[EventArray], make: Cut) -> float:
        began = time.process_time()
        assert sum(len(window.events) for window in make(packets)) >= count
        return time.process_time() - began

    cuts: tuple[Cut, ...] = (
        lambda packets: by_duration(packets, 1000),
        lambda packets: adaptive(packets, 2000, 1000),
        lambda packets: at_rate(packets, 1000, 2000, 1000),
    )
    for make in cuts:
        # The fastest of three, because other programs run as well.
        whole = min(seconds([events], make) for _ in range(3))
        assert whole < 6 * min(seconds(parts, make) for _ in range(3))
