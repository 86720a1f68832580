"""Training of the student on labelled clips: its task and its loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from evface_training.augmentation import augmented
from evface_training.networks.heads import LandmarkHead
from evface_training.networks.student import Student
from evface_training.tasks.base import Batch, Task, as_input, for_log

#: Weight of the distance between prediction and label (fractions of the crop, about 0.02).
DISTANCE_WEIGHT = 20.0
PRESENCE_WEIGHT = 0.3
#: Weight of the opening between the lids. A closed eye moves six of 98 points by a few pixels; the
#: mean distance hardly changes, but a blink is lost.
LIDS_WEIGHT = 10.0
#: Opposite points of the upper and lower lids.
_UPPER_LIDS, _LOWER_LIDS = [61, 62, 63, 69, 70, 71], [67, 66, 65, 75, 74, 73]
#: A clip's weight is 1 ÷ (its predicted spread + the first number), relative to the mean of the
#: batch, limited to the range of the other two.
_SPREAD_FLOOR, _MIN_WEIGHT, _MAX_WEIGHT = 0.004, 0.25, 3.0


class StudentTask(Task):
    """Landmarks, uncertainty and presence from labelled clips."""

    needs = ("events", "points", "weights", "presence")

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    @property
    def network(self) -> Student:
        return self.student

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        batch, head = augmented(batch) if self.student.training else batch, self.student.head
        raw, presence = head.logits(self.student.backbone(as_input(batch["events"])))
        truth = batch["points"], batch["weights"], batch["presence"]
        return for_log(student_loss(head, raw.float(), presence.float(), *truth))


def student_loss(
    head: LandmarkHead,
    raw: Tensor,
    presence: Tensor,
    points: Tensor,
    weights: Tensor,
    present: Tensor,
) -> dict[str, Tensor]:
    """Divergence of each point's distribution, distance of its position, lid opening, presence.

    Clips with a small predicted spread weigh more (loss attenuation, Kendall and Gal, NeurIPS
    2017), so that clips of noise do not outweigh those with a visible face.

    Args:
        raw: (B, 98, …) from `head.logits`.
        presence: (B, 1) logits.
        points: (B, 98, 2) labels.
        weights: (B, 98) weights of the labels.
        present: (B,) 1 where there is a face.

    Returns:
        total, divergence, distance, lids, presence: scalars.
    """
    low, high = head.reach
    visible = ((points > low) & (points < high)).all(-1)
    weights = weights * visible * present[:, None]
    landmarks, log_spread = head.decode(raw)
    weights = weights * _clip_weights(log_spread, present)[:, None]
    weights = weights / weights.sum().clamp_min(1)
    distance = (landmarks - points).norm(dim=-1)
    losses = {
        "divergence": (head.divergence(raw, points) * weights).sum(),
        "distance": (distance * weights).sum(),
        "lids": _lids(landmarks, points, weights),
        "presence": F.binary_cross_entropy_with_logits(presence[:, 0], present),
    }
    losses["total"] = (
        losses["divergence"]
        + DISTANCE_WEIGHT * losses["distance"]
        + LIDS_WEIGHT * losses["lids"]
        + PRESENCE_WEIGHT * losses["presence"]
    )
    return losses


def _lids(landmarks: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """Mean error of the vectors from lower to upper lid, whatever the position of the eyes."""
    opening, expected = (p[:, _UPPER_LIDS] - p[:, _LOWER_LIDS] for p in (landmarks, points))
    pairs = weights[:, _UPPER_LIDS].minimum(weights[:, _LOWER_LIDS])
    error: Tensor = ((opening - expected).norm(dim=-1) * pairs).sum()
    return error / pairs.sum().clamp_min(1e-6)


def _clip_weights(log_spread: Tensor, present: Tensor) -> Tensor:
    """Weight of each clip (B,), 1 on average over those with a face."""
    inverse = 1 / (log_spread.detach().float().exp().mean(1) + _SPREAD_FLOOR)
    mean = (inverse * present).sum() / present.sum().clamp_min(1)
    return (inverse / mean.clamp_min(1e-6)).clamp(_MIN_WEIGHT, _MAX_WEIGHT)
