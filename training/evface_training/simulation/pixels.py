"""The pixel model: log light → exact times of threshold crossings.

A pixel stores the log intensity of its last event and fires each time the (low-passed) log
intensity differs from it by a contrast threshold (Lichtsteiner et al. 2008; Hu et al. 2021).
Between two frames log intensity is linear, so that all crossings have a closed form. The result has
one row per pixel; lists of events and accumulated representations are derived from the same rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_training.simulation.camera import CameraBatch


@dataclass(frozen=True)
class Firings:
    """The events between two frames: one row for each pixel that fired; (N,) each.

    Attributes:
        shape: (B, H, W) of the pixels.
        cell: int64, index of the pixel in the flattened shape.
        on: bool, polarity.
        count: float32, number of events, 1 or more.
        first: float32 in [0, 1], time of the first event, as a fraction of the time between frames.
        spacing: float32, time from one event to the next, likewise.
    """

    shape: tuple[int, int, int]
    cell: Tensor
    on: Tensor
    count: Tensor
    first: Tensor
    spacing: Tensor

    @property
    def last(self) -> Tensor:
        return self.first + (self.count - 1) * self.spacing

    def events(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return one row per event: cell (M,) int64, on (M,) bool, time (M,) float64 in [0, 1]."""
        count = self.count.long()
        row = torch.repeat_interleave(count)
        nth = torch.arange(len(row), device=row.device) - (torch.cumsum(count, 0) - count)[row]
        fraction = self.first.double()[row] + nth * self.spacing.double()[row]
        return self.cell[row], self.on[row], fraction.clamp_(0, 1)


class PixelArray:
    """The pixels of B sensors; takes frames in order of time.

    Args:
        first: (B, H, W) log intensity at the start of the recording.
        camera: one per clip.
        generator: for mismatch and for the initial state of each pixel.
    """

    def __init__(self, first: Tensor, camera: CameraBatch, generator: torch.Generator) -> None:
        shape, device = first.shape, first.device
        self.camera = camera
        spread = torch.randn(shape, generator=generator, device=device)
        spread.mul_(camera.mismatch[:, None, None]).add_(1).clamp_(0.3, 3.0)
        self._threshold_on = spread * camera.threshold_on[:, None, None]
        self._minus_threshold_off = spread.mul_(-camera.threshold_off[:, None, None])
        # A pixel fires if the change is farther than `_half` from the middle of its thresholds.
        self._middle = (self._threshold_on + self._minus_threshold_off) / 2
        self._half = (self._threshold_on - self._minus_threshold_off) / 2
        # At the start, a pixel is anywhere between its last event and the next.
        start = torch.rand(shape, generator=generator, device=device).sub_(0.5)
        self._reference = torch.addcmul(first, start, self._threshold_on)
        self._light = first.clone()
        self._ready_s = torch.zeros(first.numel(), dtype=torch.float64, device=device)
        self._now_s = torch.zeros(len(first), dtype=torch.float64, device=device)
        self._decay_for: Tensor | None = None
        self.adapt(first)

    def adapt(self, log_intensity: Tensor) -> None:
        """Set the bandwidth of each pixel from a frame (B, H, W): darker pixels are slower.

        It is proportional to intensity, with an offset of a tenth of the brightest pixel (v2e,
        eq. 2).
        """
        brightest = log_intensity.amax((1, 2), keepdim=True)
        relative = torch.exp(log_intensity - brightest).add_(0.1).clamp_(max=1.0)
        self._rate = relative.mul_(-2 * math.pi * self.camera.cutoff_hz[:, None, None])
        self._decay_for = None

    def step(self, log_intensity: Tensor, duration_s: Tensor) -> Firings:
        """Advance by duration_s (B,) to the next frame (B, H, W) and return the events."""
        if self._decay_for is not duration_s:
            self._decay = torch.exp(self._rate * duration_s[:, None, None])
            self._decay_for = duration_s
        camera, before = self.camera, self._light
        after = torch.lerp(log_intensity, before, self._decay)
        # Leak lowers the reference at a constant rate; ON events restore it.
        leak = camera.leak_hz * camera.threshold_on * duration_s
        self._reference.sub_(leak[:, None, None])
        change = after - self._reference
        fired = torch.sub(change, self._middle).abs_() >= self._half
        cell = torch.nonzero(fired.view(-1)).squeeze(1)
        end = change.view(-1)[cell]
        on = end > 0
        threshold = torch.where(
            on, self._threshold_on.view(-1)[cell], self._minus_threshold_off.view(-1)[cell]
        )
        clip = cell // before[0].numel()
        # From here on in thresholds from the last event, positive for both polarities.
        end = end / threshold
        moved = (after.view(-1)[cell] - before.view(-1)[cell] + leak[clip]) / threshold
        begin = (end - moved).clamp_(max=1.0)
        count = end.floor()
        spacing = 1 / (end - begin).clamp_min(1e-9)
        first = ((1 - begin) * spacing).clamp_(0, 1)
        self._reference.view(-1)[cell] += count * threshold
        self._light = after
        firings = self._keep_dead_time(cell, clip, on, count, first, spacing, duration_s)
        self._now_s = self._now_s + duration_s
        return firings

    def _keep_dead_time(
        self,
        cell: Tensor,
        clip: Tensor,
        on: Tensor,
        count: Tensor,
        first: Tensor,
        spacing: Tensor,
        duration_s: Tensor,
    ) -> Firings:
        """Drop the events within the dead time of the pixel's last event.

        The events of a row are evenly spaced, so every `stride`-th one remains.
        """
        step_s = duration_s[clip].double()
        dead = (self.camera.refractory_us * 1e-6)[clip] / step_s
        wait = (self._ready_s[cell] - self._now_s[clip]) / step_s
        slack = 1e-6  # for rounding errors, in events
        skipped = torch.ceil((wait - first) / spacing - slack).clamp_min_(0).float()
        stride = torch.ceil(dead / spacing - slack).clamp_min_(1).float()
        kept = ((count - 1 - skipped) / stride).floor_().add_(1)
        alive = kept > 0
        cell, on, kept, stride = cell[alive], on[alive], kept[alive], stride[alive]
        first = (first + skipped * spacing)[alive]
        firings = Firings(
            tuple(self._light.shape),  # type: ignore[arg-type]
            cell,
            on,
            kept,
            first,
            stride * spacing[alive],
        )
        ready = firings.last.double() + dead[alive]
        self._ready_s[cell] = self._now_s[clip[alive]] + ready * step_s[alive]
        return firings


def event_list(firings: Firings, start_us: int, end_us: int) -> EventArray:
    """Return the events of a single sensor: EVENT_DTYPE (N,), sorted, in (start_us, end_us]."""
    cell, on, fraction = (tensor.numpy() for tensor in firings.events())
    events = np.empty(len(cell), EVENT_DTYPE)
    events["t"] = start_us + np.maximum(np.ceil(fraction * (end_us - start_us)), 1)
    events["y"], events["x"] = np.divmod(cell, firings.shape[2])
    events["p"] = on
    return events[np.argsort(events["t"], kind="stable")]
