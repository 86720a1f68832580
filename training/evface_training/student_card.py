"""The card of a trained student; its facts come from the recipe."""

from __future__ import annotations

import math

import torch

from evface_edge.card import ModelCard, TensorSpec
from evface_edge.representation import to_config
from evface_training.recipe import TrainRecipe

#: `ModelCard.sigma_limit` of a student whose σ has not been fitted.
SIGMA_LIMIT = 0.075


def student_card(recipe: TrainRecipe) -> ModelCard:
    """The card of the student of this recipe; `finalize` and `evaluate` add what they measure."""
    config = recipe.student
    side = config.side
    low, high = recipe.clips.crop_scale
    return ModelCard(
        name=recipe.name,
        version=recipe.version,
        precision="fp32",
        target="checkpoint",
        representation=to_config(recipe.event_representation, (side, side)),
        crop_scale=recipe.crop_scale or round(math.sqrt(low * high), 3),
        window=recipe.window,
        inputs=(TensorSpec("events", (-1, config.in_channels, side, side)),),
        outputs=(
            TensorSpec("landmarks", (-1, 98, 2)),
            TensorSpec("log_sigma", (-1, 98)),
            TensorSpec("presence", (-1, 1)),
        ),
        presence_threshold=0.5,
        sigma_limit=SIGMA_LIMIT,
        built_with={"torch": str(torch.__version__)},
    )
