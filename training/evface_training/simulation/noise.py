"""Noise events: shot noise and hot pixels.

In recordings of a static scene, noise rates differ widely between pixels, and a noise event is
often followed by one of the other polarity in the same pixel (Graca & Delbruck, 2021). Poisson
noise of one rate shows neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evface_training.simulation.camera import CameraBatch

#: The brightest pixel has this fraction less noise than a dark one (v2e).
_LESS_IN_LIGHT = 0.75
#: The noisiest fraction x of the pixels gives the fraction x^(1 ÷ UNEVEN) of the noise.
UNEVEN = 1.6
#: Fraction of events that are followed by one of the other polarity, and the mean delay.
ECHO_FRACTION, ECHO_S = 0.25, 0.008


@dataclass(frozen=True)
class NoiseEvents:
    """Unsorted events, (N,) each; `time` is a fraction of the duration in [0, 1)."""

    clip: Tensor
    time: Tensor
    y: Tensor
    x: Tensor
    on: Tensor


class Noise:
    """The noise of B sensors (height, width); draws the events of one interval after the other."""

    def __init__(
        self, camera: CameraBatch, shape: Sequence[int], generator: torch.Generator
    ) -> None:
        self._camera, self._generator = camera, generator
        self._height, self._width = shape
        self._pixels = self._height * self._width
        device = camera.lux.device
        self._device = device
        # From the noisiest pixel to the quietest, in a different order on each sensor.
        self._order = torch.randperm(self._pixels, generator=generator, device=device)
        self._turn = torch.randint(
            self._pixels, camera.lux.shape, generator=generator, device=device
        )
        self._hot_clip = self._spread(camera.hot_fraction * self._pixels)
        count = len(self._hot_clip)
        self._hot_at = torch.randint(self._pixels, (count,), generator=generator, device=device)
        self._hot_hz = camera.hot_hz[self._hot_clip] * 2 * self._uniform(count)
        nothing = torch.zeros(0, dtype=torch.int64, device=device)
        self._late = (nothing, torch.zeros(0, device=device), nothing, nothing.bool())

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self._generator, device=self._device)

    def _spread(self, rate: Tensor) -> Tensor:
        """Return indices into `rate`, each repeated by a Poisson draw of its rate."""
        return torch.repeat_interleave(torch.poisson(rate, generator=self._generator).long())

    def draw(self, duration_s: Tensor, light: Tensor | None = None) -> NoiseEvents:
        """Draw the events of the next duration_s (B,) seconds; the dead time applies within them.

        Args:
            light: (B, H, W) log intensity: brighter pixels are less noisy. None: no dependence.
        """
        camera, pixels = self._camera, self._pixels
        clip = self._spread(camera.shot_hz * duration_s * (pixels / (1 + ECHO_FRACTION)))
        rank = (self._uniform(len(clip)).pow_(UNEVEN) * pixels).long().clamp_(max=pixels - 1)
        where = (self._order[rank] + self._turn[clip]) % pixels
        if light is not None:
            brightest = light.amax((1, 2))
            relative = torch.exp(light.reshape(-1)[clip * pixels + where] - brightest[clip])
            kept = self._uniform(len(clip)) > _LESS_IN_LIGHT * relative
            clip, where = clip[kept], where[kept]
        time_s = self._uniform(len(clip)) * duration_s[clip]
        on = self._uniform(len(clip)) < 0.5
        echoes = self._uniform(len(clip)) < ECHO_FRACTION
        wait_s = -ECHO_S * torch.log1p(-self._uniform(int(echoes.sum())))
        hot = self._spread(self._hot_hz * duration_s[self._hot_clip])
        hot_clip = self._hot_clip[hot]
        columns = [
            (clip, time_s, where, on),
            (clip[echoes], time_s[echoes] + wait_s, where[echoes], ~on[echoes]),
            (
                hot_clip,
                self._uniform(len(hot)) * duration_s[hot_clip],
                self._hot_at[hot],
                self._uniform(len(hot)) < 0.5,
            ),
            self._late,
        ]
        clip, time_s, where, on = (torch.cat(parts) for parts in zip(*columns, strict=True))
        late = time_s >= duration_s[clip]
        self._late = (
            clip[late],
            time_s[late] - duration_s[clip[late]],
            where[late],
            on[late],
        )
        clip, time_s, where, on = clip[~late], time_s[~late], where[~late], on[~late]
        return self._keep_dead_time(clip, time_s / duration_s[clip], where, on, duration_s)

    def _keep_dead_time(
        self, clip: Tensor, time: Tensor, where: Tensor, on: Tensor, duration_s: Tensor
    ) -> NoiseEvents:
        """Drop events within the dead time of the event before, dropped or not."""
        place = clip * self._pixels + where
        order = torch.argsort(place + time.double())
        place, time, on = place[order], time[order], on[order]
        clip = place // self._pixels
        alive = torch.ones(len(place), dtype=torch.bool, device=self._device)
        dead = self._camera.refractory_us * 1e-6 / duration_s
        alive[1:] = (place[1:] != place[:-1]) | (time[1:] - time[:-1] >= dead[clip[1:]])
        clip, time, on = clip[alive], time[alive].clamp_(max=1 - 1e-7), on[alive]
        where = place[alive] % self._pixels
        return NoiseEvents(clip, time, where // self._width, where % self._width, on)


def draw_noise(
    camera: CameraBatch,
    shape: Sequence[int],
    duration_s: Tensor,
    generator: torch.Generator,
    light: Tensor | None = None,
) -> NoiseEvents:
    """Draw the noise of one window of B clips; see `Noise`."""
    return Noise(camera, shape, generator).draw(duration_s, light)
