"""Training of a student on labels and on the outputs of a frozen teacher."""

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
from evface_training.tasks.student import DISTANCE_WEIGHT, student_loss
from evface_training.teacher.network import Teacher, TeacherOutput

TARGETS = ("distribution", "smooth_l1")


@dataclass(frozen=True)
class DistillConfig:
    """Weights of the teacher's outputs in the loss.

    On labelled clips they fall linearly to 0 over the training (DWPose, Yang et al., 2023).

    Attributes:
        landmarks: weight of the teacher's landmarks on labelled clips, at step 0.
        features: weight of the teacher's feature map, at step 0.
        targets: "distribution" trains the student's distributions on a target around the teacher's
            landmark, as on a label; "smooth_l1" trains its coordinates only.
        unlabelled: weight of the teacher's landmarks on clips without labels; it stays constant.
        rgb: give RGB to a teacher that fuses it. Without, the teacher sees events alone, as it
            must where clips have no RGB.
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


def teacher_weight(step: int, steps: int) -> float:
    """1 at step 0, falling linearly to 0 at the last: 1 - step / steps, never below 0."""
    return max(0.0, 1.0 - step / steps)


def precision_weights(log_sigma: Tensor, weights: Tensor) -> Tensor:
    """Weights (B, 98) × 1 / σ² of the teacher's points, relative to the mean over the batch.

    Points of weight 0 are not part of the mean. A relative precision is at most 10.
    """
    precision = torch.exp(-2 * log_sigma) * (weights > 0)
    mean = precision.sum() / (weights > 0).sum().clamp_min(1)
    return weights * (precision / mean.clamp_min(1e-12)).clamp(max=10.0)


def smooth_l1(points: Tensor, targets: Tensor, beta: float = 0.01) -> Tensor:
    """Smooth L1 distance of each point (B, 98, 2) → (B, 98), in fractions of the crop.

    Args:
        beta: distance below which the loss is quadratic, in fractions of the crop.
    """
    return F.smooth_l1_loss(points, targets, reduction="none", beta=beta).sum(-1)


def normalised_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of maps (N, C, h, w) with l2-normalised cells: 2 - 2 cos.

    The teacher's map is detached and averaged down to the student's resolution.
    """
    height, width = student.shape[2:]
    target = F.adaptive_avg_pool2d(teacher.detach(), (height, width))
    difference = F.normalize(student, dim=1) - F.normalize(target, dim=1)
    return difference.square().sum(1).mean()


class DistillTask(Task):
    """A student trained on labels and on a frozen teacher.

    Clips whose `labelled` is 0 are trained on the teacher alone, each point weighted by the
    teacher's σ. The student sees events only. The teacher gets the same event tensor, enlarged to
    its own side, and RGB if it uses any. `presence` must be known for all clips.

    Args:
        steps: of the whole training, over which the weight of the teacher falls.

    Losses: those of the student; landmarks and features of the teacher; teacher_weight.
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
        self._uses_rgb = only_rgb or (teacher.config.uses_rgb and config.rgb)
        self.needs = ("events", *("rgb",) * self._uses_rgb, "points", "weights", "presence")

    @property
    def network(self) -> Student:
        return self.student

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        batch = augmented(batch) if self.student.training else batch
        config, head = self.config, self.student.head
        events, presence = as_input(batch["events"]), batch["presence"]
        target = self._teacher_output(events, batch)
        features = self.student.backbone(events)
        raw, present = head.logits(features)
        raw, present = raw.float(), present.float()
        labelled = batch.get("labelled", torch.ones_like(presence))
        weights = batch["weights"] * labelled[:, None]
        weight = teacher_weight(step, self.steps)
        losses = student_loss(head, raw, present, batch["points"], weights, presence)
        clip_weights = labelled * config.landmarks * weight + (1 - labelled) * config.unlabelled
        losses["landmarks"] = self._landmark_loss(raw, target, presence * clip_weights)
        losses["total"] = losses["total"] + losses["landmarks"]
        if self.to_teacher is not None:
            projected = self.to_teacher(features).float()
            losses["features"] = normalised_mse(projected, target.features.float())
            losses["total"] = losses["total"] + config.features * weight * losses["features"]
        losses["teacher_weight"] = presence.new_tensor(weight)
        return for_log(losses)

    @torch.no_grad()
    def _teacher_output(self, events: Tensor, batch: Batch) -> TeacherOutput:
        output: TeacherOutput = self.teacher(
            self._resized(events) if self.teacher.config.uses_events else None,
            self._resized(as_input(batch["rgb"])) if self._uses_rgb else None,
        )
        return output

    def _resized(self, images: Tensor) -> Tensor:
        side = self.teacher.config.side
        if images.shape[-1] == side:
            return images
        return F.interpolate(images, (side, side), mode="bilinear", align_corners=False)

    def _landmark_loss(self, raw: Tensor, target: TeacherOutput, clip_weights: Tensor) -> Tensor:
        """Distance from the teacher's landmarks; `clip_weights` (B,) is the weight of each clip."""
        head = self.student.head
        low, high = head.reach
        visible = ((target.points > low) & (target.points < high)).all(-1)
        weights = precision_weights(target.log_sigma, visible.float() * (clip_weights > 0)[:, None])
        weights = weights * clip_weights[:, None] / weights.sum().clamp_min(1e-6)
        points, _ = head.decode(raw)
        if self.config.targets == "smooth_l1":
            error = DISTANCE_WEIGHT * smooth_l1(points, target.points)
        else:
            distance = (points - target.points).norm(dim=-1)
            error = head.divergence(raw, target.points) + DISTANCE_WEIGHT * distance
        return torch.sum(error * weights)
