"""The events of many clips in flat tensors, and their augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_training.simulation.clips import ClipEvents

#: Their names in a batch; see `PackedEvents.to_batch`.
NAMES = ("event_lists", "duration_us")
#: Clips with more events are thinned evenly: 128 KiB a clip.
MAX_EVENTS = 16_384
_FULL_SCALE = 32_767  # of int16


@dataclass(frozen=True)
class PackedEvents:
    """N events of B clips, one time slice each, in order of time within a clip.

    Attributes:
        clip: (N,) int64, 0 … B-1, the clip of each event.
        time: (N,) float, fraction of the slice, 0 to 1.
        x, y: (N,) float, fractions of the crop; events outside 0 to 1 are in no view.
        on: (N,) int64, 1 for ON, 0 for OFF.
        duration_us: (B,) float, length of each slice.
    """

    clip: Tensor
    time: Tensor
    x: Tensor
    y: Tensor
    on: Tensor
    duration_us: Tensor

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def clips(self) -> int:
        return len(self.duration_us)

    def select(self, index: Tensor) -> PackedEvents:
        """The events of these indices or this mask, in this order; all clips stay."""
        if index.dtype == torch.bool:
            index = index.nonzero()[:, 0]
        names = ("clip", "time", "x", "y", "on")
        return replace(self, **{name: getattr(self, name).index_select(0, index) for name in names})

    def inside(self) -> PackedEvents:
        """The events inside the crop."""
        return self.select((self.x >= 0) & (self.x < 1) & (self.y >= 0) & (self.y < 1))

    @classmethod
    def of_clips(cls, events: ClipEvents, duration_s: Tensor) -> PackedEvents:
        """The events of simulated clips; duration_s (B,)."""
        duration_us = 1e6 * duration_s
        return cls(
            events.clip,
            events.t_us / duration_us[events.clip],
            (events.x + 0.5) / events.side_px,
            (events.y + 0.5) / events.side_px,
            events.p,
            duration_us,
        )

    def to_batch(self, most: int = MAX_EVENTS) -> dict[str, Tensor]:
        """Tensors with one row for each clip, which a pool of clips can keep and mix.

        Args:
            most: largest number of events of a clip; more are thinned evenly.

        Returns:
            event_lists: (B, M, 4) int16: time, x, y (32767 stands for 1) and on; rows after a
                clip's last event have on = -1. M is `most`.
            duration_us: (B,) float32.
        """
        inside = self.inside()
        count = torch.bincount(inside.clip, minlength=self.clips)
        rank = (
            torch.arange(len(inside), device=count.device) - (count.cumsum(0) - count)[inside.clip]
        )
        # Evenly spread: keep an event where the running count of kept events goes up.
        fraction = (most / count.clamp_min(1)).clamp(max=1).double()[inside.clip]
        place = ((rank + 1) * fraction + 1e-9).long() - 1
        kept = place >= (rank * fraction + 1e-9).long()
        lists = torch.full((self.clips, most, 4), -1, dtype=torch.int16, device=count.device)
        columns = (inside.time, inside.x, inside.y)
        scaled = [(c[kept] * _FULL_SCALE).round().to(torch.int16) for c in columns]
        row = torch.stack([*scaled, inside.on[kept].to(torch.int16)], 1)
        lists[inside.clip[kept], place[kept]] = row
        return {"event_lists": lists, "duration_us": self.duration_us.float()}

    @classmethod
    def of_batch(cls, batch: Mapping[str, Tensor]) -> PackedEvents:
        """The inverse of `to_batch`."""
        most = batch["event_lists"].shape[1]
        rows = batch["event_lists"].flatten(0, 1)
        filled = (rows[:, 3] >= 0).nonzero()[:, 0]
        clip = filled // most
        time, x, y, on = rows.index_select(0, filled).unbind(1)
        time, x, y = (column.float() / _FULL_SCALE for column in (time, x, y))
        return cls(clip, time, x, y, on.long(), batch["duration_us"])


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the events of a view; each clip has its own amounts.

    They replace the colour and blur changes of images by what a camera does to events.

    Attributes:
        drop: largest fraction of dropped events.
        flip_polarity: probability that ON and OFF are exchanged.
        jitter: largest standard deviation of timestamps, as a fraction of the slice.
        noise: largest number of noise events, as a fraction of the clip's events.
        crop_area: fraction of the area that a random crop keeps, (low, high).
        crop_aspect: largest ratio of its sides.
        mirror: probability that left and right are exchanged.
    """

    drop: float = 0.5
    flip_polarity: float = 0.2
    jitter: float = 0.02
    noise: float = 0.1
    crop_area: tuple[float, float] = (0.2, 1.0)
    crop_aspect: float = 4 / 3
    mirror: float = 0.5

    def __post_init__(self) -> None:
        for name in ("drop", "flip_polarity", "mirror"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"Augmentation.{name}", getattr(self, name), "0 to 1")
        for name in ("jitter", "noise"):
            if getattr(self, name) < 0:
                raise ConfigError(f"Augmentation.{name}", getattr(self, name), "0 or more")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise ConfigError("Augmentation.crop_area", self.crop_area, "0 < low <= high <= 1")
        if self.crop_aspect < 1:
            raise ConfigError("Augmentation.crop_aspect", self.crop_aspect, "1 or more")


#: No change.
UNCHANGED = Augmentation(0, 0, 0, 0, (1.0, 1.0), 1.0, 0)


def disturb(events: PackedEvents, how: Augmentation) -> PackedEvents:
    """Drop events, flip polarities, jitter times and add noise, from torch's global generator."""
    device, clips = events.time.device, events.clips

    def each_clip(highest: float) -> Tensor:
        return torch.rand(clips, device=device) * highest

    count = torch.bincount(events.clip, minlength=clips)
    kept = torch.rand(len(events), device=device) >= each_clip(how.drop)[events.clip]
    events = events.select(kept)
    flipped = (torch.rand(clips, device=device) < how.flip_polarity).long()
    on = events.on ^ flipped[events.clip]
    shift = torch.randn(len(events), device=device) * each_clip(how.jitter)[events.clip]
    events = replace(events, on=on, time=(events.time + shift).clamp(0, 1))
    added = (count * each_clip(how.noise)).long()
    clip = torch.repeat_interleave(torch.arange(clips, device=device), added)
    time, x, y = torch.rand(3, len(clip), device=device)
    noise = (clip, time, x, y, torch.randint(2, (len(clip),), device=device))
    names = ("clip", "time", "x", "y", "on")
    columns = {n: torch.cat([getattr(events, n), v]) for n, v in zip(names, noise, strict=True)}
    events = replace(events, **columns)
    # Sort by clip, then time, as one integer key: five times as fast as sorting floats.
    order = torch.argsort((events.clip << 32) + (events.time.double() * 2**31).long())
    return events.select(order)


def random_crops(clips: int, how: Augmentation, device: torch.device) -> Tensor:
    """Affine maps (B, 2, 3) for `affine_grid`: a part of the crop, perhaps mirrored."""
    low, high = how.crop_area
    area = low + (high - low) * torch.rand(clips, device=device)
    spread = float(np.log(how.crop_aspect))
    stretch = torch.exp((torch.rand(clips, device=device) - 0.5) * spread)
    size = torch.stack([area.sqrt() * stretch, area.sqrt() / stretch], 1).clamp(max=1)
    center = (1 - size) * (2 * torch.rand(clips, 2, device=device) - 1)
    sign = 1 - 2 * (torch.rand(clips, device=device) < how.mirror).float()
    scale = size * torch.stack([sign, torch.ones_like(sign)], 1)
    return torch.cat([torch.diag_embed(scale), center[..., None]], -1)
