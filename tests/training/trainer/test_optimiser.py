"""Learning rate schedule, decay groups, averaged weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from evface_edge.errors import ConfigError
from evface_training.trainer.optimiser import OptimiserConfig, build_optimiser, update_ema


def test_cosine_against_the_library() -> None:
    config = OptimiserConfig(learning_rate=0.4, warm_up_steps=0, floor=0.1)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50, eta_min=0.04)
    for step in range(50):
        assert config.rate(step, 50) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()


def test_steps_and_warm_up() -> None:
    config = OptimiserConfig(learning_rate=1.0, warm_up_steps=4, schedule="steps")
    assert [config.rate(step, 100) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    rates = [config.rate(step, 100) for step in (59, 60, 69, 70, 99)]
    assert rates == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


def test_biases_and_norms_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2, bias=False))
    network[2].requires_grad_(False)
    groups = build_optimiser(network, OptimiserConfig(weight_decay=0.3)).param_groups
    shapes = [[tuple(p.shape) for p in group["params"]] for group in groups]
    assert shapes == [[(2, 1, 3, 3)], [(2,), (2,), (2,)]]
    assert [group["weight_decay"] for group in groups] == [0.3, 0]


def test_the_average_moves_towards_the_weights() -> None:
    kept, live = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    live.running_mean.fill_(1.0)  # type: ignore[union-attr]
    live.weight.data.fill_(3.0)
    live.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    update_ema(kept.requires_grad_(False), live, 0.75)
    assert float(kept.running_mean) == 0.25  # type: ignore[arg-type]
    assert float(kept.weight) == 1.5
    assert int(kept.num_batches_tracked) == 7  # type: ignore[arg-type]
    update_ema(kept, live, 0.0)
    assert float(kept.weight) == 3.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"ema": 1.0},
        {"milestones": (0.7, 0.6)},
        {"weight_decay": -1.0},
    ],
)
def test_settings_out_of_range_are_errors(wrong: dict[str, float]) -> None:
    field = f"optimiser.{next(iter(wrong))}"
    with pytest.raises(ConfigError, check=lambda e: e.field == field):
        OptimiserConfig(**wrong)  # type: ignore[arg-type]
