"""Eyelids of a still that close: the skin above an eye is drawn down over it.

Each lid is a cubic through the corners of an eye, fitted to its landmarks. The skin between brow
and lid stretches, lashes at its edge, and covers the eye, which itself stays where it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

#: Of the right and of the left eye: corners, upper lid, lower lid, pupil, lower edge of the brow.
_CORNERS = torch.tensor([[60, 64], [68, 72]])
_UPPER = torch.tensor([[61, 62, 63], [69, 70, 71]])
_LOWER = torch.tensor([[67, 66, 65], [75, 74, 73]])
_PUPIL = torch.tensor([[96], [97]])
_BROW = torch.tensor([[38, 39, 40, 41], [47, 48, 49, 50]])
#: A closed lid leaves this share of the eye's height to the lower one.
_LEFT_OPEN = 0.06
#: Of an eye's width: lashes below the lid's edge, its rim above, the least and the most skin.
_LASHES, _RIM, _LEAST_SKIN, _MOST_SKIN = 0.05, 0.08, 0.18, 0.6
#: Of the way from lid to brow that is the lid's own skin.
_SKIN = 0.75


@dataclass(frozen=True)
class Eyelids:
    """Both eyes of B pictures, in pixels of them; right eye first.

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
        """Landmarks (B, 98, 2) once the lids are closed by shares (B, 2)."""
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

    def cover(self, pictures: Tensor, closure: Tensor) -> Tensor:
        """Pictures (B, C, H, W) with lids closed by shares (B, 2); eyes at 0 are left alone."""
        closing = (closure > 0).any(1)
        if not closing.any():
            return pictures
        chosen = torch.nonzero(closing)[:, 0]
        result = pictures.clone()
        for eye in range(2):
            self._cover(result, chosen, closure, eye)
        return result

    def _cover(self, pictures: Tensor, chosen: Tensor, closure: Tensor, eye: int) -> None:
        """Draw one eye's lid over some of the pictures, in place."""
        some = self[chosen]
        height, width = pictures.shape[2:]
        reach = some.across[:, eye].norm(dim=-1)
        half_x = int(1.25 * reach.amax()) + 2
        half_y = int((0.5 * reach + some.skin[:, eye] + 0.5 * some._gap(eye)).amax()) + 2
        dx = torch.arange(-half_x, half_x + 1, device=pictures.device)
        dy = torch.arange(-half_y, half_y + 1, device=pictures.device)
        # Whole pixels of a box about the eye; what lies outside of the picture is drawn nowhere.
        corner = some.middle[:, eye].round().long()
        x = (corner[:, None, None, 0] + dx[None, None, :]).expand(-1, len(dy), -1)
        y = (corner[:, None, None, 1] + dy[None, :, None]).expand(-1, -1, len(dx))
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        at = torch.stack([x, y], -1).float()
        source, cover = some._drawn_down(at, closure[chosen, eye], eye)
        scale = torch.tensor([2 / width, 2 / height], device=pictures.device)
        drawn = F.grid_sample(
            pictures[chosen],
            (source + 0.5) * scale - 1,
            "bilinear",
            "border",
            align_corners=False,
        )
        rows, columns = y.clamp(0, height - 1), x.clamp(0, width - 1)
        picture = chosen[:, None, None].expand_as(rows)
        present = pictures[picture, :, rows, columns].permute(0, 3, 1, 2)
        mixed = torch.lerp(present, drawn, (cover * inside)[:, None])
        mixed = mixed.permute(0, 2, 3, 1)[inside]
        pictures[picture[inside], :, rows[inside], columns[inside]] = mixed

    def _drawn_down(self, at: Tensor, closure: Tensor, eye: int) -> tuple[Tensor, Tensor]:
        """Places (B, h, w, 2) → where their skin comes from, and how far skin covers them."""
        one = Eyelids(*(part[:, eye : eye + 1] for part in vars(self).values()))
        shape = at.shape[:3]
        s, below = one._eye(at.reshape(len(at), 1, -1, 2))
        width = 2 * one.across.norm(dim=-1)[..., None]
        skin = one.skin[..., None]
        rest = one._curve(one.upper, s)
        edge = one._edge(s, closure[:, None, None])
        lashes = _LASHES * width * ((edge - rest) / (0.1 * width)).clamp(0, 1)
        top = rest - skin
        # The lid's rim with its lashes is carried along; the skin above it stretches evenly.
        rim = _RIM * width
        carried = below - (edge - rest)
        stretched = top + (below - top) * (rest - rim - top) / (edge - rim - top)
        origin = torch.where(below > edge - rim, carried, stretched.minimum(below))
        covered = (0.5 + edge + lashes - below).clamp(0, 1) * (edge > rest)
        return (
            one._place(s, origin).reshape(*shape, 2),
            covered.reshape(shape),
        )

    def _gap(self, eye: int) -> Tensor:
        return (self.lower[:, eye, 0] - self.upper[:, eye, 0]).clamp_min(0)

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
        gap = (self._curve(self.lower, s) - rest).clamp_min(0)
        return rest + closure * (1 - _LEFT_OPEN) * gap


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
        depth: (B, 2) how far the right and the left eye close, shares; 0 for a face that does not
            blink.
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


def _smooth(share: Tensor) -> Tensor:
    share = share.clamp(0, 1)
    return share * share * (3 - 2 * share)


def sample_blinks(batch: int, share: float, generator: torch.Generator) -> Blinks:
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
    blinking = uniform(0, 1) < share
    depth = torch.where(uniform(0, 1) < 0.75, 1.0, uniform(0.3, 1.0)) * blinking
    wink = uniform(0, 1)
    right, left = (wink > 0.05).float(), (wink < 0.95).float()
    return Blinks(depth[:, None] * torch.stack([right, left], -1), begins, closes, holds, opens)


@dataclass(frozen=True)
class Blinking:
    """Pictures whose faces blink while a window of `duration_s` (B,) is recorded."""

    lids: Eyelids
    blinks: Blinks
    duration_s: Tensor

    def __getitem__(self, part: slice) -> Blinking:
        return Blinking(self.lids[part], self.blinks[part], self.duration_s[part])

    def show(self, pictures: Tensor, times: Tensor) -> Tensor:
        """Pictures (B, C, H, W) at times (B,), in windows."""
        return self.lids.cover(pictures, self.blinks.at((times - 1) * self.duration_s))
