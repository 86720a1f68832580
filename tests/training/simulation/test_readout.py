"""The way of events out of the sensor, and lamps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evface_edge import EVENT_DTYPE
from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.light import Frame, with_flicker
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.readout import Bus, Readout
from evface_training.simulation.recording import one_camera, record


def at(*times_us: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    events = np.zeros(len(times_us), EVENT_DTYPE)
    events["t"] = times_us
    events["x"] = np.arange(len(times_us))
    return events


def test_without_a_limit_nothing_changes() -> None:
    events = at(1, 1, 7, 1000)
    np.testing.assert_array_equal(Bus(Readout())(events), events)


def test_a_burst_is_read_one_by_one_across_packets() -> None:
    bus = Bus(Readout(max_rate_hz=1e5, max_wait_us=1e6))  # 10 µs each
    first, second = bus(at(0, 0, 0)), bus(at(5, 100))
    assert first["t"].tolist() == [10, 20, 30]
    assert second["t"].tolist() == [40, 110]
    assert bus.lost == 0


def test_events_that_wait_too_long_are_lost_and_counted() -> None:
    bus = Bus(Readout(max_rate_hz=1e5, max_wait_us=25))
    got = bus(at(*[0] * 10, 200))
    assert got["t"].tolist() == [10, 20, 30, 210]
    assert bus.lost == 7


def test_a_full_bus_has_its_rate() -> None:
    times = np.sort(np.random.default_rng(0).integers(0, 100_000, 50_000))
    bus = Bus(Readout(max_rate_hz=2e5, max_wait_us=300))
    got = bus(at(*times.tolist()))
    assert len(got) / 0.1 == pytest.approx(2e5, rel=0.02)
    assert (np.diff(got["t"]) >= 0).all()
    assert len(got) + bus.lost == len(times)


def test_latency_and_clock() -> None:
    bus = Bus(Readout(latency_us=100, tick_us=65))
    assert bus(at(0, 29, 30, 100))["t"].tolist() == [65, 65, 130, 195]


@pytest.mark.parametrize(
    ("field", "value"), [("max_rate_hz", 0), ("tick_us", 0), ("latency_us", math.nan)]
)
def test_wrong_settings_are_rejected(field: str, value: float) -> None:
    with pytest.raises(ConfigError) as error:
        Readout(**{field: value})  # type: ignore[arg-type]
    assert error.value.field == f"Readout.{field}"


def test_flicker_gives_its_swing_over_the_threshold_in_each_cycle() -> None:
    size, depth, rate_hz, seconds = SensorSize(12, 8), 0.5, 100.0, 0.2
    still = torch.zeros(size.height, size.width)
    frames = with_flicker([Frame(0, still), Frame(round(seconds * 1e6), still)], depth, rate_hz)
    prior = CameraPrior(**{**vars(PRESETS["ideal"]), "threshold": (0.02, 0.02)})
    generator = torch.Generator().manual_seed(0)
    events = np.concatenate(list(record(frames, one_camera(prior, generator), size, generator)))
    swing = 4 * depth * math.cos(math.pi / 16) / 0.02  # 16 frames a cycle may miss the peaks
    full = 4 * depth / 0.02
    per_cycle = len(events) / (size.width * size.height) / (rate_hz * seconds)
    assert 0.95 * swing < per_cycle < full
    spectrum = np.abs(np.fft.rfft(np.histogram(events["t"], 2000, (0, 200_000))[0]))
    assert np.argmax(spectrum[1:]) + 1 == round(2 * rate_hz * seconds)  # twice in each cycle


def test_a_recording_has_the_clock_of_its_preset() -> None:
    size = SensorSize(32, 24)
    generator = torch.Generator().manual_seed(1)
    camera = one_camera(PRESETS["dvxplorer"], generator)
    frames = [Frame(2000 * k, torch.full((24, 32), 0.2 * k)) for k in range(20)]
    readout = PRESETS["dvxplorer"].readout
    events = np.concatenate(list(record(frames, camera, size, generator, readout)))
    assert len(events) > 1000
    assert not (events["t"] % readout.tick_us).any()


@pytest.mark.parametrize(
    ("frames", "value"),
    [
        ([Frame(0, torch.zeros(5, 5))], "(5, 5)"),
        ([Frame(0, torch.full((24, 32), math.nan))], "0 µs"),
        ([Frame(9, torch.zeros(24, 32)), Frame(9, torch.zeros(24, 32))], "9 µs"),
    ],
)
def test_wrong_frames_are_rejected(frames: list[Frame], value: str) -> None:
    generator = torch.Generator()
    camera = one_camera(PRESETS["ideal"], generator)
    with pytest.raises(ConfigError) as error:
        list(record(frames, camera, SensorSize(32, 24), generator))
    assert error.value.field == "frame"
    assert value in str(error.value)
