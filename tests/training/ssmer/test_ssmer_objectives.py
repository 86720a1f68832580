"""Objectives compared with their closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from evface_training.ssmer.objectives import (
    collapsed,
    contrast,
    embedding_std,
    simsiam,
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
    # The cosine ignores lengths: its gradient is orthogonal to the prediction.
    assert p1.grad is not None
    torch.testing.assert_close((p1.grad * p1).sum(-1), torch.zeros(4), atol=1e-6, rtol=0)


def test_contrast_of_orthogonal_clips() -> None:
    z = 3 * torch.eye(5)
    expected = math.log(1 + 4 * math.exp(-1 / 0.1))
    assert float(contrast(z, z)) == pytest.approx(expected, abs=1e-6)
    assert float(contrast(z, z.roll(1, 0))) == pytest.approx(10 + expected, abs=1e-4)


def test_a_standard_deviation_of_one_over_root_d_is_healthy() -> None:
    torch.manual_seed(0)
    spread = float(embedding_std(torch.randn(4096, 256)))
    assert spread == pytest.approx(1 / 16, rel=0.02)
    assert not collapsed(spread, 256)


def test_a_single_point_is_collapsed() -> None:
    torch.manual_seed(0)
    assert collapsed(float(embedding_std(torch.ones(64, 256))), 256)
    gathered = torch.randn(256) + 0.05 * torch.randn(64, 256)
    assert collapsed(float(embedding_std(gathered)), 256)
