"""Objectives on the embeddings of two views, and a measure of their collapse."""

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


def contrast(z1: Tensor, z2: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE in both directions: find each clip's other view among those of all clips (N, D)."""
    similarity = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature
    own = torch.arange(len(z1), device=z1.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


def embedding_std(z: Tensor) -> Tensor:
    """Standard deviation over N of l2-normalised embeddings (N, …, D), averaged over the rest.

    About 1 / √D for embeddings spread over the sphere, 0 for a single point (SimSiam, section 4.1).
    N must be 2 or more.
    """
    return F.normalize(z.detach().float(), dim=-1).std(0).mean()


#: Embeddings whose spread is below this fraction of 1 / √D count as collapsed.
COLLAPSED_BELOW = 0.1


def collapsed(std: float, dimensions: int) -> bool:
    """Whether embeddings with this standard deviation have collapsed into about one point."""
    return std * math.sqrt(dimensions) < COLLAPSED_BELOW
