"""Several trainings of one network as one: the mean of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from evface_edge.errors import ConfigError, ModelError
from evface_training.checkpoint import load_network
from evface_training.networks.student import Student


@torch.no_grad()
def mean_network(paths: Sequence[Path]) -> Student:
    """The student whose weights are the mean of these checkpoints', in eval mode.

    Of trainings that went on from one another, it is better than either: they lie around one
    minimum (Izmailov et al., UAI 2018; Wortsman et al., ICML 2022). Of trainings that began apart
    it is worthless.

    Raises:
        ModelError: a checkpoint is missing, damaged, or of another size than the first.
        ConfigError: no checkpoint.
    """
    if not paths:
        raise ConfigError("checkpoints", [], "one or more")
    networks = [load_network(path) for path in paths]
    mean = networks[0]
    for path, network in zip(paths, networks, strict=True):
        if network.config != mean.config:
            raise ModelError(
                f"{path}: a network of {network.config}, expected one of {mean.config}, as "
                f"{paths[0]} holds; average trainings of one network"
            )
    states = [network.state_dict() for network in networks]
    for name, kept in mean.state_dict().items():
        if kept.is_floating_point():
            kept.copy_(torch.stack([state[name].double() for state in states]).mean(0))
    return mean
