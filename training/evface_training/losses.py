"""What the student is asked to minimise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_training.networks.student import SimCCHead

#: Standard deviation of the target distributions, in bins.
TARGET_SPREAD_BINS = 1.5
#: Weight of the distance between expectation and truth (fractions of the crop, about 0.02).
DISTANCE_WEIGHT = 20.0
PRESENCE_WEIGHT = 0.3


def student_loss(
    head: SimCCHead,
    bins: Tensor,
    presence: Tensor,
    points: Tensor,
    weights: Tensor,
    present: Tensor,
) -> dict[str, Tensor]:
    """Divergence from a Gaussian around the truth, distance of the expectation, presence.

    Args:
        bins: (B, 98, 2, bins) logits; presence: (B, 1) logits.
        points: (B, 98, 2) truth; weights: (B, 98); present: (B,) 1 where there is a face.

    Returns:
        total, divergence, distance, presence: scalars.
    """
    centers = head.bin_centers
    width = centers[1] - centers[0]
    visible = ((points > centers[0]) & (points < centers[-1])).all(-1)
    weights = weights * visible * present[:, None]
    weights = weights / weights.sum().clamp_min(1)
    target = torch.exp(-0.5 * ((centers - points[..., None]) / (TARGET_SPREAD_BINS * width)) ** 2)
    target = target / target.sum(-1, keepdim=True).clamp_min(1e-12)
    entropy = torch.special.entr(target).sum(-1)
    divergence = -(target * bins.log_softmax(-1)).sum(-1) - entropy
    expectation, _ = head.decode(bins)
    distance = (expectation - points).norm(dim=-1)
    losses = {
        "divergence": (divergence.mean(-1) * weights).sum(),
        "distance": (distance * weights).sum(),
        "presence": F.binary_cross_entropy_with_logits(presence[:, 0], present),
    }
    losses["total"] = (
        losses["divergence"]
        + DISTANCE_WEIGHT * losses["distance"]
        + PRESENCE_WEIGHT * losses["presence"]
    )
    return losses
