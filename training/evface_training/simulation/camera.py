"""The event camera: log light in, events out.

A pixel remembers the log intensity of its last event and fires each time the (low-passed) log
intensity has moved by a contrast threshold from there; Lichtsteiner et al. 2008, Hu et al. 2021
(v2e), Stoffregen et al. 2020 on how wide the parameters must be spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray


@dataclass(frozen=True)
class CameraPrior:
    """Ranges from which a camera is drawn for each clip: (low, high), log-uniform.

    Attributes:
        threshold: contrast threshold of ON events, in natural log units.
        asymmetry: OFF threshold ÷ ON threshold.
        mismatch: relative standard deviation of thresholds from pixel to pixel.
        cutoff_hz: bandwidth of the photoreceptor at mean light; darker pixels are slower.
        shot_hz: noise events per pixel and second, both polarities.
        leak_hz: ON events per pixel and second that leak brings.
        refractory_us: dead time of a pixel after an event.
        hot_share: share of hot pixels.
        hot_hz: their rate.
        flicker_share: share of clips under flickering lamps.
    """

    threshold: tuple[float, float] = (0.1, 0.6)
    asymmetry: tuple[float, float] = (0.75, 1.33)
    mismatch: tuple[float, float] = (0.02, 0.08)
    cutoff_hz: tuple[float, float] = (15.0, 400.0)
    shot_hz: tuple[float, float] = (0.01, 12.0)
    leak_hz: tuple[float, float] = (0.01, 0.3)
    refractory_us: tuple[float, float] = (10.0, 1500.0)
    hot_share: tuple[float, float] = (1e-5, 1e-3)
    hot_hz: tuple[float, float] = (20.0, 800.0)
    flicker_share: float = 0.04

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = value if isinstance(value, tuple) else (value, value)
            if low > high or low < 0:
                raise ConfigError(f"CameraPrior.{field.name}", value, "0 <= low <= high")

    def sample(self, batch: int, generator: torch.Generator, device: torch.device) -> CameraBatch:
        def draw(bounds: tuple[float, float]) -> Tensor:
            low, high = (math.log(max(bound, 1e-9)) for bound in bounds)
            u = torch.rand(batch, generator=generator, device=device)
            return torch.exp(low + (high - low) * u)

        on = draw(self.threshold)
        flickers = torch.rand(batch, generator=generator, device=device) < self.flicker_share
        return CameraBatch(
            threshold_on=on,
            threshold_off=on * draw(self.asymmetry),
            mismatch=draw(self.mismatch),
            cutoff_hz=draw(self.cutoff_hz),
            shot_hz=draw(self.shot_hz),
            leak_hz=draw(self.leak_hz),
            refractory_us=draw(self.refractory_us),
            hot_share=draw(self.hot_share),
            hot_hz=draw(self.hot_hz),
            flicker=draw((0.02, 0.4)) * flickers,
        )


@dataclass(frozen=True)
class CameraBatch:
    """One drawn camera per clip; each attribute (B,), named as in CameraPrior.

    `flicker` is the depth of the lamp's flicker in log intensity; 0 is steady light.
    """

    threshold_on: Tensor
    threshold_off: Tensor
    mismatch: Tensor
    cutoff_hz: Tensor
    shot_hz: Tensor
    leak_hz: Tensor
    refractory_us: Tensor
    hot_share: Tensor
    hot_hz: Tensor
    flicker: Tensor


@dataclass(frozen=True)
class Step:
    """What happened between two frames: everything that exact event times need.

    Attributes:
        before, after: (B, H, W) low-passed log intensity at either end.
        reference: (B, H, W) of each pixel at the start.
        on, off: (B, H, W) float, how many events of each polarity.
    """

    before: Tensor
    after: Tensor
    reference: Tensor
    on: Tensor
    off: Tensor


class PixelArray:
    """The pixels of B sensors; feed them frames in order of time.

    Args:
        first: (B, H, W) log intensity when the recording starts.
        camera: one per clip.
        generator: for mismatch and for the state in which each pixel starts.
    """

    def __init__(self, first: Tensor, camera: CameraBatch, generator: torch.Generator) -> None:
        shape, device = first.shape, first.device
        self.camera = camera
        spread = torch.randn(shape, generator=generator, device=device)
        spread.mul_(camera.mismatch[:, None, None]).add_(1).clamp_(0.3, 3.0)
        self._threshold_on = spread * camera.threshold_on[:, None, None]
        self._threshold_off = spread.mul_(camera.threshold_off[:, None, None])
        self._per_on = 1 / self._threshold_on
        self._per_off = 1 / self._threshold_off
        # Between its last event and the next, a pixel may be anywhere within its thresholds.
        start = torch.rand(shape, generator=generator, device=device).sub_(0.5)
        self._reference = torch.addcmul(first, start, self._threshold_on)
        self._light = first.clone()
        # In the dark the photoreceptor is slower: bandwidth follows the intensity (v2e, eq. 2).
        relative = torch.exp(first - first.amax((1, 2), keepdim=True)).add_(0.1).clamp_(max=1.0)
        self._cutoff = relative.mul_(-2 * math.pi * camera.cutoff_hz[:, None, None])
        self._decay: Tensor | None = None
        self._decay_for: Tensor | None = None

    def step(self, log_intensity: Tensor, duration_s: Tensor) -> Step:
        """Advance to a frame (B, H, W) that comes duration_s (B,) later."""
        if self._decay is None or self._decay_for is not duration_s:
            self._decay = torch.exp(self._cutoff * duration_s[:, None, None])
            self._decay_for = duration_s
        camera, reference, before = self.camera, self._reference, self._light
        after = torch.lerp(log_intensity, before, self._decay)
        leak = camera.leak_hz * camera.threshold_on * duration_s
        change = after - reference
        change += leak[:, None, None]
        limit = (duration_s * 1e6 / camera.refractory_us).floor().add_(1)[:, None, None]
        on = (change * self._per_on).clamp_min_(0).floor_()
        off = (change * self._per_off).neg_().clamp_min_(0).floor_()
        self._reference = torch.addcmul(reference, on, self._threshold_on).sub_(leak[:, None, None])
        self._reference.addcmul_(off, self._threshold_off, value=-1)
        self._light = after
        return Step(before, after, reference, torch.minimum(on, limit), torch.minimum(off, limit))

    def list_events(self, step: Step, start_us: int, end_us: int) -> EventArray:
        """The events of one step of clip 0 as a list, at linearly interpolated times.

        Returns:
            EVENT_DTYPE (N,), sorted by time, in (start_us, end_us].
        """
        parts = []
        slope = (step.after - step.before)[0]
        for polarity, counts, threshold in (
            (1, step.on, self._threshold_on),
            (0, step.off, self._threshold_off),
        ):
            row, column = torch.nonzero(counts[0], as_tuple=True)
            count = counts[0, row, column].long()
            pixel = torch.repeat_interleave(torch.arange(len(count)), count)
            nth = torch.arange(len(pixel)) - (torch.cumsum(count, 0) - count)[pixel] + 1
            row, column = row[pixel], column[pixel]
            sign = 1 if polarity else -1
            level = step.reference[0, row, column] + sign * nth * threshold[0, row, column]
            share = (level - step.before[0, row, column]) / slope[row, column]
            share = share.nan_to_num(0.5, 0.5, 0.5).clamp(0, 1)
            events = np.empty(len(pixel), EVENT_DTYPE)
            events["t"] = start_us + np.ceil(share.double().numpy() * (end_us - start_us))
            events["x"], events["y"], events["p"] = column.numpy(), row.numpy(), polarity
            parts.append(events)
        events = np.concatenate(parts)
        return events[np.argsort(events["t"], kind="stable")]


def draw_noise(
    camera: CameraBatch,
    shape: Sequence[int],
    duration_s: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Shot noise and hot pixels of B clips of sensors (height, width).

    Returns:
        clip (N,), time as a share of the duration (N,), y (N,), x (N,), polarity (N,): unsorted.
    """
    height, width = shape
    device = duration_s.device
    pixels = height * width
    shot = torch.poisson(camera.shot_hz * duration_s * pixels, generator=generator).long()
    hot_pixels = torch.poisson(camera.hot_share * pixels, generator=generator).long()
    clips = torch.arange(len(shot), device=device)
    clip = torch.repeat_interleave(clips, shot)
    where = torch.randint(pixels, (len(clip),), generator=generator, device=device)
    hot_clip = torch.repeat_interleave(clips, hot_pixels)
    hot_at = torch.randint(pixels, (len(hot_clip),), generator=generator, device=device)
    own_rate = torch.rand(len(hot_clip), generator=generator, device=device) * 2
    hot_count = torch.poisson(
        (camera.hot_hz * duration_s)[hot_clip] * own_rate, generator=generator
    ).long()
    clip = torch.cat([clip, torch.repeat_interleave(hot_clip, hot_count)])
    where = torch.cat([where, torch.repeat_interleave(hot_at, hot_count)])
    time = torch.rand(len(clip), generator=generator, device=device)
    polarity = torch.randint(2, (len(clip),), generator=generator, device=device)
    return clip, time, where // width, where % width, polarity
