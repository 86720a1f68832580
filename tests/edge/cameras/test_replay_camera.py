"""A recording played as a camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import EventArray, make_events, open_camera, open_events, write_events
from evface_edge.events.cameras.driver import POLL_S, EndOfStream
from evface_edge.events.cameras.replay import Replay
from evface_edge.events.opening import open_recording
from evface_edge.events.uri import SourceName
from evface_edge.geometry import SensorSize

SIZE = SensorSize(8, 8)
EVENTS = make_events(10_000 + np.arange(100) * 250, np.arange(100) % 8, [0] * 100, [1] * 100)


class FakeTime:
    """A clock that only `sleep`, and the consumer, move."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= POLL_S
        self.now_s += seconds


def driver(folder: Path, time: FakeTime, events: EventArray = EVENTS, **settings: Any) -> Replay:
    write_events(folder / "a.npz", events, SIZE)
    recording = open_recording(SourceName("", str(folder / "a.npz")))
    return Replay(recording, clock=time.clock, sleep=time.sleep, **settings)


@pytest.mark.parametrize("speed", [1.0, 0.01, 10.0])
def test_replay_in_real_time(speed: float, tmp_path: Path) -> None:
    time = FakeTime()
    replay = driver(tmp_path, time, speed=speed)
    times: list[int] = []
    while len(times) < len(EVENTS):
        batch = replay.read()
        if batch is None:
            continue  # a driver never waits for long
        elapsed_us = (time.now_s - 100.0) * 1e6 * speed
        assert elapsed_us == pytest.approx(int(batch.t[-1]) - 10_000, abs=0.01)
        assert batch.t[-1] - batch.t[0] < 1000
        times += batch.t.tolist()
    with pytest.raises(EndOfStream):
        replay.read()
    assert times == EVENTS["t"].tolist()


def test_a_late_replay_catches_up(tmp_path: Path) -> None:
    time = FakeTime()
    replay = driver(tmp_path, time)
    assert replay.read() is not None
    time.now_s += 60
    for _ in range(24):
        assert replay.read() is not None  # at once
    with pytest.raises(EndOfStream):
        replay.read()


def test_timestamps_continue_in_a_loop(tmp_path: Path) -> None:
    replay = driver(tmp_path, FakeTime(), speed=1e6, loop=True)
    times: list[int] = []
    while len(times) < 250:
        batch = replay.read()
        times += [] if batch is None else batch.t.tolist()
    period_us = int(EVENTS["t"][-1] - EVENTS["t"][0]) + 1
    rounds = [EVENTS["t"] + index * period_us for index in range(3)]
    assert times == np.concatenate(rounds)[: len(times)].tolist()


def test_an_empty_recording_ends_even_in_a_loop(tmp_path: Path) -> None:
    with pytest.raises(EndOfStream):
        driver(tmp_path, FakeTime(), EVENTS[:0], loop=True).read()


def test_by_name(tmp_path: Path) -> None:
    write_events(tmp_path / "a.npy", EVENTS, SIZE)
    name = f"replay:{tmp_path}/a.npy?width=8&height=8"
    with open_events(f"{name}&speed=1e6&packet_us=500") as source:
        assert source.live
        packets = list(source)
    assert max(map(len, packets)) == 2
    np.testing.assert_array_equal(np.concatenate(packets), EVENTS)
    with open_camera(f"replay:{tmp_path}/a.npy", size=SIZE, speed=1e6, queue_events=1000) as source:
        np.testing.assert_array_equal(np.concatenate(list(source)), EVENTS)
    for wrong in ("speed=0", "speed=fast", "speed=nan", "packet_us=0", "loop=2", "colour=1"):
        with pytest.raises(ConfigError):
            open_events(f"{name}&{wrong}")
    with pytest.raises(EventFormatError) as raised:
        open_events("replay:nothing.raw")
    assert raised.value.path == Path("nothing.raw")


def test_damage_in_strict_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,x,y,p\n1,2,3,0\n2,9,9,1\n")
    name = f"replay:{path}?width=8&height=8"
    with (
        open_camera(name, damage="strict") as source,
        pytest.raises(EventFormatError, match="8×8"),
    ):
        list(source)


def test_a_closed_replay_is_an_error(tmp_path: Path) -> None:
    write_events(tmp_path / "a.npz", EVENTS, SIZE)
    source = open_events(f"replay:{tmp_path}/a.npz")
    source.close()
    with pytest.raises(ConfigError, check=lambda error: "a.npz" in str(error.value)):
        list(source)
