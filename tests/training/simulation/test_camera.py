"""The event camera against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evface_edge.geometry import SensorSize
from evface_training.simulation.camera import CameraPrior, PixelArray, draw_noise
from evface_training.simulation.recording import PRESETS, Frame, one_camera, record

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
    dark = torch.zeros(1, SIZE.height, SIZE.width)
    array = PixelArray(dark, camera, generator)
    step_s, level = 0.001, 1.0
    for index in range(1, 31):
        step = array.step(dark + level, torch.tensor([step_s]))
        expected = level * (1 - math.exp(-2 * math.pi * 20.0 * index * step_s))
        assert float(step.after[0, 3, 3]) == pytest.approx(expected, abs=1e-5)


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
def test_noise_rates_come_out_as_put_in(name: str, value: float) -> None:
    generator = torch.Generator().manual_seed(4)
    camera = one_camera(exact(**{name: (value, value)}), generator)
    seconds = 4.0
    still = ramp_frames(0.0, seconds, steps=400)
    events = np.concatenate(list(record(still, camera, SIZE, generator)))
    rate_hz = len(events) / (SIZE.width * SIZE.height) / seconds
    assert rate_hz == pytest.approx(value, rel=0.05)
    if name == "leak_hz":
        assert set(events["p"]) == {1}


def test_mismatch_is_recovered_from_the_output() -> None:
    generator = torch.Generator().manual_seed(5)
    size = SensorSize(64, 64)
    camera = one_camera(exact(threshold=(0.1, 0.1), mismatch=(0.05, 0.05)), generator)
    flat = torch.zeros(size.height, size.width)
    frames = [Frame(1000 * k, flat + 0.02 * k) for k in range(2001)]
    events = np.concatenate(list(record(frames, camera, size, generator)))
    count = np.bincount(events["y"].astype(int) * size.width + events["x"], minlength=4096)
    thresholds = 40.0 / count
    assert thresholds.std() / thresholds.mean() == pytest.approx(0.05, rel=0.08)


def test_accumulated_noise_has_the_rates_of_its_camera() -> None:
    generator = torch.Generator().manual_seed(6)
    camera = exact(shot_hz=(5.0, 5.0), hot_share=(1e-3, 1e-3), hot_hz=(100.0, 100.0)).sample(
        200, generator, torch.device("cpu")
    )
    duration_s = torch.full((200,), 0.1)
    clip, time, y, x, _ = draw_noise(camera, (32, 48), duration_s, generator)
    expected = 200 * 0.1 * 32 * 48 * (5.0 + 1e-3 * 100.0)
    assert len(clip) == pytest.approx(expected, rel=0.05)
    assert 0 <= float(time.min()) <= float(time.max()) < 1
    assert int(y.max()) < 32
    assert int(x.max()) < 48


def test_one_seed_gives_one_recording() -> None:
    both = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(11)
        camera = one_camera(PRESETS["davis346"], generator)
        both.append(np.concatenate(list(record(ramp_frames(3.0, 0.1), camera, SIZE, generator))))
    np.testing.assert_array_equal(both[0], both[1])
    assert (np.diff(both[0]["t"]) >= 0).all()
