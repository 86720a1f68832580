"""The events of many clips in flat tensors, and what may befall them without changing the face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_training.simulation.clips import ClipEvents

#: What a batch calls them; see `PackedEvents.to_batch`.
NAMES = ("event_lists", "duration_us")
#: More events of a clip than these are thinned out evenly: 128 KiB a clip.
MAX_EVENTS = 16_384
_FULL_SCALE = 32_767  # of int16


@dataclass(frozen=True)
class PackedEvents:
    """N events of B clips, one slice of time each, in order of time within a clip.

    Attributes:
        clip: (N,) int64, 0 … B-1, which clip it belongs to.
        time: (N,) float, fraction of the slice, 0 to 1.
        x, y: (N,) float, fractions of the crop; what lies outside 0 to 1 is seen by no one.
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
        """Those events (indices or a mask), in that order, of the same clips."""
        if index.dtype == torch.bool:  # once, not again for each column
            index = index.nonzero()[:, 0]
        names = ("clip", "time", "x", "y", "on")
        return replace(self, **{name: getattr(self, name).index_select(0, index) for name in names})

    def inside(self) -> PackedEvents:
        """Those in the crop."""
        return self.select((self.x >= 0) & (self.x < 1) & (self.y >= 0) & (self.y < 1))

    @classmethod
    def of_clips(cls, events: ClipEvents, duration_s: Tensor) -> PackedEvents:
        """The lists of simulated clips; duration_s (B,)."""
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
        """Tensors whose rows are clips, so that a pool of clips can keep and mix them.

        Args:
            most: events of a clip; of more than that, as many are kept, evenly spread.

        Returns:
            event_lists: (B, M, 4) int16: time, x, y (32767 stands for 1) and on; rows after a
                clip's last event have on = -1. M is `most`, whatever comes.
            duration_us: (B,) float32.
        """
        seen = self.inside()
        count = torch.bincount(seen.clip, minlength=self.clips)
        rank = torch.arange(len(seen), device=count.device) - (count.cumsum(0) - count)[seen.clip]
        # Evenly spread: those at which the running number of kept ones goes up.
        fraction = (most / count.clamp_min(1)).clamp(max=1).double()[seen.clip]
        place = ((rank + 1) * fraction + 1e-9).long() - 1
        kept = place >= (rank * fraction + 1e-9).long()
        lists = torch.full((self.clips, most, 4), -1, dtype=torch.int16, device=count.device)
        columns = (seen.time, seen.x, seen.y)
        scaled = [(c[kept] * _FULL_SCALE).round().to(torch.int16) for c in columns]
        row = torch.stack([*scaled, seen.on[kept].to(torch.int16)], 1)
        lists[seen.clip[kept], place[kept]] = row
        return {"event_lists": lists, "duration_us": self.duration_us.float()}

    @classmethod
    def of_batch(cls, batch: Mapping[str, Tensor]) -> PackedEvents:
        """Back from `to_batch`."""
        most = batch["event_lists"].shape[1]
        rows = batch["event_lists"].flatten(0, 1)
        filled = (rows[:, 3] >= 0).nonzero()[:, 0]
        clip = filled // most
        time, x, y, on = rows.index_select(0, filled).unbind(1)
        time, x, y = (column.float() / _FULL_SCALE for column in (time, x, y))
        return cls(clip, time, x, y, on.long(), batch["duration_us"])

    @classmethod
    def of_slices(cls, slices: Sequence[tuple[EventArray, Box]]) -> PackedEvents:
        """Slices of recordings, each with the box that becomes its crop.

        A slice lasts from its first to its last event.

        Raises:
            ConfigError: no slice at all.
        """
        if not slices:
            raise ConfigError("slices", 0, "at least one")
        columns: list[tuple[Tensor, ...]] = []
        durations = []
        for index, (events, box) in enumerate(slices):
            t = events["t"].astype(np.float64)
            start = t[0] if len(t) else 0.0
            duration = max(t[-1] - start, 1.0) if len(t) else 1.0
            # Pixel centres are integers; a box counts from outer edge to outer edge.
            numbers = (
                (t - start) / duration,
                (events["x"] - box.x) / box.width,
                (events["y"] - box.y) / box.height,
            )
            columns.append(
                (
                    torch.full((len(t),), index),
                    *(torch.from_numpy(np.asarray(n, np.float32)) for n in numbers),
                    torch.from_numpy(events["p"].astype(np.int64)),
                )
            )
            durations.append(duration)
        clip, time, x, y, on = (torch.cat(column) for column in zip(*columns, strict=True))
        return cls(clip, time, x, y, on, torch.tensor(durations, dtype=torch.float32))


@dataclass(frozen=True)
class Augmentation:
    """How the events of a view are changed; each clip draws its own amounts.

    Instead of the colours, greys and blurs of images: what a camera does to events.

    Attributes:
        drop: largest fraction of events that get lost.
        flip_polarity: chance that brighter and darker change places.
        jitter: largest standard deviation of timestamps, as a fraction of the slice.
        noise: largest number of events that no light made, as a fraction of the clip's own.
        crop_area: fraction of the area that a random crop keeps, (low, high).
        crop_aspect: largest ratio of its sides.
        mirror: chance of left and right changing places.
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


#: The same events, in the same place.
UNCHANGED = Augmentation(0, 0, 0, 0, (1.0, 1.0), 1.0, 0)


def disturb(events: PackedEvents, how: Augmentation) -> PackedEvents:
    """Drop, flip polarities, jitter and add noise, by torch's global generator; back in order."""
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
    # By clip, then time: a fraction of 0 to 1 never reaches into the next clip's range. Whole
    # numbers, finer than any clock, are sorted five times as fast as floating ones.
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
