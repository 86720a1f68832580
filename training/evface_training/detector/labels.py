"""Which faces of a scene are to be found."""

from __future__ import annotations

import torch
from torch import Tensor

from evface_training.detector.recorder import PIXELS_PER_CELL, Recorded

#: A face of fewer events per pixel than this is not there for anyone to see ...
_LEAST_EVENTS = 0.02
#: ... or of fewer than this for each event of noise ...
_LEAST_OF_NOISE = 0.2
#: ... nor one of which less than this is in view.
_LEAST_IN_VIEW = 0.6


def face_state(
    box: Tensor, present: Tensor, later: list[Tensor], recorded: Recorded, extent: Tensor
) -> Tensor:
    """(B,) int64: 1 a face to be found, 0 no face, -1 one that may be found or not.

    Args:
        box: (B, 3) middle x, y and longer side in cells; present: (B,) whether there is a face.
        later: what covers it, each (B, 1, height, width).
        extent: (B, 2) width and height of the sensor in cells.
    """
    height, width = recorded.moved.shape[1:]
    noise = recorded.counts[:, -1].sum(1) - recorded.moved
    middle, side = box[:, :2], box[:, 2:]
    x = torch.arange(width, device=box.device) + 0.5
    y = torch.arange(height, device=box.device) + 0.5
    # Tight boxes of faces are about as wide as high; the middle of them is what counts.
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
    seen = (open_fraction * within).sum((1, 2)) / area
    enough = events >= (_LEAST_OF_NOISE * noise).clamp_min(_LEAST_EVENTS)
    clear = enough & (seen >= _LEAST_IN_VIEW) & (in_view >= _LEAST_IN_VIEW)
    # One that is hidden altogether is no face at all.
    gone = (seen < 0.1) | (in_view < 0.1) | ~present
    return torch.where(gone, 0, torch.where(clear, 1, -1))
