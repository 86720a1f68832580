"""Ranges (low, high) of priors: checks of their fields, and log-uniform draws."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evface_edge.errors import ConfigError


def check_ranges(prior: object, *names: str, zero: bool = False) -> None:
    """Raises: ConfigError: a field that is not a finite range above 0 (or 0, if allowed)."""
    for name in names:
        low, high = getattr(prior, name)
        if not (0 <= low <= high < math.inf and (zero or low > 0)):
            expected = f"0 {'<=' if zero else '<'} low <= high"
            raise ConfigError(f"{type(prior).__name__}.{name}", (low, high), expected)


def check_positive(prior: object, *names: str) -> None:
    """Raises: ConfigError: a field that is not a finite number above 0."""
    for name in names:
        if not 0 < getattr(prior, name) < math.inf:
            raise ConfigError(f"{type(prior).__name__}.{name}", getattr(prior, name), "above 0")


def check_fractions(prior: object) -> None:
    """Raises: ConfigError: a number in a field `…_fraction` that is outside 0 to 1."""
    for name, value in vars(prior).items():
        if name.endswith("_fraction") and isinstance(value, int | float) and not 0 <= value <= 1:
            raise ConfigError(f"{type(prior).__name__}.{name}", value, "0 to 1")


def log_uniform(bounds: tuple[float, float], u: Tensor) -> Tensor:
    """Map u in [0, 1] to values between the bounds, uniform in their logarithm."""
    low, high = (math.log(bound) for bound in bounds)
    return torch.exp(low + (high - low) * u)
