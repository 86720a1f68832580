"""Flat images that move over a scene: backgrounds, objects, faces."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_training.data.faces import CROP_SIDE_PX

#: Levels of resolution of a texture: 1, 1/2, 1/4, 1/8.
_LEVELS = 4


@dataclass(frozen=True, eq=False)
class Layer:
    """One image for each of B scenes, and its trajectory; time 0 is the end of the scene.

    Attributes:
        texture: (B, 2, P, P): grey, gamma-coded, and coverage, both in [0, 1].
        place: (B, 2) centre at the end, in cells of the grid; side: (B,) cells.
        angle: (B,) radians.
        velocity: (B, 2) cells per second; growth: (B,) per second; roll: (B,) radians per second.
        inner: (B, 2) pixels of the image per second: motion of its centre relative to its edge.
        anchor: (B, 3) of a face: the centre of its box and the longer side, in coordinates of the
            image, -1 to 1.
        delay_s: (B,) duration of the motion before the end; infinite: there was no rest.
        edged: transparent outside its edges; a background is mirrored there.
    """

    texture: Tensor
    place: Tensor
    side: Tensor
    angle: Tensor
    velocity: Tensor
    growth: Tensor
    roll: Tensor
    inner: Tensor | None = None
    anchor: Tensor | None = None
    delay_s: Tensor | None = None
    edged: bool = True

    def starting(self, delay_s: Tensor) -> Layer:
        """Return the layer at rest until `delay_s` before the end, blurred to its size."""
        return replace(self, delay_s=delay_s, texture=_softened(self.texture, self.side))

    def placed(
        self,
        place: Tensor,
        side: Tensor,
        angle: Tensor,
        velocity: Tensor,
        growth: Tensor,
        roll: Tensor,
        inner: Tensor,
    ) -> Layer:
        """Return a face whose box has this centre and longer side at the end."""
        assert self.anchor is not None  # only faces are placed by their boxes
        own = 2 * side / self.anchor[:, 2]
        moved = _rotated(self.anchor[:, :2] * own[:, None] / 2, angle)
        return Layer(
            self.texture, place - moved, own, angle, velocity, growth, roll, inner, self.anchor
        )

    def box(self, grid: Tensor) -> Tensor:
        """Return centre and longer side of the face box at the end, in cells (B, 3)."""
        assert self.anchor is not None  # only faces have boxes
        middle = self.place + _rotated(self.anchor[:, :2] * self.side[:, None] / 2, self.angle)
        return torch.cat([middle, (self.side * self.anchor[:, 2] / 2)[:, None]], 1)

    def show(self, t_s: float, shape: tuple[int, int], pixels_per_cell: int) -> Tensor:
        """Render grey and coverage (B, 2, height, width) at a time, 0 or before."""
        height, width = shape
        at = torch.full_like(self.side, t_s)
        if self.delay_s is not None:
            at = torch.maximum(at, -self.delay_s)
        place = (self.place + self.velocity * at[:, None]) * pixels_per_cell
        side = self.side * torch.exp(self.growth * at) * pixels_per_cell
        angle = self.angle + self.roll * at
        # Scene in pixels from the middle of the layer → image in [-1, 1].
        scale = 2 / side
        cos, sin = ((f(angle) * scale)[:, None, None] for f in (torch.cos, torch.sin))
        x = torch.arange(width, device=side.device) + 0.5 - place[:, :1]
        y = torch.arange(height, device=side.device) + 0.5 - place[:, 1:]
        x, y = x[:, None], y[:, :, None]
        grid = torch.stack([cos * x + sin * y, cos * y - sin * x], -1)
        if self.inner is not None:
            shift = -self.inner * (at * 2 / CROP_SIDE_PX)[:, None]
            bump = (grid * 3.0).square_().sum(-1, keepdim=True).square_().add_(1).reciprocal_()
            grid.addcmul_(bump, shift[:, None, None])
        edge = "zeros" if self.edged else "reflection"
        return F.grid_sample(self.texture, grid, "bilinear", edge, align_corners=False)

    def only(self, rows: Tensor) -> Layer:
        """Select scenes by their indices."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in parts.items():
            if isinstance(value, Tensor):
                parts[name] = value[rows]
        return Layer(**parts)


def _rotated(offset: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    x, y = offset.unbind(1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], 1)


def _softened(texture: Tensor, side: Tensor) -> Tensor:
    """Blur each image to the resolution of its side, against flicker of moving details."""
    size = texture.shape[-1]
    # For two pixels per cell; one level finer, as sensors with more pixels are.
    level = torch.log2(size / (side * 2).clamp_min(1)).round().clamp(0, _LEVELS - 1)
    result = texture.clone()
    for k in range(1, _LEVELS):
        rows = torch.nonzero(level == k)[:, 0]
        if len(rows):
            small = F.avg_pool2d(texture[rows], 2**k)
            result[rows] = F.interpolate(small, (size, size), mode="bilinear", align_corners=False)
    return result


def _coordinates(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    axis = (torch.arange(size, device=device) + 0.5) * (2 / size) - 1
    return axis[None, :].expand(size, size), axis[:, None].expand(size, size)


def _step(distance: Tensor, softness: Tensor) -> Tensor:
    """Return 1 where `distance` is below 0, and 0 above `softness`."""
    fraction = (1 - distance / softness).clamp(0, 1)
    return fraction * fraction * (3 - 2 * fraction)


def plain_layer(grey: Tensor, drawn: Tensor) -> Tensor:
    """Cut images (B, P, P) to ellipses or rectangles, as textures (B, 2, P, P)."""
    x, y = _coordinates(grey.shape[-1], grey.device)
    width, height = (0.4 + 0.55 * drawn[:, k, None, None] for k in (0, 1))
    round_ = ((x / width) ** 2 + (y / height) ** 2).sqrt() - 1
    square = torch.maximum((x / width).abs(), (y / height).abs()) - 1
    distance = torch.where(drawn[:, 2, None, None] < 0.6, round_, square)
    return torch.stack([grey, _step(distance, torch.full_like(width, 0.06))], 1)


def face_layer(pixels: Tensor, points: Tensor, flip: Tensor, drawn: Tensor) -> Layer:
    """Cut faces from images (B, 1, P, P): the head alone, or with its surroundings.

    Args:
        points: (B, 98, 2) pixels; flip: (B,) which are mirrored.
        drawn: (B, 4) random numbers in [0, 1] for the cut.

    Returns:
        a layer without a place.
    """
    size = pixels.shape[-1]
    pixels = torch.where(flip[:, None, None, None], pixels.flip(3), pixels)
    low, high = points.amin(1), points.amax(1)
    middle = ((low + high) / 2 + 0.5) * (2 / size) - 1
    middle = torch.stack([torch.where(flip, -middle[:, 0], middle[:, 0]), middle[:, 1]], 1)
    width, height = ((high - low) * (2 / size)).unbind(1)
    x, y = _coordinates(size, pixels.device)
    column = (slice(None), None, None)
    # Landmarks reach from brow to chin: a head is taller.
    grown = 1 + 0.5 * drawn[:, 0].square()
    across = (0.56 * width * grown)[column]
    down = (0.72 * height * grown)[column]
    centre_y = (middle[:, 1] - 0.16 * height)[column]
    x, y = x - middle[:, 0][column], y - centre_y
    head = ((x / across) ** 2 + (y / down) ** 2).sqrt() - 1
    # Half of the heads have neck and shoulders.
    below = (
        torch.maximum(
            x.abs() / (across * (0.6 + 0.9 * drawn[:, 2])[column]), (0.6 - y / down) / 0.4
        )
        - 1
    )
    with_body = torch.minimum(head, below)
    distance = torch.where((drawn[:, 1] < 0.5)[column], head, with_body)
    cover = _step(distance, torch.full_like(across, 0.05) + 0.15 * drawn[:, 3][column])
    anchor = torch.cat([middle, torch.maximum(width, height)[:, None]], 1)
    nothing = torch.zeros(len(pixels), device=pixels.device)
    pair = torch.zeros(len(pixels), 2, device=pixels.device)
    texture = torch.stack([pixels[:, 0], cover], 1)
    return Layer(texture, pair, nothing + math.inf, nothing, pair, nothing, nothing, None, anchor)
