"""The predictor around a network that answers as the test says."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import evface_runtimes
from evface_edge import instants
from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.errors import ConfigError, EventFormatError, ModelError, RuntimeUnavailable
from evface_edge.events import EventWriter
from evface_edge.events.array import EventArray, make_events
from evface_edge.events.cameras.live import LiveCounters
from evface_edge.geometry import Box, SensorSize
from evface_edge.predictor import Predictor
from evface_edge.results import FaceLandmarks, FaceState
from evface_edge.tracking import finder as finder_module
from evface_edge.tracking import network as network_module
from evface_edge.tracking.finder_network import Candidate
from evface_edge.tracking.policy import FollowPolicy
from evface_edge.tracking.recent import RecentEvents

SIZE = SensorSize(160, 120)
CARD = ModelCard(
    name="test-face",
    version="1",
    precision="fp32",
    target="onnx-fp32",
    representation={"name": "event_frame", "width": 16, "height": 16},
    crop_scale=1.5,
    window=WindowPolicy(0.1, min_events=40, max_events=2_000, max_duration_us=50_000),
    inputs=(TensorSpec("events", (-1, 2, 16, 16)),),
    outputs=(
        TensorSpec("landmarks", (-1, 98, 2)),
        TensorSpec("log_sigma", (-1, 98)),
        TensorSpec("presence", (-1, 1)),
    ),
    presence_threshold=0.5,
    sigma_limit=0.1,
)


class BlobNetwork:
    """Calls a ring of events a face: its points lie on the ring."""

    name, device = "blob", "cpu"

    def __init__(self) -> None:
        self.inputs = {spec.name: spec.shape for spec in CARD.inputs}
        self.outputs = {spec.name: spec.shape for spec in CARD.outputs}
        angle = np.linspace(0, 2 * np.pi, 98, endpoint=False)
        self._circle = np.stack([np.cos(angle), np.sin(angle)], -1)

    def run(self, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        frames = tensors["events"].sum(1)
        cells = (np.arange(16) + 0.5) / 16
        total = frames.sum((1, 2)) + 1e-9
        x = (frames.sum(1) * cells).sum(1) / total
        y = (frames.sum(2) * cells).sum(1) / total
        spread = np.sqrt(
            (
                frames
                * ((cells - x[:, None])[:, None] ** 2 + (cells - y[:, None])[:, :, None] ** 2)
            ).sum((1, 2))
            / total
        )
        center = np.stack([x, y], -1)[:, None]
        landmarks = center + self._circle * spread[:, None, None]
        # A ring is empty within; noise is not.
        distance = np.hypot((cells - x[:, None])[:, None], (cells - y[:, None])[:, :, None])
        inner = (frames * (distance < 0.6 * spread[:, None, None])).sum((1, 2)) / total
        presence = np.where((spread > 0.08) & (inner < 0.05) & (total > 30), 8.0, -8.0)
        return {
            "landmarks": landmarks.astype(np.float32),
            "log_sigma": np.full((len(frames), 98), np.log(0.01), np.float32),
            "presence": presence[:, None].astype(np.float32),
        }

    def close(self) -> None: ...


class FullestSquares:
    """Stands in for the finder's network: squares of 60 pixels, those with most events first."""

    def __init__(self, size: SensorSize) -> None:
        self._size = size

    def candidates(self, recent: RecentEvents, now_us: int, count: int) -> list[Candidate]:
        events = recent.newest(20_000)
        totals = np.zeros((self._size.height + 1, self._size.width + 1))
        np.add.at(totals, (events["y"] + 1, events["x"] + 1), 1)
        totals = totals.cumsum(0).cumsum(1)
        held = totals[60:, 60:] - totals[:-60, 60:] - totals[60:, :-60] + totals[:-60, :-60]
        chosen: list[Candidate] = []
        for place in np.argsort(-held, axis=None, kind="stable"):
            y, x = divmod(int(place), held.shape[1])
            box = Box(x, y, 60, 60)
            if all(box.iou(other.box) < 0.4 for other in chosen):
                chosen.append(Candidate(0.9, box))
            if len(chosen) == count:
                break
        return chosen if len(events) else []


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "test-face.onnx"
    path.write_bytes(b"a network")
    monkeypatch.setattr(network_module, "read_card", lambda _: CARD)
    monkeypatch.setattr(evface_runtimes, "load", lambda *_, **__: BlobNetwork())
    monkeypatch.setattr(finder_module, "FinderNetwork", FullestSquares)
    return path


@pytest.fixture
def predictor(model: Path) -> Iterator[Predictor]:
    with Predictor(model) as made:
        yield made


def ring(
    start_us: int, end_us: int, center: tuple[float, float], rate_hz: float = 100_000, seed: int = 0
) -> EventArray:
    """Events on a ring of 22 to 28 pixels around a centre."""
    rng = np.random.default_rng(seed)
    count = int(rate_hz * (end_us - start_us) * 1e-6)
    angle, radius = rng.uniform(0, 2 * np.pi, count), rng.uniform(22, 28, count)
    return make_events(
        np.sort(rng.integers(start_us, end_us, count)),
        np.round(center[0] + radius * np.cos(angle)),
        np.round(center[1] + radius * np.sin(angle)),
        rng.integers(0, 2, count),
    )


def test_a_face_is_found_followed_and_where_it_is(predictor: Predictor) -> None:
    faces = predictor.run(ring(0, 300_000, (70, 60)), size=SIZE)
    assert faces[0].state is FaceState.FOUND
    assert {face.state for face in faces[1:]} == {FaceState.FOLLOWING}
    assert len(faces) >= 25
    for face in faces:
        np.testing.assert_allclose(face.landmarks.mean(0), (70, 60), atol=2.5)
        assert face.box.width == pytest.approx(50, abs=6)
    assert faces.windows == 30


def test_the_rules_are_those_asked_for(model: Path) -> None:
    """A ring of 50 pixels, then nothing for 0.6 s."""
    events = ring(0, 300_000, (70, 60))
    with Predictor(model, policy=FollowPolicy(min_face_px=60)) as predictor:
        assert not predictor.run(events, size=SIZE)
    late = merged(events, make_events([900_000], [0], [0], [1]))
    results = []
    for longest_us in (200_000, 10_000_000):
        with Predictor(model, policy=FollowPolicy(max_hold_us=longest_us)) as predictor:
            results.append(len(predictor.run(late, size=SIZE)))
    assert results == [pytest.approx(50, abs=4), pytest.approx(90, abs=4)]


def test_noise_has_no_face(predictor: Predictor) -> None:
    rng = np.random.default_rng(1)
    noise = make_events(
        np.sort(rng.integers(0, 300_000, 30_000)),
        rng.integers(0, SIZE.width, 30_000),
        rng.integers(0, SIZE.height, 30_000),
        rng.integers(0, 2, 30_000),
    )
    faces = predictor.run(noise, size=SIZE)
    assert len(faces) == 0
    assert faces.windows == 30


def test_a_still_face_is_held_with_growing_sigma(predictor: Predictor) -> None:
    moving = ring(0, 200_000, (70, 60))
    # A single event now and then: time goes on, nothing moves.
    after = make_events(np.arange(200_000, 900_000, 5_000), [2] * 140, [2] * 140, [1] * 140)
    faces = predictor.run(np.concatenate([moving, after]), size=SIZE)
    held = [face for face in faces if face.state is FaceState.HELD]
    assert len(held) > 50
    assert held[-1].t_us <= 250_000  # when the last event of the ring left the window
    assert held[-1].sigma.mean() > held[0].sigma.mean() > 0
    np.testing.assert_array_equal(held[-1].landmarks, held[0].landmarks)


def test_a_face_that_turned_into_noise_is_lost(predictor: Predictor) -> None:
    rng = np.random.default_rng(2)
    noise = make_events(
        np.sort(rng.integers(200_000, 600_000, 60_000)),
        rng.integers(0, SIZE.width, 60_000),
        rng.integers(0, SIZE.height, 60_000),
        rng.integers(0, 2, 60_000),
    )
    faces = predictor.run(np.concatenate([ring(0, 200_000, (70, 60)), noise]), size=SIZE)
    assert faces[-1].t_us < 320_000
    assert len(faces) > 15


def test_a_given_box_has_a_result_at_every_instant(predictor: Predictor) -> None:
    events = ring(1_000, 95_500, (70, 60))
    faces = predictor.run(events, size=SIZE, box=Box(40, 30, 60, 60))
    assert len(faces) == faces.windows == 10
    assert faces[-1].t_us == events["t"][-1]
    np.testing.assert_allclose(faces[-1].landmarks.mean(0), (70, 60), atol=2.5)


def test_results_do_not_depend_on_packets(predictor: Predictor) -> None:
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


def merged(*parts: EventArray) -> EventArray:
    events = np.concatenate(parts)
    return events[np.argsort(events["t"], kind="stable")]


def test_two_faces_keep_their_numbers(model: Path) -> None:
    left, right = (35.0, 60.0), (122.0, 58.0)
    events = merged(ring(0, 600_000, left), ring(200_000, 600_000, right, seed=1))
    with Predictor(model, faces=2) as predictor:
        faces = predictor.run(events, size=SIZE)
    centers = {
        number: np.array([f.landmarks.mean(0) for f in faces if f.face_id == number])
        for number in {face.face_id for face in faces}
    }
    assert set(centers) == {0, 1}
    np.testing.assert_allclose(centers[0], np.broadcast_to(left, centers[0].shape), atol=3)
    np.testing.assert_allclose(centers[1], np.broadcast_to(right, centers[1].shape), atol=3)
    appeared = next(face.t_us for face in faces if face.face_id == 1)
    assert 200_000 < appeared < 500_000
    assert {face.t_us for face in faces if face.face_id == 0} >= {
        face.t_us for face in faces if face.face_id == 1 and face.t_us < 590_000
    }


def test_one_face_wanted_is_one_face_given(model: Path) -> None:
    events = merged(ring(0, 300_000, (35, 60)), ring(0, 300_000, (122, 58), seed=1))
    with Predictor(model, faces=1) as predictor:
        faces = predictor.run(events, size=SIZE)
    assert {face.face_id for face in faces} == {0}
    assert len({face.t_us for face in faces}) == len(faces)


def _hidden(for_us: int) -> EventArray:
    """A ring that noise covers for a while, and that is there again 15 pixels further on."""
    rng = np.random.default_rng(3)
    count = for_us // 10
    noise = make_events(
        np.sort(rng.integers(300_000, 300_000 + for_us, count)),
        rng.integers(0, SIZE.width, count),
        rng.integers(0, SIZE.height, count),
        rng.integers(0, 2, count),
    )
    back = ring(300_000 + for_us, 700_000 + for_us, (75, 60), seed=4)
    return np.concatenate([ring(0, 300_000, (60, 60)), noise, back])


@pytest.mark.parametrize(("hidden_us", "numbers"), [(500_000, {0}), (3_000_000, {0, 1})])
def test_a_number_outlives_a_short_occlusion(
    predictor: Predictor, hidden_us: int, numbers: set[int]
) -> None:
    faces = predictor.run(_hidden(hidden_us), size=SIZE)
    covered = [f for f in faces if 400_000 < f.t_us < 300_000 + hidden_us]
    after = [f for f in faces if f.t_us > 400_000 + hidden_us]
    assert covered == []
    assert len(after) > 20
    assert {face.face_id for face in faces} == numbers


@pytest.mark.parametrize("faces", [0, 9])
def test_an_impossible_number_of_faces_is_refused(model: Path, faces: int) -> None:
    with pytest.raises(ConfigError, match="faces"):
        Predictor(model, faces=faces)


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


def test_behind_a_live_source_only_the_newest_instant_counts(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instants.Haste, "LONGEST_S", 1000.0)
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


def test_however_far_behind_there_are_results(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instants.Haste, "LONGEST_S", 0.0)
    packets = _packets(ring(0, 400_000, (70, 60)), 35_000)
    source = LateSource(packets, waiting_until=1000)
    faces = [found for _, found in predictor.stream(source) if found]  # type: ignore[arg-type]
    assert len(faces) >= 8


def test_watching_ends_when_the_callback_says_so(predictor: Predictor) -> None:
    seen: list[int] = []

    def enough(t_us: int, faces: list[FaceLandmarks]) -> bool:
        seen.append(t_us)
        return len(seen) < 5

    source = LateSource([ring(0, 400_000, (70, 60))], 0)
    predictor.watch(source, enough, latest=False)  # type: ignore[arg-type]
    assert len(seen) == 5


def test_a_stream_takes_what_run_takes(predictor: Predictor, tmp_path: Path) -> None:
    events, path = ring(0, 100_000, (70, 60)), tmp_path / "ring.npz"
    with EventWriter(path, SIZE) as writer:
        writer.write(events)
    whole = predictor.run(events, size=SIZE)
    for how in ({"events": events, "size": SIZE}, {"events": path}, {"events": str(path)}):
        faces = [face for _, found in predictor.stream(**how) for face in found]
        assert [face.t_us for face in faces] == [face.t_us for face in whole]
        np.testing.assert_array_equal(faces[-1].landmarks, whole[-1].landmarks)
    with pytest.raises(ConfigError, match="the size of the sensor"):
        next(predictor.stream(events))


@pytest.mark.parametrize("rate_hz", [1000.0, 250.0, 30.0])
def test_results_come_at_the_rate(model: Path, rate_hz: float) -> None:
    events = ring(5_000, 105_000, (70, 60))
    source = LateSource([events], 0)
    with Predictor(model, rate_hz=rate_hz) as predictor:
        times = [t for t, _ in predictor.stream(source, latest=False)]  # type: ignore[arg-type]
    first, last = int(events["t"][0]), int(events["t"][-1])
    period_us = round(1e6 / rate_hz)
    assert times == [*range(first + period_us, last, period_us), last]


def test_results_at_the_instants_asked_for(predictor: Predictor) -> None:
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


def test_a_stream_ends_after_the_last_instant_asked_for(predictor: Predictor) -> None:
    packets = _packets(ring(0, 400_000, (70, 60)), 10_000)
    source = LateSource(packets, 0)
    times = [
        t
        for t, _ in predictor.stream(source, latest=False, at_us=[50_000])  # type: ignore[arg-type]
    ]
    assert times == [50_000]
    assert source._taken < 8


@pytest.mark.parametrize("at_us", [[50_000, 50_000], [50_000, 40_000]])
def test_instants_that_do_not_rise_are_refused(predictor: Predictor, at_us: list[int]) -> None:
    with pytest.raises(ConfigError, match="an instant after 50000"):
        predictor.run(ring(0, 100_000, (70, 60)), size=SIZE, at_us=at_us)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, 4_000_000, 10_000_000, 10_000_001]), max_size=40))
def test_long_gaps_are_found_without_a_look_at_every_event(gaps_us: list[int]) -> None:
    times = np.cumsum([5, *gaps_us])
    events = make_events(times, times * 0, times * 0, times * 0)
    expected = np.split(events, np.flatnonzero(np.diff(times) > instants.MAX_GAP_US) + 1)
    found = list(instants._unbroken([events]))
    assert [part["t"].tolist() for part in found] == [part["t"].tolist() for part in expected]


def test_it_warms_up_says_what_it_runs_on_and_closes(model: Path) -> None:
    with Predictor(model) as predictor:
        predictor.warmup()
        assert predictor.describe() == "test-face 1 (fp32) on blob, cpu"


def test_nothing_runs_after_the_end() -> None:
    with Predictor("evface-s") as predictor:
        pass
    with pytest.raises(RuntimeUnavailable, match="after close"):
        predictor.run(ring(0, 100_000, (70, 60)), size=SIZE, box=Box(40, 30, 60, 60))


def test_a_silence_of_years_ends(predictor: Predictor) -> None:
    late = ring(0, 100_000, (70, 60))
    late["t"] += 10**15
    faces = predictor.run(np.concatenate([ring(0, 100_000, (70, 60)), late]), size=SIZE)
    assert faces.windows < 25


@pytest.mark.parametrize(
    ("events", "size", "error", "message"),
    [
        (make_events([5, 4], [0, 0], [0, 0], [1, 1]), SIZE, EventFormatError, "sort the events"),
        (make_events([5], [160], [0], [1]), SIZE, EventFormatError, "outside the 160×120"),
        (make_events([5], [0], [0], [1]), None, ConfigError, "size = None"),
        (np.zeros((3, 4)), SIZE, EventFormatError, "EVENT_DTYPE"),
    ],
    ids=["order", "outside", "no size", "no events"],
)
def test_bad_events_are_named(
    predictor: Predictor,
    events: EventArray,
    size: SensorSize | None,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        predictor.run(events, size=size)


def test_no_events_is_no_face(predictor: Predictor) -> None:
    faces = predictor.run(make_events([], [], [], []), size=SIZE)
    assert len(faces) == faces.windows == 0


def test_a_sensor_of_one_pixel_is_refused(predictor: Predictor) -> None:
    events = make_events(np.arange(1000) * 100, [0] * 1000, [0] * 1000, [1] * 1000)
    with pytest.raises(ConfigError, match="size = '1×1': expected a sensor of 16 pixels"):
        predictor.run(events, size=SensorSize(1, 1))


def test_another_thread_is_refused(predictor: Predictor) -> None:
    caught: list[BaseException] = []

    def use() -> None:
        try:
            predictor.run(ring(0, 50_000, (70, 60)), size=SIZE)
        except ConfigError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "the thread that made it" in str(caught[0])


def test_a_card_that_does_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "test-face.onnx"
    path.write_bytes(b"a network")
    wrong = dataclasses.replace(
        CARD, representation={"name": "voxel_grid", "bins": 5, "width": 16, "height": 16}
    )
    monkeypatch.setattr(network_module, "read_card", lambda _: wrong)
    monkeypatch.setattr(evface_runtimes, "load", lambda *_, **__: BlobNetwork())
    with pytest.raises(ModelError, match="does not fit its representation"):
        Predictor(path)


@pytest.mark.parametrize("rate_hz", [0.0, -5.0, 2000.0, float("nan")])
def test_an_impossible_rate_is_refused(rate_hz: float) -> None:
    with pytest.raises(ConfigError, match="rate_hz"):
        Predictor("evface-s", rate_hz=rate_hz)


@pytest.mark.parametrize("model", ["evface-x", "no/such/model.onnx"])
def test_a_missing_model_is_named(model: str) -> None:
    with pytest.raises(ModelError, match=model):
        Predictor(model)
