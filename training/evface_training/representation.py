"""The batched torch twin of `evface_edge.representation`; tests hold the two equal."""

from __future__ import annotations

import torch
from torch import Tensor

from evface_edge.representation import SATURATION


def normalise_counts_(counts: Tensor) -> Tensor:
    """Counts (B, C, H, W), 0 or above → [0, 1] in place, whatever the number of events.

    Each sample is divided by SATURATION × the mean of its cells that are not zero, and clipped.
    """
    filled = counts.sign().sum((1, 2, 3)).clamp_min_(1)
    mean = counts.sum((1, 2, 3)) / filled
    scale = 1 / (SATURATION * mean.clamp_min_(1e-6))
    return counts.mul_(scale[:, None, None, None]).clamp_(max=1.0)


def voxel_grid(
    t_us: Tensor, x: Tensor, y: Tensor, p: Tensor, bins: int, width: int, height: int
) -> Tensor:
    """Events of one window (N,) each, in order of time → counts (2 × bins, height, width).

    OFF bins first, then ON; bilinear in time, the first event at bin 0, the last at bin B-1
    (Zhu et al., CVPR 2019, eq. 1–2).
    """
    counts = torch.zeros(2, bins, height, width)
    if len(t_us):
        span = (t_us[-1] - t_us[0]).clamp_min(1)
        position = (t_us - t_us[0]) * ((bins - 1) / span.double())
        first = position.long().clamp_(max=bins - 2)
        share = (position - first).float()
        for offset, weight in ((0, 1 - share), (1, share)):
            counts.index_put_(
                (p.long(), first + offset, y.long(), x.long()), weight, accumulate=True
            )
    return counts.reshape(2 * bins, height, width)
