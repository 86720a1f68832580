"""The step between training and export: average checkpoints, fit σ, complete the card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from evface_edge.errors import ConfigError, ModelError
from evface_training.checkpoint import load_network, load_raw, save_checkpoint
from evface_training.clip_maker import ENOUGH_FILLED, draw_clips
from evface_training.config import build
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clips import Clips
from evface_training.student_card import SIGMA_LIMIT, student_card

#: Median distance from the mean of a round two-dimensional Gaussian, in σ: √(2 ln 2).
_MEDIAN_DISTANCE = 1.17741


def finalize(
    checkpoints: Sequence[Path],
    recipe: TrainRecipe,
    validation: FaceSet,
    output: Path,
    *,
    training_notes: dict[str, str],
    count: int = 1024,
) -> float:
    """Fit one factor on σ with validation faces; write a checkpoint that is ready to export.

    Args:
        checkpoints: one, or several whose weights are averaged.
        recipe: of the card and the clips.
        training_notes: notes for the card: "data", "licence", …
        count: number of clips.

    Returns:
        the factor. With it, the median of error ÷ σ is that of a Gaussian.

    Raises:
        ModelError: a checkpoint cannot be read, or has another size than the first.
        ConfigError: no validation faces, or no checkpoint.
    """
    if not len(validation):
        raise ConfigError("faces", 0, "1 or more of validation identities")
    network = mean_network(checkpoints)
    network.head.sigma_gain.fill_(1.0)
    gain = sigma_gain(network, draw_clips(validation, recipe, count, seed=123))
    network.head.sigma_gain.fill_(gain)
    card = replace(
        student_card(recipe), sigma_limit=round(SIGMA_LIMIT * gain, 4), training=training_notes
    )
    save_checkpoint(output, network, card)
    return gain


def stored_recipe(path: Path) -> TrainRecipe:
    """The recipe that a checkpoint was trained by.

    Raises:
        ModelError: missing, damaged, or without a recipe, as after `finalize`.
    """
    recipe = json.loads(load_raw(path)["recipe"])
    if not recipe:
        raise ModelError("holds no recipe", path=path, field="recipe", fix="add --recipe")
    return build(TrainRecipe, recipe, f"{path}: recipe")


@torch.no_grad()
def mean_network(paths: Sequence[Path]) -> Student:
    """The student whose weights are the mean of those of several checkpoints, in eval mode.

    The mean of trainings that continue one another is better than each of them: they lie around
    one minimum (Izmailov et al., UAI 2018; Wortsman et al., ICML 2022). The mean of trainings from
    different fresh weights is useless.

    Raises:
        ModelError: a checkpoint is missing, damaged, or has another size than the first.
        ConfigError: no checkpoint.
    """
    if not paths:
        raise ConfigError("checkpoints", [], "one or more")
    networks = [load_network(path) for path in paths]
    mean = networks[0]
    for path, network in zip(paths, networks, strict=True):
        if network.config != mean.config:
            raise ModelError(
                f"a network of {network.config}, expected {mean.config} as in {paths[0]}",
                path=path,
                field="config",
                value=network.config,
                expected=str(mean.config),
            )
    states = [network.state_dict() for network in networks]
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.stack([state[name].double() for state in states]).mean(0))
    return mean


@torch.no_grad()
def sigma_gain(network: Student, clips: Clips) -> float:
    """Median over points of error ÷ σ, relative to that of a Gaussian.

    Clips with almost no events do not count: nothing can be seen in them.
    """
    outputs = [network.eval()(part) for part in torch.split(clips.inputs, 64)]
    landmarks = torch.cat([output[0] for output in outputs])
    sigma = torch.cat([output[1] for output in outputs]).exp()
    filled = (clips.inputs > 0).float().mean((1, 2, 3)) >= ENOUGH_FILLED
    ratio = (landmarks - clips.points).norm(dim=-1) / sigma
    return float(np.median(ratio[filled].numpy())) / _MEDIAN_DISTANCE
