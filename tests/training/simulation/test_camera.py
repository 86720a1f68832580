"""The event camera against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evface_edge.geometry import SensorSize
from evface_training.simulation.camera import DARK_LUX, CameraPrior
from evface_training.simulation.light import Frame
from evface_training.simulation.noise import ECHO_FRACTION, UNEVEN, draw_noise
from evface_training.simulation.pixels import PixelArray
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record

SIZE = SensorSize(24, 16)


def exact(**changes: tuple[float, float]) -> CameraPrior:
    return CameraPrior(**{**vars(PRESETS["ideal"]), **changes})  # type: ignore[arg-type]


def ramp_frames(slope_per_s: float, seconds: float, steps: int = 50) -> list[Frame]:
    times = np.linspace(0, seconds, steps + 1)
    flat = torch.zeros(SIZE.height, SIZE.width)
    return [Frame(round(t * 1e6), flat + slope_per_s * float(t)) for t in times]


@pytest.mark.parametrize("slope_per_s", [4.0, -4.0])
def test_a_ramp_gives_change_over_threshold(slope_per_s: float) -> None:
    generator = torch.Generator().manual_seed(1)
    camera = one_camera(exact(threshold=(0.25, 0.25)), generator)
    events = np.concatenate(list(record(ramp_frames(slope_per_s, 1.0), camera, SIZE, generator)))
    per_pixel = len(events) / (SIZE.width * SIZE.height)
    assert per_pixel == pytest.approx(4.0 / 0.25, rel=0.05)
    assert set(events["p"]) == {1 if slope_per_s > 0 else 0}
    # Interpolated times: within a pixel, events of a steady ramp are threshold ÷ slope apart.
    one = events[(events["x"] == 5) & (events["y"] == 7)]
    np.testing.assert_allclose(np.diff(one["t"]), 0.25 / 4.0 * 1e6, atol=2)


def test_time_reversal_swaps_polarity() -> None:
    wave = [0.8 * math.sin(k / 9) for k in range(80)]
    counts = []
    for levels in (wave, wave[::-1]):
        generator = torch.Generator().manual_seed(3)
        camera = one_camera(exact(threshold=(0.1, 0.1)), generator)
        flat = torch.zeros(SIZE.height, SIZE.width)
        frames = [Frame(1000 * k, flat + level) for k, level in enumerate(levels)]
        events = np.concatenate(list(record(frames, camera, SIZE, generator)))
        counts.append((np.sum(events["p"] == 1), np.sum(events["p"] == 0)))
    pixels = SIZE.width * SIZE.height
    assert counts[0][0] / pixels == pytest.approx(counts[1][1] / pixels, abs=1.0)
    assert counts[0][1] / pixels == pytest.approx(counts[1][0] / pixels, abs=1.0)


def test_the_photoreceptor_is_a_first_order_low_pass() -> None:
    generator = torch.Generator().manual_seed(2)
    camera = one_camera(exact(cutoff_hz=(20.0, 20.0)), generator)
    cutoff_hz = float(camera.cutoff_hz[0])
    assert cutoff_hz == pytest.approx(20.0, rel=0.01)
    dark = torch.zeros(1, SIZE.height, SIZE.width)
    array = PixelArray(dark, camera, generator)
    step_s, level = 0.001, 1.0
    for index in range(1, 31):
        array.step(dark + level, torch.tensor([step_s]))
        expected = level * (1 - math.exp(-2 * math.pi * cutoff_hz * index * step_s))
        assert float(array._light[0, 3, 3]) == pytest.approx(expected, abs=1e-5)


def test_a_pixel_keeps_its_dead_time() -> None:
    generator = torch.Generator().manual_seed(2)
    camera = one_camera(exact(threshold=(0.05, 0.05), refractory_us=(3000.0, 3000.0)), generator)
    events = np.concatenate(list(record(ramp_frames(100.0, 0.2), camera, SIZE, generator)))
    for x in range(4):
        one = events[(events["x"] == x) & (events["y"] == 3)]
        assert len(one) > 5
        assert np.diff(one["t"]).min() >= 3000


@pytest.mark.parametrize(
    ("name", "value"), [("shot_hz", 8.0), ("leak_hz", 3.0)], ids=["shot noise", "leak"]
)
def test_noise_has_the_rates_of_the_camera(name: str, value: float) -> None:
    generator = torch.Generator().manual_seed(4)
    camera = one_camera(exact(**{name: (value, value)}), generator)
    seconds = 4.0
    still = ramp_frames(0.0, seconds, steps=400)
    events = np.concatenate(list(record(still, camera, SIZE, generator)))
    rate_hz = len(events) / (SIZE.width * SIZE.height) / seconds
    # The brightest pixels make a quarter of the noise of dark ones, and here all are brightest.
    expected = value * (0.25 if name == "shot_hz" else 1.0)
    expected *= float(camera.shot_hz[0]) / value if name == "shot_hz" else 1.0
    assert rate_hz == pytest.approx(expected, rel=0.05)
    if name == "leak_hz":
        assert set(events["p"]) == {1}


def test_mismatch_is_recovered_from_the_events() -> None:
    generator = torch.Generator().manual_seed(5)
    size = SensorSize(64, 64)
    camera = one_camera(exact(threshold=(0.1, 0.1), mismatch=(0.05, 0.05)), generator)
    flat = torch.zeros(size.height, size.width)
    frames = [Frame(10_000 * k, flat + 0.2 * k) for k in range(201)]
    events = np.concatenate(list(record(frames, camera, size, generator)))
    count = np.bincount(events["y"].astype(int) * size.width + events["x"], minlength=4096)
    thresholds = 40.0 / count
    assert thresholds.std() / thresholds.mean() == pytest.approx(0.05, rel=0.08)


def test_accumulated_noise_has_the_rates_of_its_camera() -> None:
    generator = torch.Generator().manual_seed(6)
    camera = exact(shot_hz=(5.0, 5.0), hot_fraction=(1e-3, 1e-3), hot_hz=(100.0, 100.0)).sample(
        200, generator, torch.device("cpu")
    )
    duration_s = torch.full((200,), 0.1)
    noise = draw_noise(camera, (32, 48), duration_s, generator)
    expected = 200 * 0.1 * 32 * 48 * (5.0 + 1e-3 * 100.0)
    assert len(noise.clip) == pytest.approx(expected, rel=0.05)
    assert 0 <= float(noise.time.min()) <= float(noise.time.max()) < 1
    assert int(noise.y.max()) < 32
    assert int(noise.x.max()) < 48


def test_one_seed_gives_one_recording() -> None:
    both = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(11)
        camera = one_camera(PRESETS["davis346"], generator)
        both.append(np.concatenate(list(record(ramp_frames(3.0, 0.1), camera, SIZE, generator))))
    np.testing.assert_array_equal(both[0], both[1])
    assert (np.diff(both[0]["t"]) >= 0).all()


def test_noise_differs_between_pixels_and_comes_in_pairs() -> None:
    """Against a camera whose noise is Poisson of one rate: both would come out as there."""
    size = SensorSize(64, 48)
    generator = torch.Generator().manual_seed(7)
    camera = one_camera(exact(shot_hz=(20.0, 20.0)), generator)
    still = [Frame(10_000 * k, torch.zeros(size.height, size.width)) for k in range(401)]
    events = np.concatenate(list(record(still, camera, size, generator)))
    pixel = events["y"].astype(np.int64) * size.width + events["x"]
    count = np.sort(np.bincount(pixel, minlength=size.width * size.height))[::-1]
    noisiest = count[: len(count) // 10].sum() / count.sum()
    assert noisiest == pytest.approx(0.1 ** (1 / UNEVEN), abs=0.03)
    order = np.lexsort((events["t"], pixel))
    same = pixel[order][1:] == pixel[order][:-1]
    between, flips = (
        np.diff(events["t"][order])[same],
        np.diff(events["p"][order].astype(int))[same],
    )
    soon = between < 4_000
    # Echoes: within 4 ms comes 1 - exp(-1/2) of the fifth of all events that are one.
    expected = 0.39 * ECHO_FRACTION / (1 + ECHO_FRACTION)
    chance = 4e-3 * 20 * 0.25 * 2.5
    assert expected < soon.sum() / len(events) < expected + chance
    assert np.mean(flips[soon] != 0) > 0.75


def test_noise_keeps_the_dead_time() -> None:
    generator = torch.Generator().manual_seed(8)
    prior = exact(shot_hz=(300.0, 300.0), refractory_us=(4000.0, 4000.0))
    camera = one_camera(prior, generator)
    still = ramp_frames(0.0, 0.5, steps=100)
    events = np.concatenate(list(record(still, camera, SIZE, generator)))
    pixel = events["y"].astype(np.int64) * SIZE.width + events["x"]
    order = np.lexsort((events["t"], pixel))
    same = pixel[order][1:] == pixel[order][:-1]
    assert np.diff(events["t"][order])[same].min() >= 4000


def test_pixels_are_slower_and_noisier_in_the_dark() -> None:
    generator = torch.Generator().manual_seed(9)
    dark, bright = (
        one_camera(exact(cutoff_hz=(300.0, 300.0), shot_hz=(1.0, 1.0), lux=(lux, lux)), generator)
        for lux in (0.2, 2e4)
    )
    assert float(bright.cutoff_hz[0]) == pytest.approx(300, rel=0.01)
    assert float(dark.cutoff_hz[0]) == pytest.approx(300 * 0.2 / (0.2 + DARK_LUX), rel=0.01)
    assert float(dark.shot_hz[0]) > 2.5 * float(bright.shot_hz[0])
