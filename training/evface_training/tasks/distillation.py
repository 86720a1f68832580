"""A student learns from a teacher: its landmarks, its features, and labels where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_training.augmentation import augmented
from evface_training.networks.student import Student
from evface_training.tasks.base import Batch, Task, as_input, for_log
from evface_training.tasks.student_loss import DISTANCE_WEIGHT, student_loss
from evface_training.teacher.network import Teacher, TeacherOutput

TARGETS = ("distribution", "smooth_l1")


@dataclass(frozen=True)
class DistillConfig:
    """What the teacher says, and how much it counts.

    Its weights at labelled clips fall linearly to 0 over the training (DWPose, Yang et al., 2023).

    Attributes:
        landmarks: weight of the teacher's landmarks where there are labels, at step 0.
        features: weight of the teacher's features, at step 0.
        targets: "distribution": the student's distributions are drawn to a target around the
            teacher's landmark, as to a label; "smooth_l1": only its coordinates are.
        unlabelled: weight of the teacher's landmarks where nobody labelled: constant, because
            there is nothing else to learn from.
        rgb: show a teacher that fuses the RGB of the clips; without, it judges by events alone,
            as it must where clips have none.
    """

    landmarks: float = 1.0
    features: float = 1.0
    targets: Literal["distribution", "smooth_l1"] = "distribution"
    unlabelled: float = 1.0
    rgb: bool = True

    def __post_init__(self) -> None:
        for name in ("landmarks", "features", "unlabelled"):
            if getattr(self, name) < 0:
                raise ConfigError(f"DistillConfig.{name}", getattr(self, name), "0 or more")
        if self.targets not in TARGETS:
            raise ConfigError("DistillConfig.targets", self.targets, " or ".join(TARGETS))


def teacher_fraction(step: int, steps: int) -> float:
    """1 at step 0, falling linearly to 0 at the last: 1 - step / steps, never below 0."""
    return max(0.0, 1.0 - step / steps)


def trust(log_sigma: Tensor, weights: Tensor) -> Tensor:
    """Weights (B, 98) of the teacher's points: 1 / σ², as a fraction of the mean over the batch.

    Only where `weights` is above 0 is anything trusted or counted in the mean; nothing counts for
    more than ten others.
    """
    precision = torch.exp(-2 * log_sigma) * (weights > 0)
    usual = precision.sum() / (weights > 0).sum().clamp_min(1)
    return weights * (precision / usual.clamp_min(1e-12)).clamp(max=10.0)


def smooth_l1(points: Tensor, targets: Tensor, beta: float = 0.01) -> Tensor:
    """Smooth L1 distance of each point (B, 98, 2) → (B, 98), in fractions of the crop.

    Args:
        beta: below it the loss is quadratic, in fractions of the crop.
    """
    return F.smooth_l1_loss(points, targets, reduction="none", beta=beta).sum(-1)


def normalised_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of maps (N, C, h, w) whose cells are l2-normalised: 2 - 2 cos.

    The teacher's map is detached and averaged down to the student's resolution.
    """
    height, width = student.shape[2:]
    target = F.adaptive_avg_pool2d(teacher.detach(), (height, width))
    difference = F.normalize(student, dim=1) - F.normalize(target, dim=1)
    return difference.square().sum(1).mean()


class DistillTask(Task):
    """A student between labels and a frozen teacher.

    For clips whose `labelled` is 0 only the teacher knows, so long as it is sure of itself: each of
    its points weighs by its σ. The student sees events only; the teacher gets the same event
    tensor, enlarged to its own side, and RGB if it uses any.

    Whether there is a face must be known for all clips (`presence`).

    Args:
        steps: of the whole training, over which the teacher falls silent.

    Losses: those of the student, landmarks and features (of the teacher), teacher_fraction.
    """

    def __init__(
        self, student: Student, teacher: Teacher, config: DistillConfig, steps: int
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ConfigError("steps", steps, "1 or more")
        expected = student.config.in_channels
        if teacher.config.uses_events and teacher.config.event_channels != expected:
            raise ConfigError(
                "teacher.event_channels", teacher.config.event_channels, f"{expected}, as student"
            )
        self.student, self.config, self.steps = student, config, steps
        self.teacher = teacher.requires_grad_(False).eval()
        self.to_teacher = (
            nn.Conv2d(student.config.channels[-1], teacher.config.width, 1)
            if config.features > 0
            else None
        )
        only_rgb = not teacher.config.uses_events
        self._shows_rgb = only_rgb or (teacher.config.uses_rgb and config.rgb)
        self.needs = ("events", *("rgb",) * self._shows_rgb, "points", "weights", "presence")

    @property
    def network(self) -> Student:
        return self.student

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        batch = augmented(batch) if self.student.training else batch
        config, head = self.config, self.student.head
        events, presence = as_input(batch["events"]), batch["presence"]
        taught = self._ask(events, batch)
        features = self.student.backbone(events)
        raw, present = head.logits(features)
        raw, present = raw.float(), present.float()
        labelled = batch.get("labelled", torch.ones_like(presence))
        weights = batch["weights"] * labelled[:, None]
        fraction = teacher_fraction(step, self.steps)
        losses = student_loss(head, raw, present, batch["points"], weights, presence)
        counts = labelled * config.landmarks * fraction + (1 - labelled) * config.unlabelled
        losses["landmarks"] = self._landmark_loss(raw, taught, presence * counts)
        losses["total"] = losses["total"] + losses["landmarks"]
        if self.to_teacher is not None:
            projected = self.to_teacher(features).float()
            losses["features"] = normalised_mse(projected, taught.features.float())
            losses["total"] = losses["total"] + config.features * fraction * losses["features"]
        losses["teacher_fraction"] = presence.new_tensor(fraction)
        return for_log(losses)

    @torch.no_grad()
    def _ask(self, events: Tensor, batch: Batch) -> TeacherOutput:
        output: TeacherOutput = self.teacher(
            self._to_side(events) if self.teacher.config.uses_events else None,
            self._to_side(as_input(batch["rgb"])) if self._shows_rgb else None,
        )
        return output

    def _to_side(self, images: Tensor) -> Tensor:
        side = self.teacher.config.side
        if images.shape[-1] == side:
            return images
        return F.interpolate(images, (side, side), mode="bilinear", align_corners=False)

    def _landmark_loss(self, raw: Tensor, taught: TeacherOutput, clips: Tensor) -> Tensor:
        """Distance from the teacher's landmarks; `clips` (B,) says how much each clip counts."""
        head = self.student.head
        low, high = head.reach
        visible = ((taught.points > low) & (taught.points < high)).all(-1)
        weights = trust(taught.log_sigma, visible.float() * (clips > 0)[:, None])
        weights = weights * clips[:, None] / weights.sum().clamp_min(1e-6)
        points, _ = head.decode(raw)
        if self.config.targets == "smooth_l1":
            error = DISTANCE_WEIGHT * smooth_l1(points, taught.points)
        else:
            distance = (points - taught.points).norm(dim=-1)
            error = head.divergence(raw, taught.points) + DISTANCE_WEIGHT * distance
        return torch.sum(error * weights)
