"""What two views of one slice are asked to have in common, and how one sees that they collapsed."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """-cos between predictions and detached targets (N, D), mean over N: SimSiam, eq. 1 and 3."""
    return -F.cosine_similarity(prediction, target.detach(), dim=-1).mean()


def simsiam(p1: Tensor, z1: Tensor, p2: Tensor, z2: Tensor) -> Tensor:
    """The symmetric loss of one pair of views (Chen and He, CVPR 2021, eq. 4): -1 to 1.

    Args:
        p1, p2: (N, D) predictions; z1, z2: (N, D) projections, through which no gradient flows.
    """
    return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2


def vicreg(
    z1: Tensor,
    z2: Tensor,
    weights: tuple[float, float, float] = (25.0, 25.0, 1.0),
) -> dict[str, Tensor]:
    """Invariance, variance and covariance of projections (N, D) (Bardes et al., ICLR 2022).

    Args:
        weights: of the three terms.

    Returns:
        invariance: mean squared distance; variance: mean over both views of mean hinge
        max(0, 1 - std); covariance: sum over both of squared covariances off the diagonal ÷ D;
        total: weighted.
    """
    terms = {
        "invariance": F.mse_loss(z1, z2),
        "variance": (_hinge(z1) + _hinge(z2)) / 2,
        "covariance": _off_diagonal(z1) + _off_diagonal(z2),
    }
    total = sum(w * term for w, term in zip(weights, terms.values(), strict=True))
    return {**terms, "total": torch.as_tensor(total)}


def _hinge(z: Tensor) -> Tensor:
    return F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()


def _off_diagonal(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    covariance = centred.T @ centred / max(len(z) - 1, 1)
    squares: Tensor = covariance.square().sum() - covariance.diagonal().square().sum()
    return squares / z.shape[1]


def contrast(z1: Tensor, z2: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE in both directions: each clip's other view among those of all clips (N, D)."""
    similarity = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature
    own = torch.arange(len(z1), device=z1.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


def embedding_std(z: Tensor) -> Tensor:
    """Standard deviation over N of l2-normalised embeddings (N, …, D), averaged over the rest.

    About 1 / √D where embeddings spread over the sphere, 0 where all are one (SimSiam, section
    4.1). Needs N of 2 or more.
    """
    return F.normalize(z.detach().float(), dim=-1).std(0).mean()


#: A spread below this fraction of 1 / √D counts as collapsed.
COLLAPSED_BELOW = 0.1


def collapsed(std: float, dimensions: int) -> bool:
    """Whether embeddings of that many dimensions have gathered in one place."""
    return std * math.sqrt(dimensions) < COLLAPSED_BELOW
