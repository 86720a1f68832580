"""The card of a fresh student; measured figures and licence terms come later."""

from __future__ import annotations

import torch

from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.representation import to_config
from evface_training.recipe import TrainRecipe

#: Before σ is calibrated; see `ModelCard.sigma_limit`.
SIGMA_LIMIT = 0.075


def student_card(recipe: TrainRecipe) -> ModelCard:
    """The card of a checkpoint of the student of this recipe."""
    config = recipe.student
    side = config.side
    return ModelCard(
        name=recipe.name,
        version="0.3.1",
        precision="fp32",
        target="checkpoint",
        representation=to_config(recipe.event_representation, (side, side)),
        crop_scale=1.35,
        window=WindowPolicy(
            events_per_px=0.7, min_events=1_000, max_events=40_000, max_duration_us=200_000
        ),
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
