"""Objectives against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from evface_training.ssmer.objectives import (
    collapsed,
    contrast,
    embedding_std,
    simsiam,
    vicreg,
)


def test_simsiam_is_the_mean_cosine() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    b = torch.tensor([[3.0, 0.0], [5.0, 0.0]])
    assert float(simsiam(a, a, a, a)) == pytest.approx(-1)
    # p1·z2: 1 and 0; p2·z1: 1 and 0.
    assert float(simsiam(a, a, b, b)) == pytest.approx(-0.5)
    assert float(simsiam(-a, a, b, b)) == pytest.approx(0.0)


def test_simsiam_stops_the_gradient_at_its_targets() -> None:
    p1, z1, p2, z2 = (torch.randn(4, 8, requires_grad=True) for _ in range(4))
    simsiam(p1, z1, p2, z2).backward()  # type: ignore[no-untyped-call]
    assert z1.grad is None
    assert z2.grad is None
    # Cosine does not see lengths: its gradient is across the prediction.
    assert p1.grad is not None
    torch.testing.assert_close((p1.grad * p1).sum(-1), torch.zeros(4), atol=1e-6, rtol=0)


def with_covariance(covariance: Tensor, count: int = 50) -> Tensor:
    """Samples whose covariance is exactly that."""
    noise = torch.randn(count, len(covariance), dtype=torch.float64)
    noise = noise - noise.mean(0)
    white = noise @ torch.linalg.inv(torch.linalg.cholesky(noise.T @ noise / (count - 1))).T
    return white @ torch.linalg.cholesky(covariance).T


def test_vicreg_of_a_known_covariance() -> None:
    torch.manual_seed(0)
    covariance = torch.tensor(
        [[0.25, 0.1, 0.0], [0.1, 4.0, -0.3], [0.0, -0.3, 0.64]], dtype=torch.float64
    )
    z = with_covariance(covariance)
    terms = vicreg(z, z + 0.5, (25.0, 25.0, 1.0))
    assert float(terms["invariance"]) == pytest.approx(0.25)
    hinge = (0.5 + 0.0 + 0.2) / 3  # standard deviations 0.5, 2 and 0.8
    assert float(terms["variance"]) == pytest.approx(hinge, abs=1e-3)
    off_diagonal = 2 * (2 * 0.1**2 + 2 * 0.3**2) / 3
    assert float(terms["covariance"]) == pytest.approx(off_diagonal)
    assert float(terms["total"]) == pytest.approx(25 * 0.25 + 25 * hinge + off_diagonal, abs=0.02)


def test_vicreg_of_white_embeddings_is_nothing() -> None:
    z = with_covariance(1.1 * torch.eye(4, dtype=torch.float64))
    assert float(vicreg(z, z)["total"]) == pytest.approx(0, abs=1e-9)


def test_contrast_of_orthogonal_clips() -> None:
    z = 3 * torch.eye(5)
    expected = math.log(1 + 4 * math.exp(-1 / 0.1))
    assert float(contrast(z, z)) == pytest.approx(expected, abs=1e-6)
    assert float(contrast(z, z.roll(1, 0))) == pytest.approx(10 + expected, abs=1e-4)


def test_a_spread_of_one_over_root_d_is_healthy() -> None:
    torch.manual_seed(0)
    spread = float(embedding_std(torch.randn(4096, 256)))
    assert spread == pytest.approx(1 / 16, rel=0.02)
    assert not collapsed(spread, 256)


def test_a_single_point_is_collapsed() -> None:
    torch.manual_seed(0)
    assert collapsed(float(embedding_std(torch.ones(64, 256))), 256)
    gathered = torch.randn(256) + 0.05 * torch.randn(64, 256)
    assert collapsed(float(embedding_std(gathered)), 256)
