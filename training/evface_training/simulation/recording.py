"""Frames of light → the list of events of one camera."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.geometry import SensorSize
from evface_training.simulation.camera import CameraBatch, CameraPrior
from evface_training.simulation.light import Frame
from evface_training.simulation.noise import Noise
from evface_training.simulation.pixels import PixelArray, event_list
from evface_training.simulation.readout import Bus, Readout


def one_camera(prior: CameraPrior, generator: torch.Generator) -> CameraBatch:
    """Draw one camera from a prior."""
    return prior.sample(1, generator, torch.device("cpu"))


def record(
    frames: Iterable[Frame],
    camera: CameraBatch,
    size: SensorSize,
    generator: torch.Generator,
    readout: Readout | None = None,
) -> Iterator[EventArray]:
    """Yield the events between each frame and the next, sorted by time, with noise.

    Frames must be close enough in time that log intensity between two of them is nearly a line.

    Args:
        readout: how events leave the sensor; None: at once and without limit.

    Raises:
        ConfigError: a frame of another size, with values that are not finite, or out of order.
    """
    pixels: PixelArray | None = None
    noise = Noise(camera, (size.height, size.width), generator)
    dead = _Refractory(size, float(camera.refractory_us[0]))
    bus = Bus(readout or Readout())
    last_us = 0
    for frame in frames:
        _check(frame, size, last_us, first=pixels is None)
        light = frame.log_intensity[None]
        if pixels is None:
            pixels = PixelArray(light, camera, generator)
        else:
            duration_s = torch.full((1,), (frame.t_us - last_us) * 1e-6)
            firings = pixels.step(light, duration_s)
            pixels.adapt(light)
            noise_events = _noise_between(noise, last_us, frame.t_us, light)
            events = np.concatenate([event_list(firings, last_us, frame.t_us), noise_events])
            events = bus(dead.filter(events[np.argsort(events["t"], kind="stable")]))
            if len(events):
                yield events
        last_us = frame.t_us


def _check(frame: Frame, size: SensorSize, last_us: int, *, first: bool) -> None:
    if frame.log_intensity.shape != (size.height, size.width):
        shape = tuple(frame.log_intensity.shape)
        raise ConfigError("frame", shape, f"(height, width) of the sensor, {size}")
    if not bool(torch.isfinite(frame.log_intensity).all()):
        raise ConfigError("frame", f"not finite at {frame.t_us} µs", "log intensities")
    if not first and frame.t_us <= last_us:
        raise ConfigError("frame", f"{frame.t_us} µs after {last_us} µs", "times that rise")


def _noise_between(noise: Noise, start_us: int, end_us: int, light: Tensor) -> EventArray:
    """Return the noise events between two times, unsorted."""
    drawn = noise.draw(torch.full((1,), (end_us - start_us) * 1e-6), light)
    events = np.empty(len(drawn.time), EVENT_DTYPE)
    events["t"] = start_us + 1 + np.floor(drawn.time.double().numpy() * (end_us - start_us))
    events["x"], events["y"], events["p"] = drawn.x.numpy(), drawn.y.numpy(), drawn.on.numpy()
    return events


class _Refractory:
    """Drops the events of a pixel within its dead time."""

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
        # The first events of all pixels at once, then the second ones, and so on: few rounds.
        starts = np.flatnonzero(np.diff(pixel[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        for k in range(int(rank.max()) + 1):
            chosen = order[rank == k]
            at = pixel[chosen]
            alive = events["t"][chosen] - flat[at] >= self._dead_us
            kept[chosen[alive]] = True
            flat[at[alive]] = events["t"][chosen[alive]]
        return events[kept]
