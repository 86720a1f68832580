"""Labels of a scene: which faces count."""

from __future__ import annotations

import torch
from torch import Tensor

from evface_training.detector.recorder import PIXELS_PER_CELL, Recorded

#: A face counts with at least so many events per pixel,
_MIN_EVENTS = 0.02
#: so many events per noise event,
_MIN_PER_NOISE = 0.2
#: and this fraction of it visible. Below the last fraction it is no face.
_MIN_VISIBLE, _HIDDEN = 0.6, 0.1


def face_state(
    box: Tensor, present: Tensor, later: list[Tensor], recorded: Recorded, extent: Tensor
) -> Tensor:
    """Return (B,) int64: 1 a face, 0 no face, -1 a face that is ignored.

    Args:
        box: (B, 3) centre x, y and longer side in cells; present: (B,) whether there is a face.
        later: coverage of the layers in front of it, each (B, 1, height, width).
        extent: (B, 2) width and height of the sensor in cells.
    """
    height, width = recorded.moved.shape[1:]
    noise = recorded.counts[:, -1].sum(1) - recorded.moved
    middle, side = box[:, :2], box[:, 2:]
    x = torch.arange(width, device=box.device) + 0.5
    y = torch.arange(height, device=box.device) + 0.5
    # Tight boxes of faces are about as wide as high; only their central part is used.
    across = (x - middle[:, :1]).abs() < side * 0.4
    down = (y - middle[:, 1:]).abs() < side * 0.45
    within = (down[:, :, None] & across[:, None]).float()
    area = within.sum((1, 2)).clamp_min(1)
    events, noise = (
        (count * within).sum((1, 2)) / (area * PIXELS_PER_CELL**2)
        for count in (recorded.moved, noise)
    )
    open_fraction = torch.ones_like(within)
    for cover in later:
        open_fraction = open_fraction * (1 - cover[:, 0])
    low = (middle - side / 2).clamp_min(0)
    high = torch.minimum(middle + side / 2, extent)
    in_view = (high - low).clamp_min(0).prod(1) / (side * side)[:, 0]
    uncovered = (open_fraction * within).sum((1, 2)) / area
    visible = uncovered.minimum(in_view)
    enough = events >= (_MIN_PER_NOISE * noise).clamp_min(_MIN_EVENTS)
    clear = enough & (visible >= _MIN_VISIBLE)
    gone = (visible < _HIDDEN) | ~present
    return torch.where(gone, 0, torch.where(clear, 1, -1))
