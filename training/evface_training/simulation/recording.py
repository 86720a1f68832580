"""Frames of light → a recording: the event camera in list form, one clip at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.geometry import SensorSize
from evface_training.simulation.camera import CameraBatch, CameraPrior, PixelArray

#: Cameras by name: a prior with no or little room. Figures follow the makers' data sheets and v2e's
#: settings where they are given, and are otherwise estimates; none was fitted to a sensor.
PRESETS: dict[str, CameraPrior] = {
    "ideal": CameraPrior(
        threshold=(0.2, 0.2),
        asymmetry=(1.0, 1.0),
        mismatch=(0.0, 0.0),
        cutoff_hz=(1e5, 1e5),
        shot_hz=(0.0, 0.0),
        leak_hz=(0.0, 0.0),
        refractory_us=(1.0, 1.0),
        hot_share=(0.0, 0.0),
        hot_hz=(0.0, 0.0),
        flicker_share=0.0,
    ),
    "davis346": CameraPrior(
        threshold=(0.18, 0.28),
        mismatch=(0.03, 0.05),
        cutoff_hz=(200.0, 300.0),
        shot_hz=(0.05, 0.5),
        leak_hz=(0.05, 0.2),
        refractory_us=(300.0, 700.0),
        flicker_share=0.0,
    ),
    "dvxplorer": CameraPrior(
        threshold=(0.25, 0.4),
        mismatch=(0.03, 0.06),
        cutoff_hz=(150.0, 300.0),
        shot_hz=(0.1, 1.0),
        leak_hz=(0.01, 0.05),
        refractory_us=(200.0, 800.0),
        flicker_share=0.0,
    ),
    "evk4": CameraPrior(
        threshold=(0.2, 0.35),
        mismatch=(0.02, 0.04),
        cutoff_hz=(300.0, 1000.0),
        shot_hz=(0.05, 0.5),
        leak_hz=(0.01, 0.05),
        refractory_us=(50.0, 200.0),
        flicker_share=0.0,
    ),
    "genx320": CameraPrior(
        threshold=(0.25, 0.4),
        mismatch=(0.02, 0.05),
        cutoff_hz=(200.0, 600.0),
        shot_hz=(0.05, 0.5),
        leak_hz=(0.01, 0.05),
        refractory_us=(50.0, 300.0),
        flicker_share=0.0,
    ),
}


@dataclass(frozen=True)
class Frame:
    """Light on the sensor at one instant: log intensity (H, W) float32."""

    t_us: int
    log_intensity: Tensor


def one_camera(prior: CameraPrior, generator: torch.Generator) -> CameraBatch:
    """One camera drawn from a prior."""
    camera = prior.sample(1, generator, torch.device("cpu"))
    # A range of (0, 0) means none, which a logarithm cannot draw.
    zero = {
        name: torch.zeros(1)
        for name in ("mismatch", "shot_hz", "leak_hz", "hot_share", "hot_hz")
        if getattr(prior, name)[1] == 0
    }
    return replace(camera, **zero)


def record(
    frames: Iterable[Frame], camera: CameraBatch, size: SensorSize, generator: torch.Generator
) -> Iterator[EventArray]:
    """The events between each frame and the next, in order of time; noise included.

    Frames must be close enough in time that intensity between two of them is nearly linear.
    """
    pixels: PixelArray | None = None
    noise = _Noise(camera, size, generator)
    dead = _Refractory(size, float(camera.refractory_us[0]))
    last_us = 0
    for frame in frames:
        light = frame.log_intensity[None]
        if pixels is None:
            pixels = PixelArray(light, camera, generator)
        else:
            duration_s = torch.full((1,), (frame.t_us - last_us) * 1e-6)
            step = pixels.step(light, duration_s)
            events = np.concatenate(
                [pixels.list_events(step, last_us, frame.t_us), noise.between(last_us, frame.t_us)]
            )
            events = dead.filter(events[np.argsort(events["t"], kind="stable")])
            if len(events):
                yield events
        last_us = frame.t_us


class _Noise:
    """Shot noise, and hot pixels that stay the same for the whole recording."""

    def __init__(self, camera: CameraBatch, size: SensorSize, generator: torch.Generator) -> None:
        self._rng = np.random.default_rng(
            int(torch.randint(2**62, (1,), generator=generator).item())
        )
        self._size = size
        self._shot_hz = float(camera.shot_hz[0]) * size.width * size.height
        count = self._rng.poisson(float(camera.hot_share[0]) * size.width * size.height)
        self._hot = self._rng.integers(0, size.width * size.height, count)
        self._hot_hz = float(camera.hot_hz[0]) * self._rng.uniform(0, 2, count)

    def between(self, start_us: int, end_us: int) -> EventArray:
        seconds, rng = (end_us - start_us) * 1e-6, self._rng
        pixel = np.concatenate(
            [
                rng.integers(
                    0, self._size.width * self._size.height, rng.poisson(self._shot_hz * seconds)
                ),
                np.repeat(self._hot, rng.poisson(self._hot_hz * seconds)),
            ]
        )
        events = np.empty(len(pixel), EVENT_DTYPE)
        events["t"] = rng.integers(start_us + 1, end_us + 1, len(pixel))
        events["y"], events["x"] = np.divmod(pixel, self._size.width)
        events["p"] = rng.integers(0, 2, len(pixel))
        return events


class _Refractory:
    """Drops what a pixel fires within its dead time."""

    def __init__(self, size: SensorSize, dead_us: float) -> None:
        self._dead_us = dead_us
        self._last = np.full((size.height, size.width), np.iinfo(np.int64).min // 2)

    def filter(self, events: EventArray) -> EventArray:
        if not len(events):
            return events
        pixel = events["y"].astype(np.int64) * self._last.shape[1] + events["x"]
        order = np.argsort(pixel, kind="stable")
        flat = self._last.reshape(-1)
        kept = np.zeros(len(events), bool)
        # Pixels in turn, all their k-th events at once: k is small.
        starts = np.flatnonzero(np.diff(pixel[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        for k in range(int(rank.max()) + 1):
            chosen = order[rank == k]
            at = pixel[chosen]
            alive = events["t"][chosen] - flat[at] >= self._dead_us
            kept[chosen[alive]] = True
            flat[at[alive]] = events["t"][chosen[alive]]
        return events[kept]
