from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evface_edge.errors import ConfigError
from evface_edge.events import Counters
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import SensorSize
from evface_edge.results.view_frames import ViewFrames


class Packets:
    """A source of given packets."""

    live = False

    def __init__(self, packets: list[EventArray]) -> None:
        self.packets = packets
        self.size = SensorSize(20, 10)
        self.counters = Counters()

    def __iter__(self) -> Iterator[EventArray]:
        return iter(self.packets)

    def close(self) -> None: ...

    def __enter__(self) -> Packets:
        return self

    def __exit__(self, *_: object) -> None: ...


def packet(times: Any) -> EventArray:
    times = np.asarray(times)
    return make_events(times, times % 20, times % 10, times % 2)


class Frame(NamedTuple):
    """Of a frame: time since the first event, times of its events, faces."""

    t_us: int
    events: list[int]
    faces: Any


def run(
    frames: ViewFrames, instants: list[tuple[int, Any]], *, packets_ahead: int = 0
) -> tuple[list[Frame], int]:
    """Read as a predictor does: a result follows the packets up to its time.

    Returns:
        the frames, and the largest number of packets that were kept.
    """
    most = 0
    found = []
    packets = iter(frames.source)
    last_us = -1
    for t_us, faces in instants:
        while last_us < t_us:
            read = next(packets, None)
            if read is None:
                break
            last_us = int(read["t"][-1])
        for _ in range(packets_ahead):
            next(packets, None)
        most = max(most, len(frames.source.packets))
        found += frames.advance(t_us, faces)
    for _ in packets:
        pass
    found += frames.finish()
    return [Frame(round(m.seconds * 1e6), m.events["t"].tolist(), m.faces) for m in found], most


def test_frames_have_their_events_and_the_newest_faces() -> None:
    times = np.arange(0, 300_000, 7_000)
    source = Packets([packet(part) for part in np.array_split(times, 9)])
    frames = ViewFrames(source, fps=25)
    drawn, _ = run(frames, [(t, f"faces at {t}") for t in range(35_000, 300_000, 35_000)])
    assert [t for t, _, _ in drawn] == [40_000 * k for k in range(1, 8)]
    for t_us, events, faces in drawn:
        assert events == [t for t in times if t_us - 40_000 < t <= t_us]
        newest = t_us // 35_000 * 35_000
        assert faces == (f"faces at {newest}" if newest else None)


@settings(deadline=None, max_examples=60)
@given(
    gaps=st.lists(st.integers(0, 30_000), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    instants=st.lists(st.integers(0, 1_000_000), max_size=15),
    fps=st.sampled_from([10, 25, 50, 200]),
    ahead=st.integers(0, 3),
)
def test_frames_do_not_depend_on_packet_boundaries(gaps, cuts, instants, fps, ahead) -> None:
    times = np.cumsum(gaps)
    parts = [part for part in np.split(times, sorted(cuts)) if len(part)]
    instants = sorted({t for t in instants if t <= times[-1]})
    seen, _ = run(
        ViewFrames(Packets([packet(part) for part in parts]), fps=fps),
        [(t, [t]) for t in instants],
        packets_ahead=ahead,
    )
    interval = 1_000_000 // fps
    window = max(interval, 20_000)
    due = list(range(int(times[0]) + interval, int(times[-1]) + 1, interval)) or [int(times[-1])]
    assert len(seen) == len(due)
    for t_us, (_, events, faces) in zip(due, seen, strict=True):
        assert events == [t for t in times if t_us - window < t <= t_us]
        newest = [t for t in instants if t <= t_us]
        assert (faces or []) == newest[-1:]


def test_slow_motion_still_shows_enough_events() -> None:
    times = np.arange(0, 100_001, 1_000)
    frames = ViewFrames(Packets([packet(times)]), fps=25, speed=0.1)
    drawn, _ = run(frames, [])
    assert [t for t, _, _ in drawn] == pytest.approx(list(range(4_000, 100_001, 4_000)), abs=5_000)
    assert len(drawn) == 25
    assert len(drawn[-1][1]) == 20  # 20 ms, though there is a frame every 4 ms


def test_memory_is_bounded() -> None:
    source = Packets([packet(np.arange(t, t + 1_000, 100)) for t in range(0, 5_000_000, 1_000)])
    frames = ViewFrames(source, fps=25)
    _, most = run(frames, [(t, ()) for t in range(10_000, 5_000_000, 10_000)])
    assert most < 120  # of 5000 packets; a frame has 40, a result 10


def test_a_long_packet_is_freed_in_pieces() -> None:
    frames = ViewFrames(Packets([packet(np.arange(1_000_000))]))
    (whole,) = frames.source
    assert len(whole) == 1_000_000
    assert len(frames.source.packets) > 10
    frames.source.take(900_000, 1_000_000)
    assert sum(map(len, frames.source.packets)) < 200_000


@pytest.mark.parametrize("gap_us", [10_000_000, 10**15])
def test_a_long_pause_is_skipped(gap_us: int) -> None:
    first, second = np.arange(0, 100_000, 1_000), np.arange(0, 100_000, 1_000) + gap_us
    drawn, _ = run(ViewFrames(Packets([packet(first), packet(second)]), fps=10), [(50_000, [])])
    events = [times for _, times, _ in drawn]
    assert len(events) < 35
    assert {t for times in events for t in times} >= set(second[second < second[-1] - 100_000])
    assert any(times and times[-1] >= gap_us for times in events)


def test_a_pause_with_a_held_face_is_shown() -> None:
    frames = ViewFrames(Packets([packet([0]), packet([10_000_000])]), fps=10)
    drawn, _ = run(frames, [(t, ["held"]) for t in range(100_000, 10_000_000, 100_000)])
    assert len(drawn) == 100


def test_a_short_recording_has_one_frame() -> None:
    drawn, _ = run(ViewFrames(Packets([packet([5, 6])])), [])
    assert [shown.events for shown in drawn] == [[5, 6]]
    drawn, _ = run(ViewFrames(Packets([])), [])
    assert [shown.events for shown in drawn] == [[]]


def test_accumulation_and_rate() -> None:
    times = np.arange(0, 100_001, 1_000)
    frames = ViewFrames(Packets([packet(times)]), fps=25, accumulation_us=60_000)
    for _ in frames.source:
        pass
    found = list(frames.finish())
    assert [m.events["t"].tolist() for m in found] == [
        list(range(0, 40_001, 1_000)),
        list(range(21_000, 80_001, 1_000)),
    ]
    assert found[1].rate_hz == pytest.approx(1000)
    assert found[1].faces is None


@pytest.mark.parametrize(
    "change", [{"fps": 0}, {"speed": 0}, {"speed": float("nan")}, {"accumulation_us": 0}]
)
def test_values_out_of_range(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        ViewFrames(Packets([]), **change)  # type: ignore[arg-type]
    assert caught.value.field == next(iter(change))
