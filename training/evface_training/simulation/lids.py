"""Eyelids of a still that close: the skin above an eye is drawn down over it.

Each lid is a cubic through the corners of an eye, fitted to its landmarks. The skin between brow
and lid stretches, lashes at its edge, and covers the eye, which itself stays where it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: Of the right and of the left eye: corners, upper lid, lower lid, pupil, lower edge of the brow.
_CORNERS = torch.tensor([[60, 64], [68, 72]])
_UPPER = torch.tensor([[61, 62, 63], [69, 70, 71]])
_LOWER = torch.tensor([[67, 66, 65], [75, 74, 73]])
_PUPIL = torch.tensor([[96], [97]])
_BROW = torch.tensor([[38, 39, 40, 41], [47, 48, 49, 50]])
#: A closed lid leaves this fraction of the eye's height to the lower one.
_LEFT_OPEN = 0.06
#: Of an eye's width: lashes below the lid's edge, its rim above, the least and the most skin.
_LASHES, _RIM, _LEAST_SKIN, _MOST_SKIN = 0.05, 0.08, 0.18, 0.6
#: Of an eye's width: how far a lid has come down when its lashes are seen in full.
_LASHES_OUT = 0.1
#: Of the way from lid to brow that is the lid's own skin.
_SKIN = 0.75


@dataclass(frozen=True)
class Eyelids:
    """Both eyes of B images, in pixels of them; right eye first.

    Attributes:
        middle, across: (B, 2, 2) between the corners, and half the way from the one to the other.
        upper, lower: (B, 2, 2) the lids: (1 - s²)(a + b s) below the corners' line, s = ±1 at
            the corners.
        skin: (B, 2) height of the skin that stretches.
    """

    middle: Tensor
    across: Tensor
    upper: Tensor
    lower: Tensor
    skin: Tensor

    def __getitem__(self, part: slice | Tensor) -> Eyelids:
        return Eyelids(
            self.middle[part],
            self.across[part],
            self.upper[part],
            self.lower[part],
            self.skin[part],
        )

    def closed(self, points: Tensor, closure: Tensor) -> Tensor:
        """Landmarks (B, 98, 2) once the lids are closed by fractions (B, 2)."""
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
        """Images (B, C, H, W) with lids closed by fractions (B, 2); eyes at 0 are left alone."""
        closing = (closure > 0).any(1)
        if not closing.any():
            return images
        return LidPainter(self, images, closing).draw(closure)

    def _eye(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Places (B, E, N, 2) → s along the corners' line, and pixels below it, (B, E, N)."""
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
        """Where the edge of the upper lid is, pixels below the corners' line."""
        rest = self._curve(self.upper, s)
        return rest + closure * self._travel(s)

    def _travel(self, s: Tensor) -> Tensor:
        """How far the edge of the upper lid goes down until it is shut, pixels."""
        gap = self._curve(self.lower, s) - self._curve(self.upper, s)
        return (1 - _LEFT_OPEN) * gap.clamp_min(0)


class LidPainter:
    """Images whose lids are drawn at one closure after the other.

    All work is done on a flat list of the K pixels that a lid may cover.

    Args:
        lids: of the images.
        images: (B, C, H, W); they stay as they are.
        chosen: (B,) bool, one at least: those that are drawn on.
    """

    def __init__(self, lids: Eyelids, images: Tensor, chosen: Tensor) -> None:
        clips = torch.nonzero(chosen)[:, 0]
        some = lids[clips]
        channels, height, width = images.shape[1:]
        # Whole pixels of a square about each eye, (N, 2, h × w, 2).
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
        # (C, K) where planes of the images begin, in a flat list of all their pixels.
        channel = torch.arange(channels, device=images.device)[:, None]
        self._plane = (self._clip * channels + channel) * (height * width)
        self._pixel = self._plane + self._y * width + self._x
        self._present = self._clean[self._pixel]
        self._drawn: Tensor | None = None

    def draw(self, closure: Tensor) -> Tensor:
        """The images (B, C, H, W) with lids closed by fractions (B, 2).

        The same tensor each time, drawn anew: use it before the next call.
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
        """What is drawn at each of K pixels (C, K) once the lid's edge has gone down by `shift`."""
        # The lid's rim is carried along, and the skin above it stretches evenly. Lashes below the
        # lid's edge look like the edge: what was seen there was white of the eye.
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
    """The lids of faces with landmarks (B, 98, 2), pixels."""
    device = points.device
    corners = points[:, _CORNERS.to(device)]
    middle, across = corners.mean(2), (corners[:, :, 1] - corners[:, :, 0]) / 2
    empty = torch.zeros(*across.shape, device=device)
    bare = Eyelids(middle, across, empty, empty, empty[..., 0])

    def fitted(index: Tensor) -> Tensor:
        s, below = bare._eye(points[:, index.to(device)])
        bow = (1 - s * s).clamp_min(0.05)
        design = torch.stack([bow, bow * s], -1)
        # A little ridge: three points that lie together leave the slope open.
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
        depth: (B, 2) how far the right and the left eye close, fractions; 0 for a face that does
            not blink.
        begins_s: (B,) when the lids begin to close, against the end of the window.
        closes_s, holds_s, opens_s: (B,) how long each phase takes.
    """

    depth: Tensor
    begins_s: Tensor
    closes_s: Tensor
    holds_s: Tensor
    opens_s: Tensor

    def __getitem__(self, part: slice) -> Blinks:
        return Blinks(
            self.depth[part],
            self.begins_s[part],
            self.closes_s[part],
            self.holds_s[part],
            self.opens_s[part],
        )

    def only(self, faces: Tensor) -> Blinks:
        """Where `faces` (B,) is False, eyes stay as they are."""
        return replace(self, depth=self.depth * faces[:, None])

    def at(self, t_s: Tensor) -> Tensor:
        """Closures (B, 2) at times (B,), seconds against the end of the window."""
        since = t_s - self.begins_s
        down = _smooth(since / self.closes_s)
        up = _smooth((since - self.closes_s - self.holds_s) / self.opens_s)
        return self.depth * (down - up)[:, None]


def _smooth(fraction: Tensor) -> Tensor:
    fraction = fraction.clamp(0, 1)
    return fraction * fraction * (3 - 2 * fraction)


def sample_blinks(batch: int, fraction: float, generator: torch.Generator) -> Blinks:
    """Draw blinks that the end of a window falls into, or nearly.

    Lids close in 60 to 130 ms, open in 100 to 300 ms (spontaneous blinks, VanderWerf et al., J.
    Neurophysiol. 2003) and stay shut for 5 ms to 2 s, so that sleepers are among them. One in ten
    winks.
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
        """What draws their lids; None where nobody blinks."""
        blinking = self.blinks.depth.any(1)
        return LidPainter(self.lids, images, blinking) if blinking.any() else None

    def closure(self, times: Tensor) -> Tensor:
        """(B, 2) at times (B,), in windows."""
        return self.blinks.at((times - 1) * self.duration_s)
