"""What the student is asked to minimise."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from evface_training.networks.heads import LandmarkHead

#: Weight of the distance between expectation and truth (fractions of the crop, about 0.02).
DISTANCE_WEIGHT = 20.0
PRESENCE_WEIGHT = 0.3
#: Weight of how far the lids are apart: a closed eye moves six of 98 points by a few pixels, which
#: the mean distance alone hardly notices, and whoever asks for blinks does.
LIDS_WEIGHT = 10.0
#: Points of the upper and of the lower lids that face each other.
_UPPER_LIDS, _LOWER_LIDS = [61, 62, 63, 69, 70, 71], [67, 66, 65, 75, 74, 73]
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
    """Divergence of each point's distribution, distance of its place, lids, presence.

    Clips that the network is sure about weigh more (loss attenuation, Kendall and Gal, NeurIPS
    2017): noise that nobody can read does not drown what could be learnt from clear ones.

    Args:
        raw: (B, 98, …) from `head.logits`; presence: (B, 1) logits.
        points: (B, 98, 2) truth; weights: (B, 98); present: (B,) 1 where there is a face.

    Returns:
        total, divergence, distance, lids, presence: scalars.
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
        "lids": _lids(landmarks, points, weights),
        "presence": F.binary_cross_entropy_with_logits(presence[:, 0], present),
    }
    losses["total"] = (
        losses["divergence"]
        + DISTANCE_WEIGHT * losses["distance"]
        + LIDS_WEIGHT * losses["lids"]
        + PRESENCE_WEIGHT * losses["presence"]
    )
    return losses


def _lids(landmarks: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """Mean error of the ways from lower to upper lids, wherever the eyes are."""
    opening, expected = (p[:, _UPPER_LIDS] - p[:, _LOWER_LIDS] for p in (landmarks, points))
    pairs = weights[:, _UPPER_LIDS].minimum(weights[:, _LOWER_LIDS])
    error: Tensor = ((opening - expected).norm(dim=-1) * pairs).sum()
    return error / pairs.sum().clamp_min(1e-6)


def _clearness(log_spread: Tensor, present: Tensor) -> Tensor:
    """Weight of each clip (B,), 1 on average over those with a face."""
    clear = 1 / (log_spread.detach().float().exp().mean(1) + _LEAST_SPREAD)
    mean = (clear * present).sum() / present.sum().clamp_min(1)
    return (clear / mean.clamp_min(1e-6)).clamp(_LIGHTEST, _HEAVIEST)
