"""Optimiser, learning rate schedule, and the moving average of the weights (EMA)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from evface_edge.errors import ConfigError


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimiser and learning rate schedule.

    Attributes:
        name: "adamw", "adam", or "sgd" with momentum.
        learning_rate: the highest.
        weight_decay: of weights; biases and norms do not decay.
        momentum: of SGD only.
        warm_up_steps: steps over which the rate rises linearly from near 0.
        schedule: "cosine", half a cosine down to `floor`; or "steps", × 0.1 at each milestone.
        milestones: for "steps", as fractions of all steps.
        floor: lowest rate ÷ highest.
        clip_norm: largest norm of the gradient; longer ones are scaled down.
        ema: decay of the averaged weights, which are saved; 0 saves the last weights.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    momentum: float = 0.9
    warm_up_steps: int = 200
    schedule: Literal["cosine", "steps"] = "cosine"
    milestones: tuple[float, ...] = (0.6, 0.7)
    floor: float = 0.01
    clip_norm: float = 5.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        for field in ("learning_rate", "clip_norm"):
            if not getattr(self, field) > 0:
                raise ConfigError(f"optimiser.{field}", getattr(self, field), "a number above 0")
        for field in ("weight_decay", "warm_up_steps"):
            if not getattr(self, field) >= 0:
                raise ConfigError(f"optimiser.{field}", getattr(self, field), "0 or more")
        for field in ("momentum", "ema", "floor"):
            if not 0 <= getattr(self, field) < 1:
                raise ConfigError(f"optimiser.{field}", getattr(self, field), "0 to below 1")
        if list(self.milestones) != sorted(self.milestones) or not all(
            0 < m < 1 for m in self.milestones
        ):
            raise ConfigError("optimiser.milestones", self.milestones, "rising fractions of 1")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`."""
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        if self.schedule == "steps":
            return self.learning_rate * 0.1 ** sum(step >= m * steps for m in self.milestones)
        fraction = min((step - self.warm_up_steps) / max(1, steps - self.warm_up_steps), 1.0)
        half_cosine = 0.5 * (1 + math.cos(math.pi * fraction))
        return self.learning_rate * (self.floor + (1 - self.floor) * half_cosine)


def build_optimiser(module: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """An optimiser of all parameters of `module` that take a gradient."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate = config.learning_rate
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum)
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, fused=True)


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move averaged weights and buffers towards the current ones: a ← decay a + (1 - decay) x."""
    for weight, current_weight in zip(average.parameters(), network.parameters(), strict=True):
        weight.lerp_(current_weight, 1 - decay)
    for averaged, current in zip(average.buffers(), network.buffers(), strict=True):
        if averaged.is_floating_point():
            averaged.lerp_(current, 1 - decay)
        else:
            averaged.copy_(current)
