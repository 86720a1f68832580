"""What pixels fire, against closed forms, a pixel-by-pixel loop, and the list against the sums."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evface_edge import EVENT_DTYPE
from evface_edge.geometry import SensorSize
from evface_edge.representation import VoxelGrid
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.light import Frame
from evface_training.simulation.noise import NoiseEvents, draw_noise
from evface_training.simulation.pixels import Firings, PixelArray, event_list
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record
from evface_training.simulation.voxels import Voxels

NOISY = CameraPrior(
    threshold=(0.06, 0.1),
    mismatch=(0.05, 0.08),
    cutoff_hz=(150.0, 300.0),
    leak_hz=(1.0, 3.0),
    shot_hz=(5.0, 9.0),
    refractory_us=(1500.0, 4000.0),
    hot_fraction=(0.01, 0.01),
)


def exact(threshold: float) -> CameraPrior:
    return CameraPrior(**{**vars(PRESETS["ideal"]), "threshold": (threshold, threshold)})


def counts_of(frames: list[Frame], prior: CameraPrior, size: SensorSize) -> NDArray[np.int64]:
    """Events of each pixel and polarity (2, H, W)."""
    generator = torch.Generator().manual_seed(1)
    camera = one_camera(prior, generator)
    events = np.concatenate(list(record(frames, camera, size, generator)))
    counts = np.zeros((2, size.height, size.width), np.int64)
    np.add.at(counts, (events["p"], events["y"], events["x"]), 1)
    return counts


@pytest.mark.parametrize("contrast", [1.5, -1.0])
def test_a_moving_step_gives_its_contrast_over_the_threshold(contrast: float) -> None:
    size, threshold = SensorSize(48, 12), 0.05
    x = torch.arange(size.width).float().expand(size.height, -1)
    # An edge two pixels wide crosses the whole sensor.
    frames = [Frame(1000 * k, contrast * torch.sigmoid((0.25 * k - 8 - x) * 2)) for k in range(281)]
    counts = counts_of(frames, exact(threshold), size)
    polarity = int(contrast > 0)
    assert counts[polarity].mean() == pytest.approx(abs(contrast) / threshold, rel=0.05)
    assert counts[1 - polarity].sum() == 0


def test_a_moving_grating_gives_its_swing_over_the_threshold() -> None:
    size, threshold, amplitude, cycles = SensorSize(40, 6), 0.02, 0.8, 3
    x = torch.arange(size.width).float().expand(size.height, -1)
    frames = [
        Frame(500 * k, amplitude * torch.sin(2 * math.pi * (x / 20 - k / 400)))
        for k in range(400 * cycles + 1)
    ]
    counts = counts_of(frames, exact(threshold), size)
    # Twice the amplitude up and down in each cycle.
    for polarity in (0, 1):
        assert counts[polarity].mean() == pytest.approx(
            2 * amplitude * cycles / threshold, rel=0.05
        )


def test_a_grating_backwards_gives_the_events_of_the_grating_with_polarities_swapped() -> None:
    size = SensorSize(40, 6)
    x = torch.arange(size.width).float().expand(size.height, -1)
    waves = [0.9 * torch.sin(2 * math.pi * (x / 20 - k / 200)) for k in range(301)]
    forth = counts_of([Frame(500 * k, w) for k, w in enumerate(waves)], exact(0.03), size)
    back = counts_of([Frame(500 * k, w) for k, w in enumerate(waves[::-1])], exact(0.03), size)
    assert np.abs(forth - back[::-1]).max() <= 2  # where a pixel starts and ends between events
    assert forth.sum() == pytest.approx(back.sum(), rel=0.02)


def loop(
    light: NDArray[np.float64],
    reference: float,
    thresholds: tuple[float, float],
    leak_per_s: float,
    dead_s: float,
    step_s: float,
) -> list[tuple[float, int]]:
    """One pixel, event by event: (time, polarity)."""
    found, ready = [], 0.0
    for index in range(len(light) - 1):
        begin, slope = light[index], (light[index + 1] - light[index]) / step_s
        now = 0.0
        while True:
            # The distance from the reference, which leaks down, moves at one rate.
            distance = begin + slope * now - (reference - leak_per_s * now)
            rate = slope + leak_per_s
            goal = thresholds[0] if rate > 0 else -thresholds[1]
            wait = (goal - distance) / rate if rate else math.inf
            if now + wait > step_s:
                break
            now += wait
            reference += goal
            t = index * step_s + now
            if t >= ready - 1e-9:
                found.append((t, int(goal > 0)))
                ready = t + dead_s
        reference -= leak_per_s * step_s
    return found


def test_every_event_is_that_of_a_pixel_simulated_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    prior = CameraPrior(**{**vars(NOISY), "cutoff_hz": (1e6, 1e6), "lux": (1e4, 1e4)})
    camera = one_camera(prior, generator)
    steps, step_s = 40, 0.002
    walk = torch.randn(steps + 1, 5, 6, generator=generator, dtype=torch.float32).cumsum(0) * 0.15
    array = PixelArray(walk[:1], camera, generator)
    reference, on, off = (
        tensor[0].double().numpy().copy()
        for tensor in (array._reference, array._threshold_on, -array._minus_threshold_off)
    )
    duration = torch.tensor([step_s])
    parts = []
    for index in range(steps):
        cell, polarity, fraction = array.step(walk[index + 1 : index + 2], duration).events()
        parts.append((cell.numpy(), polarity.numpy(), (index + fraction.numpy()) * step_s))
    cell, polarity, time = (np.concatenate(column) for column in zip(*parts, strict=True))
    leak = float(camera.leak_hz[0] * camera.threshold_on[0])
    total = 0
    for pixel in range(30):
        row, column = divmod(pixel, 6)
        expected = loop(
            walk[:, row, column].double().numpy(),
            reference[row, column],
            (on[row, column], off[row, column]),
            leak,
            float(camera.refractory_us[0]) * 1e-6,
            step_s,
        )
        chosen = cell == pixel
        order = np.argsort(time[chosen])
        np.testing.assert_array_equal(polarity[chosen][order], [p for _, p in expected])
        np.testing.assert_allclose(time[chosen][order], [t for t, _ in expected], atol=2e-6)
        total += len(expected)
    assert total > 400


class Window:
    """A window of random light on a batch of noisy cameras: what fired in each step, and noise."""

    shape, steps, duration_us = (3, 20, 24), 8, 40_000

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(4)
        batch, height, width = self.shape
        camera = NOISY.sample(batch, generator, torch.device("cpu"))
        light = torch.randn(self.steps + 1, *self.shape, generator=generator).cumsum(0) * 0.3
        array = PixelArray(light[0], camera, generator)
        duration_s = torch.full((batch,), self.duration_us * 1e-6)
        step_s = duration_s / self.steps
        self.firings: list[Firings] = [array.step(frame, step_s) for frame in light[1:]]
        self.noise: NoiseEvents = draw_noise(camera, (height, width), duration_s, generator)

    def accumulate(self, voxels: Voxels) -> None:
        for index, firings in enumerate(self.firings):
            voxels.add(firings, index / self.steps, (index + 1) / self.steps)
        voxels.add_noise(self.noise)

    def events(self, clip: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Of one clip as a list: time as a fraction of the window (N,), and p, y, x (3, N)."""
        _, height, width = self.shape
        times, places = [], []
        for index, firings in enumerate(self.firings):
            cell, on, fraction = firings.events()
            own = cell // (height * width) == clip
            pixel = cell[own] % (height * width)
            times.append((index + fraction[own].numpy()) / self.steps)
            places.append(torch.stack([on[own].long(), pixel // width, pixel % width]).numpy())
        own = self.noise.clip == clip
        noise = self.noise
        times.append(noise.time[own].double().numpy())
        places.append(torch.stack([noise.on[own].long(), noise.y[own], noise.x[own]]).numpy())
        return np.concatenate(times), np.concatenate(places, axis=1)


@pytest.mark.parametrize("bins", [5, 9, 7], ids=["steps in bins", "bins are steps", "across bins"])
def test_list_and_voxels_are_the_same_events(bins: int) -> None:
    window = Window()
    batch, height, width = window.shape
    counts = torch.zeros(batch, 2, bins, height, width)
    window.accumulate(Voxels(counts))
    for clip in range(batch):
        time, place = window.events(clip)
        assert len(time) > 2000
        expected = np.zeros((2, bins, height, width))
        for t, (p, y, x) in zip(time * (bins - 1), place.T, strict=True):
            for b in range(bins):
                expected[p, b, y, x] += max(0.0, 1 - abs(t - b))
        np.testing.assert_allclose(counts[clip].numpy(), expected, atol=2e-5)


def test_voxels_equal_those_of_the_sdk() -> None:
    """The window as a recording, through the representations of the SDK itself."""
    window = Window()
    batch, height, width = window.shape
    size = SensorSize(width, height)
    voxels = torch.zeros(batch, 2, 5, height, width)
    window.accumulate(Voxels(voxels))
    for clip in range(batch):
        time, (p, y, x) = window.events(clip)
        t_us = np.round(time * window.duration_us).astype(np.int64)
        events = np.empty(len(time), EVENT_DTYPE)
        events["t"], events["p"], events["y"], events["x"] = t_us, p, y, x
        events = events[np.argsort(events["t"], kind="stable")]
        # Its voxel grid begins at the first event and ends at the last: two more at both ends of
        # the window, in a corner, which count there and nowhere else.
        ends = np.zeros(2, EVENT_DTYPE)
        ends["t"], ends["p"] = [0, window.duration_us], 1
        grid = VoxelGrid(bins=5)(np.concatenate([ends[:1], events, ends[1:]]), size)
        grid[[5, 9], 0, 0] -= 1
        np.testing.assert_allclose(voxels[clip].flatten(0, 1).numpy(), grid, atol=2e-3)


def test_the_list_of_a_step_is_sorted_and_within_the_step() -> None:
    generator = torch.Generator().manual_seed(5)
    camera = one_camera(NOISY, generator)
    light = torch.randn(2, 1, 9, 11, generator=generator)
    firings = PixelArray(light[0], camera, generator).step(light[1], torch.tensor([0.003]))
    events = event_list(firings, 7_000, 10_000)
    assert len(events) == int(firings.count.sum())
    assert (np.diff(events["t"]) >= 0).all()
    assert events["t"][0] > 7_000
    assert events["t"][-1] <= 10_000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_gpu_fire_the_same() -> None:
    generator = torch.Generator().manual_seed(6)
    camera = NOISY.sample(4, generator, torch.device("cpu"))
    light = torch.randn(9, 4, 32, 32, generator=generator).cumsum(0) * 0.3
    arrays = [PixelArray(light[0], camera, generator)]
    arrays.append(copy.copy(arrays[0]))
    for name, value in vars(arrays[0]).items():
        if isinstance(value, torch.Tensor):
            setattr(arrays[1], name, value.clone().cuda())
    arrays[1].camera = type(camera)(**{k: v.cuda() for k, v in vars(camera).items()})
    volumes = []
    for array, device in zip(arrays, ("cpu", "cuda"), strict=True):
        counts = torch.zeros(4, 2, 5, 32, 32, device=device)
        voxels, step_s = Voxels(counts), torch.full((4,), 0.005, device=device)
        for index in range(8):
            voxels.add(array.step(light[index + 1].to(device), step_s), index / 8, (index + 1) / 8)
        volumes.append(counts.cpu())
    # A crossing on the edge between two frames may fall to either side by rounding.
    assert (volumes[0] - volumes[1]).abs().sum() < 1e-3 * volumes[0].sum()
