"""What the student is asked to minimise."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from evface_training.networks.heads import LandmarkHead

#: Weight of the distance between expectation and truth (fractions of the crop, about 0.02).
DISTANCE_WEIGHT = 20.0
PRESENCE_WEIGHT = 0.3


def student_loss(
    head: LandmarkHead,
    raw: Tensor,
    presence: Tensor,
    points: Tensor,
    weights: Tensor,
    present: Tensor,
) -> dict[str, Tensor]:
    """Divergence of each point's distribution, distance of its place, presence.

    Args:
        raw: (B, 98, …) from `head.logits`; presence: (B, 1) logits.
        points: (B, 98, 2) truth; weights: (B, 98); present: (B,) 1 where there is a face.

    Returns:
        total, divergence, distance, presence: scalars.
    """
    low, high = head.reach
    visible = ((points > low) & (points < high)).all(-1)
    weights = weights * visible * present[:, None]
    weights = weights / weights.sum().clamp_min(1)
    landmarks, _ = head.decode(raw)
    distance = (landmarks - points).norm(dim=-1)
    losses = {
        "divergence": (head.divergence(raw, points) * weights).sum(),
        "distance": (distance * weights).sum(),
        "presence": F.binary_cross_entropy_with_logits(presence[:, 0], present),
    }
    losses["total"] = (
        losses["divergence"]
        + DISTANCE_WEIGHT * losses["distance"]
        + PRESENCE_WEIGHT * losses["presence"]
    )
    return losses
