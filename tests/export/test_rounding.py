"""Rounding of weights against the best of all choices, and against nearest values."""

from __future__ import annotations

from itertools import product as all_choices
from typing import Any

import numpy as np
import torch

from evface_export.graph import expected_warnings
from evface_export.quantize import quantize
from evface_export.rounding import nearest_outputs


def _inputs(count: int, seed: int) -> torch.Tensor:
    """(rows, count), correlated, as neighbouring pixels are."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, count, generator=generator)
    return torch.randn(500, count, generator=generator) @ mixed


def _errors(weight: torch.Tensor, rounded: torch.Tensor, rows: torch.Tensor) -> np.ndarray:
    """(ways,): the mean squared error of the output of each way to round."""
    errors: np.ndarray = (rows @ (rounded - weight).T).square().mean(0).numpy()
    return errors


def test_between_the_best_choice_and_nearest_values() -> None:
    """Of all 4⁶ ways to round six weights, ours is near the best; nearest values are not."""
    generator = torch.Generator().manual_seed(1)
    ways = torch.tensor(list(all_choices((-1.0, 0.0, 1.0, 2.0), repeat=6)))
    ours, nearest, best = [], [], []
    for seed in range(10):
        rows = _inputs(6, seed)
        weight = torch.randn(1, 6, generator=generator)
        scale = weight.abs().amax(1) / 8
        rounded = nearest_outputs(weight, rows.T @ rows, scale, 8)
        choices = ((weight / scale).floor() + ways).clamp(-8, 8) * scale
        ours.append(_errors(weight, rounded, rows)[0])
        nearest.append(_errors(weight, (weight / scale).round() * scale, rows)[0])
        best.append(_errors(weight, choices, rows).min())
    assert np.mean(best) < np.mean(ours) < 0.6 * np.mean(nearest)


def test_whole_multiples_of_the_scale_and_the_largest_weight_stays() -> None:
    rows = _inputs(40, 3)
    weight = torch.randn(7, 40, generator=torch.Generator().manual_seed(2))
    scale = weight.abs().amax(1) / 64
    steps = nearest_outputs(weight, rows.T @ rows, scale, 64) / scale[:, None]
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
    assert torch.equal(steps.abs().amax(1).round(), torch.full((7,), 64.0))
    assert torch.equal(steps.abs().argmax(1), weight.abs().argmax(1))


def test_inputs_without_correlation_are_rounded_to_the_nearest_value() -> None:
    weight = torch.randn(3, 10, generator=torch.Generator().manual_seed(4))
    scale = weight.abs().amax(1) / 64
    rounded = nearest_outputs(weight, torch.eye(10), scale, 64)
    torch.testing.assert_close(rounded, (weight / scale[:, None]).round() * scale[:, None])


def test_a_channel_of_zeros() -> None:
    weight = torch.zeros(2, 4)
    scale = torch.full((2,), 1e-6)
    assert torch.equal(nearest_outputs(weight, torch.eye(4), scale, 64), weight)


def test_the_network_is_left_alone(checkpoint: Any) -> None:
    before = {name: value.clone() for name, value in checkpoint.network.state_dict().items()}
    batch = torch.rand(16, 10, 32, 32) * (torch.rand(16, 10, 32, 32) < 0.1)
    with expected_warnings():
        quantized = quantize(checkpoint.network, torch.zeros(2, 10, 32, 32), [batch])
    with torch.no_grad():
        found, wanted = quantized(batch)[0], checkpoint.network(batch)[0]
    assert 0 < float((found - wanted).abs().mean()) < 0.02
    for name, value in checkpoint.network.state_dict().items():
        assert torch.equal(value, before[name])
