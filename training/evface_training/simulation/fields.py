"""Displacement fields of a face with given landmarks, on a coarse grid."""

from __future__ import annotations

import torch
from torch import Tensor

from evface_training.simulation.relief import FittedHead, source_places

GRID = 25
#: Samples along a ray, for the turn of a whole batch of heads.
_MARCH = 8


def grid_places(grid: int, side: int, device: torch.device) -> Tensor:
    """Return (grid, grid, 2) crop fractions, from the first pixel's centre to the last one's."""
    axis = torch.linspace(0.5 / side, 1 - 0.5 / side, grid, device=device)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)


def basis_fields(points: Tensor, places: Tensor) -> Tensor:
    """Return the fields for the amounts of `motion.Trajectories.at`.

    Args:
        points: (B, 98, 2) fractions of the crop.
        places: (G, G, 2) grid points, fractions of the crop.

    Returns:
        (B, 14, 2, G, G): x and y of each field; the fields of the head have a root mean square of
        1 over the head. Those of its turns are zero: see `turning_fields`.
    """
    batch = len(points)
    grid = places.expand(batch, -1, -1, -1)
    center = (points.amin(1) + points.amax(1)) / 2
    side = (points.amax(1) - points.amin(1)).amax(-1).clamp_min(0.05)
    across = points[:, 72] - points[:, 60]
    across = across / across.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    down = torch.stack([-across[:, 1], across[:, 0]], -1)

    def in_face(xy: Tensor) -> tuple[Tensor, Tensor]:
        ones = [1] * (xy.ndim - 2)
        offset = (xy - center.view(batch, *ones, 2)) / side.view(batch, *ones, 1)
        frame = (batch, *ones, 2)
        return (offset * across.view(frame)).sum(-1), (offset * down.view(frame)).sum(-1)

    x, y = in_face(grid)

    def bump(index: list[int], width: float, height: float) -> tuple[Tensor, Tensor]:
        """Return a Gaussian around the mean of some landmarks, and the distance below the mean."""
        at_x, at_y = in_face(points[:, index].mean(1, keepdim=True))
        dx, dy = x - at_x[..., None], y - at_y[..., None]
        return torch.exp(-((dx / width) ** 2) - (dy / height) ** 2), dy

    head = torch.sigmoid((1 - (x / 0.62) ** 2 - ((y + 0.12) / 0.8) ** 2) * 12)
    mouth, below = bump(list(range(76, 96)), 0.28, 0.35)
    mouth = mouth * torch.sigmoid(below / 0.04)
    right_lid, _ = bump(list(range(60, 68)), 0.10, 0.06)
    left_lid, _ = bump(list(range(68, 76)), 0.10, 0.06)
    brows = bump(list(range(33, 42)), 0.15, 0.1)[0] + bump(list(range(42, 51)), 0.15, 0.1)[0]

    ex, ey = across[:, :, None, None], down[:, :, None, None]

    def along(direction: Tensor, amount: Tensor) -> Tensor:
        return direction * amount[:, None]

    fields = [
        along(ex, head),
        along(ey, head),
        along(ey, x * head) - along(ex, y * head),
        along(ex, x * head) + along(ey, y * head),
    ]
    fields = [
        field
        / ((field**2).sum(1).mean((1, 2)).sqrt() + 1e-4)[:, None, None, None]
        * head.mean((1, 2)).sqrt()[:, None, None, None]
        for field in fields
    ]
    still = torch.ones_like(x)
    none = torch.zeros_like(fields[0])
    right = none.clone()
    right[:, 0] = 1
    fields += [
        none,
        none,
        along(ex, still - head),
        along(ey, still - head),
        along(ey, mouth),
        along(ey, right_lid),
        along(ey, left_lid),
        along(ey, brows),
        right,
        right.flip(1),
    ]
    return torch.stack(fields, 1)


def turning_fields(head: FittedHead, farthest_turn: Tensor, places: Tensor) -> Tensor:
    """Return the displacements of a head's surface at half of its largest turn and at all of it.

    Args:
        farthest_turn: (B, 2) yaw and pitch, radians.
        places: (G, G, 2).

    Returns:
        (B, 2, 2, G, G): the two turns; x and y.
    """
    rows, columns = places.shape[:2]
    flat = places.reshape(1, -1, 2).expand(len(farthest_turn), -1, -1)
    yaw, pitch = farthest_turn.unbind(1)
    shown = [
        flat - source_places(head, fraction * yaw, fraction * pitch, flat, march=_MARCH)
        for fraction in (0.5, 1.0)
    ]
    return torch.stack(shown, 1).transpose(2, 3).reshape(len(flat), 2, 2, rows, columns)
