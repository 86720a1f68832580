"""Training a teacher: the landmark error of every layer of every stage."""

from __future__ import annotations

import torch
from torch import Tensor

from evface_edge.landmarks import EYE_CORNERS
from evface_training.augmentation import augmented
from evface_training.tasks.base import Batch, Task, as_input, for_log
from evface_training.teacher.network import Teacher

#: Weight of the likelihood that trains σ; it has no gradient to the other weights.
SIGMA_WEIGHT = 0.01
#: Smallest inter-ocular distance, in fractions of the crop, for faces seen from the side.
_MIN_INTER_OCULAR = 0.05
#: Weight of the coarse estimate, if there is one: that of the first stage.
START_WEIGHT = 0.2


def normalised_error(points: Tensor, truth: Tensor) -> Tensor:
    """Distance of each point ÷ inter-ocular distance.

    Points (..., N, 98, 2), truth (N, 98, 2) → (..., N, 98).
    """
    right, left = EYE_CORNERS
    inter_ocular = (truth[:, left] - truth[:, right]).norm(dim=-1).clamp_min(_MIN_INTER_OCULAR)
    error: Tensor = (points - truth).norm(dim=-1) / inter_ocular[:, None]
    return error


def laplace_likelihood(points: Tensor, log_sigma: Tensor, truth: Tensor) -> Tensor:
    """Negative log-likelihood (N, 98), summed over both axes, without its constant.

    The Laplace distribution of standard deviation σ is robust to outliers, as the L2 distance is.
    """
    distance = (points - truth).abs().sum(-1)
    return 2 * log_sigma + 2**0.5 * distance * torch.exp(-log_sigma)


class TeacherTask(Task):
    """A teacher of any fusion; the landmark network of RGB alone is the one of fusion "rgb".

    The loss is that of the paper: L2 distance of each point ÷ inter-ocular distance, mean over
    points and layers, weighted by stage. A coarse estimate has the same loss. σ has its own.
    """

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher
        config = teacher.config
        images = ("events",) * config.uses_events + ("rgb",) * config.uses_rgb
        self.needs = (*images, "points", "weights", "presence")

    @property
    def network(self) -> Teacher:
        return self.teacher

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        batch, config = augmented(batch) if self.teacher.training else batch, self.teacher.config
        truth, weights = batch["points"], batch["weights"] * batch["presence"][:, None]
        present = None
        if config.uses_events and config.uses_rgb:
            random = torch.rand(len(truth), device=truth.device)
            present = (random >= config.rgb_dropout).float()
        output = self.teacher(
            as_input(batch["events"]) if config.uses_events else None,
            as_input(batch["rgb"]) if config.uses_rgb else None,
            present,
        )
        weights = weights / weights.sum().clamp_min(1e-6)
        error = (normalised_error(output.layers, truth) * weights).sum((-1, -2))
        stages = error.mean(1)
        spread = laplace_likelihood(output.points.detach(), output.log_sigma, truth)
        losses = {f"stage_{index + 1}": value for index, value in enumerate(stages)}
        losses["nme_percent"] = 100 * error[-1, -1]
        losses["sigma"] = (spread * weights).sum()
        losses["total"] = (stages * stages.new_tensor(config.stage_weights)).sum()
        losses["total"] = losses["total"] + SIGMA_WEIGHT * losses["sigma"]
        if config.coarse_cells:
            losses["start"] = (normalised_error(output.start, truth) * weights).sum()
            losses["total"] = losses["total"] + START_WEIGHT * losses["start"]
        return for_log(losses)
