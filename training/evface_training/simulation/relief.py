"""Turns of a still head in depth: a canonical surface is fitted to its landmarks and rotated.

Rays from the pixels of the turned image are traced to their first hit on the surface (relief
mapping, Policarpo et al., I3D 2005), so near parts move farther and hide the parts behind them. The
projection is scaled orthographic. With any fit, a turn by zero is the still itself, and a landmark
moves with the surface under it.

Image coordinates are fractions of the crop, x right, y down; depth is in the same unit, away from
the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CANONICAL_FILE = Path(__file__).with_name("canonical_head.npz")
#: The height map reaches this far from the origin of head coordinates.
HALF_WIDTH_MM, HALF_HEIGHT_MM = 125.0, 155.0
#: Centre of the rotation: the top of the neck, in head coordinates.
_PIVOT_MM = (0.0, -25.0, -20.0)
#: Rays begin in front of every nose and end on a plane behind the ears.
_NEAR_MM, _FAR_MM = 125.0, -60.0
#: Samples along a ray, and steps of refinement of the hit.
_MARCH, _REFINE = 14, 3
#: A point is visible if the ray to it hits the surface within this distance.
_SEEN_MM = 2.0


@cache
def _canonical() -> tuple[Tensor, Tensor]:
    with np.load(CANONICAL_FILE, allow_pickle=False) as stored:
        return torch.from_numpy(stored["points98"]), torch.from_numpy(stored["height"])


@dataclass(frozen=True)
class FittedHead:
    """The canonical head in B images.

    Attributes:
        rotation: (B, 3, 3), head coordinates (x to the subject's left, y up, z forward) → image.
        scale: (B,) crop ÷ mm.
        offset: (B, 3) of the origin of head coordinates.
    """

    rotation: Tensor
    scale: Tensor
    offset: Tensor

    def __getitem__(self, part: slice) -> FittedHead:
        return FittedHead(**{name: value[part] for name, value in vars(self).items()})

    @property
    def pivot(self) -> Tensor:
        """(B, 3)."""
        at = torch.tensor(_PIVOT_MM, device=self.scale.device)
        return self.scale[:, None] * (self.rotation @ at) + self.offset

    def lever(self) -> Tensor:
        """Return the motion of the middle of the face in a small turn, crop ÷ radian (B,)."""
        return (90.0 - _PIVOT_MM[2]) * self.scale


def fit_head(points: Tensor) -> FittedHead:
    """Fit the scaled orthographic pose of the canonical head to points (B, 98, 2).

    Least squares for the affine camera, then the nearest rotation and scale.
    """
    canonical = _canonical()[0].to(points.device)
    # The contour slides along the skin when a head turns: it has a lower weight.
    weight = torch.ones(len(canonical), device=points.device)
    weight[:33] = 0.3
    design = torch.cat([canonical, torch.ones_like(canonical[:, :1])], 1)
    solve = torch.linalg.pinv(design * weight[:, None]) * weight
    affine = torch.einsum("kn,bni->bik", solve, points)
    left, stretch, right = torch.linalg.svd(affine[..., :3], full_matrices=False)
    two = left @ right
    rotation = torch.cat([two, torch.linalg.cross(two[:, :1], two[:, 1:])], 1)
    scale = stretch.mean(-1).clamp_min(1e-6)
    # With rotation and scale fixed, the best offset joins the (weighted) centroids.
    fraction = (weight / weight.sum())[:, None]
    middle = (points * fraction).sum(1) - scale[:, None] * (two @ (canonical * fraction).sum(0))
    depth = torch.zeros_like(middle[:, :1])
    return FittedHead(rotation, scale, torch.cat([middle, depth], 1))


def turn_matrix(yaw: Tensor, pitch: Tensor) -> Tensor:
    """Return rotations (B, 3, 3) in image coordinates; angles (B,) in radians.

    Yaw above 0 turns the face to the right of the image, pitch above 0 up.
    """
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    cos, sin = yaw.cos(), yaw.sin()
    # Depth points away from the camera: the near side, of negative depth, moves to the right.
    turn = torch.stack([cos, zero, -sin, zero, one, zero, sin, zero, cos], -1)
    cos, sin = pitch.cos(), pitch.sin()
    nod = torch.stack([one, zero, zero, zero, cos, sin, zero, -sin, cos], -1)
    return nod.reshape(-1, 3, 3) @ turn.reshape(-1, 3, 3)


def source_places(
    head: FittedHead, yaw: Tensor, pitch: Tensor, places: Tensor, march: int = _MARCH
) -> Tensor:
    """Return the place of the still that is visible at each place after a turn.

    Args:
        yaw, pitch: (B,) radians.
        places: (B, N, 2).
        march: samples along each ray; parts thinner than 1 ÷ `march` of the depth are missed.

    Returns:
        (B, N, 2); outside the head, the places themselves.
    """
    turn = turn_matrix(yaw, pitch)
    pivot = head.pivot[:, None]
    start = F.pad(places, (0, 1)) - pivot
    start = start @ turn + pivot  # rows times R are columns times its inverse
    step = turn[:, 2]
    amount = _first_hit(head, start, step, march)
    hit = start[..., :2] + amount[..., None] * step[:, None, :2]
    return places + (hit - places) * head_mask(head, places)[..., None]


def surface_points(head: FittedHead, places: Tensor) -> Tensor:
    """Return the points of the surface (B, N, 3) under places (B, N, 2) of the still."""
    start = F.pad(places, (0, 1))
    step = torch.tensor([0.0, 0.0, 1.0], device=places.device).expand(len(places), 3)
    return start + _first_hit(head, start, step, _MARCH)[..., None] * step[:, None]


def turned_points(
    head: FittedHead, yaw: Tensor, pitch: Tensor, points: Tensor
) -> tuple[Tensor, Tensor]:
    """Return points (B, N, 2) of the still after a turn, and which are visible, (B, N) bool.

    A point is hidden if the ray to its new place hits the surface in front of it.
    """
    pivot = head.pivot[:, None]
    turn = turn_matrix(yaw, pitch)
    moved = (surface_points(head, points) - pivot) @ turn.transpose(1, 2) + pivot
    back = source_places(head, yaw, pitch, moved[..., :2])
    tolerance = _SEEN_MM * head.scale[:, None]
    return moved[..., :2], (back - points).norm(dim=-1) < tolerance


def _first_hit(head: FittedHead, start: Tensor, step: Tensor, march: int) -> Tensor:
    """Return the amount (B, N) at which parallel rays, `start` (B, N, 3) + amount × `step` (B, 3),
    first hit the surface."""
    # Rays in head coordinates, mm; z there is opposite to depth.
    scale = head.scale[:, None]
    offset = (start - head.offset[:, None]) / scale[..., None]
    x, y, z = (offset @ head.rotation).unbind(-1)
    along = (step[:, None] @ head.rotation)[:, 0] / scale
    dx, dy, dz = (along[:, k, None] for k in range(3))
    dz = dz.clamp_max(-1e-3 / scale)

    def above(amount: Tensor) -> Tensor:
        """Return the height over the surface, mm."""
        return z + amount * dz - _surface(x + amount * dx, y + amount * dy)

    near, far = (_NEAR_MM - z) / dz, (_FAR_MM - z) / dz
    outside_at, inside_at = near, far
    outside, inside = z + near * dz, torch.zeros_like(near)
    hit = torch.zeros_like(near, dtype=torch.bool)
    previous, before = near, torch.full_like(near, 1.0)
    for index in range(1, march + 1):
        amount = torch.lerp(near, far, index / march)
        height = above(amount)
        new = (height <= 0) & ~hit
        outside_at, inside_at = (
            torch.where(new, previous, outside_at),
            torch.where(new, amount, inside_at),
        )
        outside, inside = torch.where(new, before, outside), torch.where(new, height, inside)
        hit |= new
        previous, before = amount, height
    # Regula falsi between the last sample outside and the first inside.
    for _ in range(_REFINE):
        fraction = (outside / (outside - inside).clamp_min(1e-6)).clamp_(0, 1)
        amount = torch.lerp(outside_at, inside_at, fraction)
        height = above(amount)
        out = height > 0
        outside_at, outside = (
            torch.where(out, amount, outside_at),
            torch.where(out, height, outside),
        )
        inside_at, inside = torch.where(out, inside_at, amount), torch.where(out, inside, height)
    fraction = (outside / (outside - inside).clamp_min(1e-6)).clamp_(0, 1)
    return torch.where(hit, torch.lerp(outside_at, inside_at, fraction), far)


def _surface(x: Tensor, y: Tensor) -> Tensor:
    """Return the height of the surface at head coordinates (B, N), mm."""
    height = _canonical()[1].to(x.device)[None, None]
    places = torch.stack([x / HALF_WIDTH_MM, y / -HALF_HEIGHT_MM], -1)
    return F.grid_sample(height, places[None], "bilinear", "border", align_corners=True)[0, 0]


def head_mask(head: FittedHead, places: Tensor) -> Tensor:
    """Return (B, N): 1 on and close to the head, 0 from half a head's width away."""
    offset = (places - head.offset[:, None, :2]) / head.scale[:, None, None]
    # Axes of the head in the image.
    up = F.normalize(head.rotation[:, :2, 1], dim=-1)
    across = torch.stack([-up[:, 1], up[:, 0]], -1)
    x = (offset * across[:, None]).sum(-1) / 105.0
    y = ((offset * up[:, None]).sum(-1) - 5.0) / 135.0
    radius = (x * x + y * y).sqrt()
    fraction = ((1.4 - radius) / 0.4).clamp(0, 1)
    return fraction * fraction * (3 - 2 * fraction)
