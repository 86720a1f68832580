"""After training: make σ mean what it says, and complete the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from evface_edge.errors import ConfigError
from evface_training.averaging import mean_network
from evface_training.checkpoint import save_checkpoint
from evface_training.clip_maker import ENOUGH_FILLED, draw_clips
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clips import Clips
from evface_training.student_card import SIGMA_LIMIT, student_card

#: Median of the distance from the mean of a round two-dimensional Gaussian, in σ: √(2 ln 2).
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
    """Fit one factor on σ with validation faces and write a checkpoint that is ready to export.

    Args:
        checkpoints: of several, the mean of their weights is taken.
        training_notes: goes into the card: "data", "licence", …

    Returns:
        the factor: the median of error ÷ σ is that of a Gaussian afterwards.

    Raises:
        ModelError: a checkpoint cannot be read, or is of another size than the first.
        ConfigError: no validation faces, or no checkpoint.
    """
    if not len(validation):
        raise ConfigError("faces", 0, "some of validation identities")
    network = mean_network(checkpoints)
    network.head.sigma_gain.fill_(1.0)
    gain = sigma_gain(network, draw_clips(validation, recipe, count, seed=123))
    network.head.sigma_gain.fill_(gain)
    card = replace(
        student_card(recipe), sigma_limit=round(SIGMA_LIMIT * gain, 4), training=training_notes
    )
    save_checkpoint(output, network, card)
    return gain


@torch.no_grad()
def sigma_gain(network: Student, clips: Clips) -> float:
    """Median over points of error ÷ σ, relative to that of a Gaussian.

    Clips with hardly an event are left out: nobody should look at those.
    """
    outputs = [network.eval()(part) for part in torch.split(clips.inputs, 64)]
    landmarks = torch.cat([output[0] for output in outputs])
    sigma = torch.cat([output[1] for output in outputs]).exp()
    filled = (clips.inputs > 0).float().mean((1, 2, 3)) >= ENOUGH_FILLED
    ratio = (landmarks - clips.points).norm(dim=-1) / sigma
    return float(np.median(ratio[filled].numpy())) / _MEDIAN_DISTANCE
