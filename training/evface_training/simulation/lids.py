"""Blinks of a still face: the skin above an eye is drawn down over it.

Each lid is a cubic through the corners of an eye, fitted to its landmarks. The skin between brow
and lid, with lashes at its edge, stretches over the eye.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: Landmarks of the right and the left eye: corners, upper lid, lower lid, pupil, lower brow edge.
_CORNERS = torch.tensor([[60, 64], [68, 72]])
_UPPER = torch.tensor([[61, 62, 63], [69, 70, 71]])
_LOWER = torch.tensor([[67, 66, 65], [75, 74, 73]])
_PUPIL = torch.tensor([[96], [97]])
_BROW = torch.tensor([[38, 39, 40, 41], [47, 48, 49, 50]])
#: Fraction of the eye's height that stays between the closed lids.
_LEFT_OPEN = 0.06
#: In widths of an eye: lashes below the edge of the lid, its rim above, least and most skin.
_LASHES, _RIM, _LEAST_SKIN, _MOST_SKIN = 0.05, 0.08, 0.18, 0.6
#: In widths of an eye: motion of the lid at which its lashes are fully visible.
_LASHES_OUT = 0.1
#: Fraction of the distance from lid to brow that is skin of the lid.
_SKIN = 0.75


@dataclass(frozen=True)
class Eyelids:
    """Both eyes of B images, in pixels; right eye first.

    Attributes:
        middle, across: (B, 2, 2) midpoint of the corners, and half the vector between them.
        upper, lower: (B, 2, 2) the lids as (a, b): (1 - s²)(a + b s) below the line through the
            corners, with s = ±1 at the corners.
        skin: (B, 2) height of the skin that stretches.
    """

    middle: Tensor
    across: Tensor
    upper: Tensor
    lower: Tensor
    skin: Tensor

    def __getitem__(self, part: slice | Tensor) -> Eyelids:
        return Eyelids(**{name: value[part] for name, value in vars(self).items()})

    def closed(self, points: Tensor, closure: Tensor) -> Tensor:
        """Return landmarks (B, 98, 2) with the lids closed by fractions (B, 2)."""
        result = points.clone()
        for index in (_UPPER, _PUPIL):
            at = points[:, index.to(points.device)]
            s, below = self._eye(at)
            lid = self._edge(s, closure[..., None])
            lid = (
                lid + below - self._curve(self.upper, s) if index is _UPPER else lid.maximum(below)
            )
            moved = self._place(s, lid)
            closes = (closure > 0)[..., None, None]
            result[:, index.to(points.device)] = torch.where(closes, moved, at)
        return result

    def cover(self, images: Tensor, closure: Tensor) -> Tensor:
        """Draw closed lids in images (B, C, H, W), by fractions (B, 2); 0 changes nothing."""
        closing = (closure > 0).any(1)
        if not closing.any():
            return images
        return LidPainter(self, images, closing).draw(closure)

    def _eye(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Return s along the line through the corners and pixels below it, (B, E, N) each."""
        offset = at - self.middle[:, :, None]
        across = self.across[:, :, None]
        half = across.norm(dim=-1).clamp_min(1e-3)
        s = (offset * across).sum(-1) / half**2
        below = (offset[..., 1] * across[..., 0] - offset[..., 0] * across[..., 1]) / half
        return s, below

    def _place(self, s: Tensor, below: Tensor) -> Tensor:
        """The inverse of `_eye`."""
        across = self.across[:, :, None]
        down = torch.stack([-across[..., 1], across[..., 0]], -1)
        down = down / down.norm(dim=-1, keepdim=True).clamp_min(1e-3)
        place: Tensor = self.middle[:, :, None] + s[..., None] * across + below[..., None] * down
        return place

    @staticmethod
    def _curve(lid: Tensor, s: Tensor) -> Tensor:
        return (1 - s * s).clamp_min(0) * (lid[..., :1] + lid[..., 1:] * s)

    def _edge(self, s: Tensor, closure: Tensor) -> Tensor:
        """Return the edge of the upper lid in pixels below the line through the corners."""
        rest = self._curve(self.upper, s)
        return rest + closure * self._travel(s)

    def _travel(self, s: Tensor) -> Tensor:
        """Return the motion of the edge of the upper lid until it is closed, pixels."""
        gap = self._curve(self.lower, s) - self._curve(self.upper, s)
        return (1 - _LEFT_OPEN) * gap.clamp_min(0)


class LidPainter:
    """Draws the lids of images at one closure after the other.

    Works on a flat list of the K pixels that a lid may cover.

    Args:
        images: (B, C, H, W); they are not changed.
        chosen: (B,) bool, images that blink; at least one.
    """

    def __init__(self, lids: Eyelids, images: Tensor, chosen: Tensor) -> None:
        clips = torch.nonzero(chosen)[:, 0]
        some = lids[clips]
        channels, height, width = images.shape[1:]
        # Whole pixels of a square around each eye, (N, 2, h × w, 2).
        reach = some.across.norm(dim=-1)
        tall = 0.5 * reach + some.skin + (some.lower - some.upper)[..., 0].clamp_min(0)
        half = int((1.25 * reach).maximum(tall).amax()) + 2
        axis = torch.arange(-half, half + 1, device=images.device)
        square = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
        at = some.middle.round().long()[:, :, None] + square
        s, below = some._eye(at.to(reach))
        under, travel = below - some._curve(some.upper, s), some._travel(s)
        lashes = _LASHES * 2 * reach[..., None]
        reached = (travel > 0) & (under > -some.skin[..., None]) & (under < travel + lashes + 0.5)
        x, y = at.unbind(-1)
        reached &= (x >= 0) & (x < width) & (y >= 0) & (y < height)
        clip, self._eye, _ = torch.nonzero(reached).unbind(1)
        self._x, self._y = x[reached], y[reached]
        self._under, self._travel, self._lashes = (
            part.expand_as(under)[reached] for part in (under, travel, lashes)
        )
        down = torch.stack([-some.across[..., 1], some.across[..., 0]], -1) / reach[..., None]
        self._down = down[clip, self._eye]
        self._skin = some.skin[clip, self._eye]
        self._rim = _RIM * 2 * reach[clip, self._eye]
        self._clip, self._size = clips[clip], (width, height)
        self._clean, self._shown = images.reshape(-1), images.clone().contiguous()
        # (C, K) start of the plane of each pixel in the flattened images.
        channel = torch.arange(channels, device=images.device)[:, None]
        self._plane = (self._clip * channels + channel) * (height * width)
        self._pixel = self._plane + self._y * width + self._x
        self._present = self._clean[self._pixel]
        self._drawn: Tensor | None = None

    def draw(self, closure: Tensor) -> Tensor:
        """Return the images (B, C, H, W) with lids closed by fractions (B, 2).

        The tensor is reused by the next call.
        """
        if self._drawn is None or not torch.equal(closure, self._drawn):
            self._drawn = closure
            shift = closure[self._clip, self._eye] * self._travel
            lashes = (shift * (_LASHES / _LASHES_OUT)).minimum(self._lashes)
            covered = (0.5 + shift + lashes - self._under).clamp_(0, 1) * (shift > 0)
            mixed = torch.lerp(self._present, self._skin_from(shift), covered)
            self._shown.view(-1)[self._pixel] = mixed
        return self._shown

    def _skin_from(self, shift: Tensor) -> Tensor:
        """Return the values (C, K) of the skin when the edge of the lid has moved by `shift`."""
        # The rim of the lid moves rigidly, the skin above it stretches evenly. Lashes repeat the
        # edge of the lid, because the image shows the white of the eye below it.
        stretch = shift * (self._under + self._skin) / (self._skin + shift - self._rim)
        carried = shift.maximum(self._under + 0.5)
        up = torch.where(self._under > shift - self._rim, carried, stretch)
        width, height = self._size
        x = (self._x - up * self._down[:, 0]).clamp_(0, width - 1)
        y = (self._y - up * self._down[:, 1]).clamp_(0, height - 1)
        left, top = x.long().clamp_(max=width - 2), y.long().clamp_(max=height - 2)
        right, low = x - left, y - top
        corner = self._plane + top * width + left
        above = torch.lerp(self._clean[corner], self._clean[corner + 1], right)
        corner += width
        under = torch.lerp(self._clean[corner], self._clean[corner + 1], right)
        return torch.lerp(above, under, low)


def fit_eyelids(points: Tensor) -> Eyelids:
    """Fit the lids of faces to landmarks (B, 98, 2), pixels."""
    device = points.device
    corners = points[:, _CORNERS.to(device)]
    middle, across = corners.mean(2), (corners[:, :, 1] - corners[:, :, 0]) / 2
    empty = torch.zeros(*across.shape, device=device)
    bare = Eyelids(middle, across, empty, empty, empty[..., 0])

    def fitted(index: Tensor) -> Tensor:
        s, below = bare._eye(points[:, index.to(device)])
        bow = (1 - s * s).clamp_min(0.05)
        design = torch.stack([bow, bow * s], -1)
        # Ridge regression: three points in one place do not determine the slope.
        square = design.transpose(2, 3) @ design + 1e-3 * torch.eye(2, device=device)
        solved: Tensor = torch.linalg.solve(square, design.transpose(2, 3) @ below[..., None])
        return solved[..., 0]

    upper, lower = fitted(_UPPER), fitted(_LOWER)
    brow = bare._eye(points[:, _BROW.to(device)])[1].mean(-1)
    width = 2 * across.norm(dim=-1)
    skin = (_SKIN * (upper[..., 0] - brow)).maximum(_LEAST_SKIN * width)
    return Eyelids(middle, across, upper, lower, skin.minimum(_MOST_SKIN * width))


@dataclass(frozen=True)
class Blinks:
    """One blink of each of B faces, or none.

    Attributes:
        depth: (B, 2) largest closure of the right and the left eye, fractions; 0 without a blink.
        begins_s: (B,) start of the closing phase, relative to the end of the window.
        closes_s, holds_s, opens_s: (B,) durations of the phases.
    """

    depth: Tensor
    begins_s: Tensor
    closes_s: Tensor
    holds_s: Tensor
    opens_s: Tensor

    def __getitem__(self, part: slice) -> Blinks:
        return Blinks(**{name: value[part] for name, value in vars(self).items()})

    def only(self, faces: Tensor) -> Blinks:
        """Remove the blinks where `faces` (B,) is False."""
        return replace(self, depth=self.depth * faces[:, None])

    def at(self, t_s: Tensor) -> Tensor:
        """Return closures (B, 2) at times (B,), seconds relative to the end of the window."""
        since = t_s - self.begins_s
        down = _smooth(since / self.closes_s)
        up = _smooth((since - self.closes_s - self.holds_s) / self.opens_s)
        return self.depth * (down - up)[:, None]


def _smooth(fraction: Tensor) -> Tensor:
    fraction = fraction.clamp(0, 1)
    return fraction * fraction * (3 - 2 * fraction)


def sample_blinks(batch: int, fraction: float, generator: torch.Generator) -> Blinks:
    """Draw blinks in progress at, or shortly before, the end of a window.

    Lids close in 60 to 130 ms, open in 100 to 300 ms (spontaneous blinks, VanderWerf et al., J.
    Neurophysiol. 2003) and stay closed for 5 ms to 2 s, which includes drowsiness. One blink in ten
    is of one eye.

    Args:
        fraction: of the faces that blink.
    """
    device = generator.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator, device=device)

    closes, opens = uniform(0.06, 0.13), uniform(0.10, 0.30)
    holds = torch.exp(uniform(math.log(0.005), math.log(2.0)))
    whole = closes + holds + opens
    begins = -uniform(0.0, 1.0) * (whole + 0.02)
    blinking = uniform(0, 1) < fraction
    depth = torch.where(uniform(0, 1) < 0.75, 1.0, uniform(0.3, 1.0)) * blinking
    wink = uniform(0, 1)
    right, left = (wink > 0.05).float(), (wink < 0.95).float()
    return Blinks(depth[:, None] * torch.stack([right, left], -1), begins, closes, holds, opens)


@dataclass(frozen=True)
class Blinking:
    """Images whose faces blink while a window of `duration_s` (B,) is recorded."""

    lids: Eyelids
    blinks: Blinks
    duration_s: Tensor

    def __getitem__(self, part: slice) -> Blinking:
        return Blinking(self.lids[part], self.blinks[part], self.duration_s[part])

    def painter(self, images: Tensor) -> LidPainter | None:
        """Return what draws the lids; None if no face blinks."""
        blinking = self.blinks.depth.any(1)
        return LidPainter(self.lids, images, blinking) if blinking.any() else None

    def closure(self, times: Tensor) -> Tensor:
        """Return closures (B, 2) at times (B,), in windows."""
        return self.blinks.at((times - 1) * self.duration_s)
