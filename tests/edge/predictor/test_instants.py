"""Output instants: at a rate, at given times, behind a live source, in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evface_edge import instants
from evface_edge.errors import ConfigError
from evface_edge.events import EventWriter, LiveCounters
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.predictor import Predictor
from evface_edge.results import FaceLandmarks

SIZE = SensorSize(160, 120)
Ring = Callable[..., EventArray]
MakePredictor = Callable[..., Predictor]


class LateSource:
    """A live source whose consumer has fallen behind until a given packet."""

    size, live = SIZE, True

    def __init__(self, packets: list[EventArray], waiting_until: int) -> None:
        self._packets, self._until, self._taken = packets, waiting_until, 0

    @property
    def counters(self) -> LiveCounters:
        return LiveCounters(backlog_events=1000 if self._taken < self._until else 0)

    def __iter__(self) -> Iterator[EventArray]:
        for packet in self._packets:
            self._taken += 1
            yield packet


def _packets(events: EventArray, period_us: int) -> list[EventArray]:
    borders = np.searchsorted(events["t"], np.arange(period_us, events["t"][-1], period_us))
    return list(np.split(events, borders))


def test_a_given_box_has_a_result_at_every_instant(predictor: Predictor, ring: Ring) -> None:
    events = ring(1_000, 95_500, (70, 60))
    faces = predictor.run(events, size=SIZE, box=Box(40, 30, 60, 60))
    assert len(faces) == faces.windows == 10
    assert faces[-1].t_us == events["t"][-1]
    np.testing.assert_allclose(faces[-1].landmarks.mean(0), (70, 60), atol=2.5)


def test_a_given_box_has_no_result_before_its_first_event(predictor: Predictor, ring: Ring) -> None:
    elsewhere = ring(0, 100_000, (130, 90), rate_hz=10_000)
    inside = ring(55_000, 100_000, (35, 35))
    events = np.concatenate([elsewhere, inside])
    events = events[np.argsort(events["t"], kind="stable")]
    faces = predictor.run(events, size=SIZE, box=Box(10, 10, 50, 50))
    assert (faces.windows, len(faces)) == (10, 5)
    assert min(face.t_us for face in faces) > 55_000


def test_results_do_not_depend_on_packets(predictor: Predictor, ring: Ring) -> None:
    events = ring(0, 150_000, (70, 60))

    class Packets:
        size = SIZE

        def __init__(self, length: int) -> None:
            self.length = length

        def __iter__(self) -> Iterator[EventArray]:
            for start in range(0, len(events), self.length):
                yield events[start : start + self.length]

    whole = predictor.run(events, size=SIZE)
    for length in (1, 997):
        split = predictor.run(Packets(length))  # type: ignore[arg-type]
        assert [face.t_us for face in split] == [face.t_us for face in whole]
        for one, other in zip(split, whole, strict=True):
            np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_instants_are_skipped_behind_a_live_source(
    predictor: Predictor,
    monkeypatch: pytest.MonkeyPatch,
    ring: Ring,
) -> None:
    monkeypatch.setattr(instants.FrameSkipper, "LONGEST_S", 1000.0)
    packets = _packets(ring(0, 400_000, (70, 60)), 35_000)
    source = LateSource(packets, waiting_until=6)
    shown = [t_us for t_us, _ in predictor.stream(source)]  # type: ignore[arg-type]
    assert all(t_us > 5 * 35_000 for t_us in shown)
    # From then on one for each packet of three or four instants, and the end.
    assert len(shown) == len(packets) - 5 + 1
    every = [
        t_us
        for t_us, _ in predictor.stream(LateSource(packets, 6), latest=False)  # type: ignore[arg-type]
    ]
    assert len(every) == 40


def test_results_come_however_far_behind(
    predictor: Predictor,
    monkeypatch: pytest.MonkeyPatch,
    ring: Ring,
) -> None:
    monkeypatch.setattr(instants.FrameSkipper, "LONGEST_S", 0.0)
    packets = _packets(ring(0, 400_000, (70, 60)), 35_000)
    source = LateSource(packets, waiting_until=1000)
    faces = [found for _, found in predictor.stream(source) if found]  # type: ignore[arg-type]
    assert len(faces) >= 8


def test_watch_ends_when_the_callback_returns_false(predictor: Predictor, ring: Ring) -> None:
    seen: list[int] = []

    def enough(t_us: int, faces: list[FaceLandmarks]) -> bool:
        seen.append(t_us)
        return len(seen) < 5

    source = LateSource([ring(0, 400_000, (70, 60))], 0)
    predictor.watch(source, enough, latest=False)  # type: ignore[arg-type]
    assert len(seen) == 5


def test_a_stream_takes_what_run_takes(predictor: Predictor, tmp_path: Path, ring: Ring) -> None:
    events, path = ring(0, 100_000, (70, 60)), tmp_path / "ring.npz"
    with EventWriter(path, SIZE) as writer:
        writer.write(events)
    whole = predictor.run(events, size=SIZE)
    for how in ({"events": events, "size": SIZE}, {"events": path}, {"events": str(path)}):
        faces = [face for _, found in predictor.stream(**how) for face in found]
        assert [face.t_us for face in faces] == [face.t_us for face in whole]
        np.testing.assert_array_equal(faces[-1].landmarks, whole[-1].landmarks)
    with pytest.raises(ConfigError) as caught:
        next(predictor.stream(events))
    assert caught.value.field == "size"


@pytest.mark.parametrize("rate_hz", [1000.0, 250.0, 30.0])
def test_results_come_at_the_rate(
    make_predictor: MakePredictor, rate_hz: float, ring: Ring
) -> None:
    events = ring(5_000, 105_000, (70, 60))
    source = LateSource([events], 0)
    predictor = make_predictor(rate_hz=rate_hz)
    times = [t for t, _ in predictor.stream(source, latest=False)]  # type: ignore[arg-type]
    first, last = int(events["t"][0]), int(events["t"][-1])
    period_us = round(1e6 / rate_hz)
    assert times == [*range(first + period_us, last, period_us), last]


def test_results_at_given_instants(predictor: Predictor, ring: Ring) -> None:
    """Each is what a run that ends there has last."""
    events = ring(1_000, 200_000, (70, 60))
    wanted = [0, 40_000, 40_001, 123_456, 150_000, 10**9]
    box = Box(40, 30, 60, 60)
    faces = predictor.run(events, size=SIZE, box=box, at_us=iter(wanted))
    assert faces.windows == len(faces) == 4  # none before the first event or after the last
    for face, t_us in zip(faces, wanted[1:5], strict=True):
        alone = predictor.run(events[events["t"] <= t_us], size=SIZE, box=box)[-1]
        assert face.t_us == alone.t_us <= t_us
        np.testing.assert_array_equal(face.landmarks, alone.landmarks)


def test_a_stream_ends_after_the_last_given_instant(predictor: Predictor, ring: Ring) -> None:
    packets = _packets(ring(0, 400_000, (70, 60)), 10_000)
    source = LateSource(packets, 0)
    times = [
        t
        for t, _ in predictor.stream(source, latest=False, at_us=[50_000])  # type: ignore[arg-type]
    ]
    assert times == [50_000]
    assert source._taken < 8


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, 4_000_000, 10_000_000, 10_000_001]), max_size=40))
def test_packets_are_split_at_long_gaps(gaps_us: list[int]) -> None:
    times = np.cumsum([5, *gaps_us])
    events = make_events(times, times * 0, times * 0, times * 0)
    expected = np.split(events, np.flatnonzero(np.diff(times) > instants.MAX_SILENCE_US) + 1)
    found = list(instants._unbroken([events]))
    assert [part["t"].tolist() for part in found] == [part["t"].tolist() for part in expected]


def test_a_silence_of_years_is_skipped(predictor: Predictor, ring: Ring) -> None:
    late = ring(0, 100_000, (70, 60))
    late["t"] += 10**15
    faces = predictor.run(np.concatenate([ring(0, 100_000, (70, 60)), late]), size=SIZE)
    assert faces.windows < 25


def test_no_events_give_no_face(predictor: Predictor) -> None:
    faces = predictor.run(make_events([], [], [], []), size=SIZE)
    assert len(faces) == faces.windows == 0
