"""What the student is asked to minimise."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from evface_training.networks.heads import LandmarkHead

#: Weight of the distance between expectation and truth (fractions of the crop, about 0.02).
DISTANCE_WEIGHT = 20.0
PRESENCE_WEIGHT = 0.3
#: A clip weighs as 1 ÷ (its own spread + this), and never less or more than these times the mean.
_LEAST_SPREAD, _LIGHTEST, _HEAVIEST = 0.004, 0.25, 3.0


def student_loss(
    head: LandmarkHead,
    raw: Tensor,
    presence: Tensor,
    points: Tensor,
    weights: Tensor,
    present: Tensor,
) -> dict[str, Tensor]:
    """Divergence of each point's distribution, distance of its place, presence.

    Clips that the network is sure about weigh more (loss attenuation, Kendall and Gal, NeurIPS
    2017): noise that nobody can read does not drown what could be learnt from clear ones.

    Args:
        raw: (B, 98, …) from `head.logits`; presence: (B, 1) logits.
        points: (B, 98, 2) truth; weights: (B, 98); present: (B,) 1 where there is a face.

    Returns:
        total, divergence, distance, presence: scalars.
    """
    low, high = head.reach
    visible = ((points > low) & (points < high)).all(-1)
    weights = weights * visible * present[:, None]
    landmarks, log_spread = head.decode(raw)
    weights = weights * _clearness(log_spread, present)[:, None]
    weights = weights / weights.sum().clamp_min(1)
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


def _clearness(log_spread: Tensor, present: Tensor) -> Tensor:
    """Weight of each clip (B,), 1 on average over those with a face."""
    clear = 1 / (log_spread.detach().float().exp().mean(1) + _LEAST_SPREAD)
    mean = (clear * present).sum() / present.sum().clamp_min(1)
    return (clear / mean.clamp_min(1e-6)).clamp(_LIGHTEST, _HEAVIEST)
