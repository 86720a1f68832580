"""What a training loop drives: tasks.

A `Task` is one thing to train: the student, SSMER, the teacher, distillation. It is a module, so
that a loop sets it up, wraps it for several processes and stores it like any other:

    task = fabric.setup(task, optimiser)      # Fabric, DDP: every gradient passes `forward`
    torch.manual_seed(...)                    # of seed, step and rank, before each step
    losses = task(batch, step)                # a mapping of scalars
    fabric.backward(losses["total"])

The contract:
- `batch` maps names to tensors whose first dimension is the clips. `needs` names the tensors that
  this task reads; more may be there.
- "total" is to be minimised; whatever else comes back is detached and for the log.
- `loss` is a pure function of weights, batch, `step` and torch's global generator: a loop that
  seeds the generator per step goes on from any checkpoint to the same curve.
- Every parameter with `requires_grad` takes part in every step (DDP looks for no unused ones).
  Frozen parts hold `requires_grad=False`, and stay in eval mode whatever `train()` says.
- Autocast may be on around the call; a task keeps in float32 what needs it.
- `network` is what the training is for: what gets averaged, validated and shipped. The rest
  (projectors, predictors) is needed to go on only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import Self

from evface_edge.errors import ConfigError
from evface_training.augmentation import augmented
from evface_training.networks.student import Student
from evface_training.tasks.student_loss import student_loss

#: Names of tensors in a batch:
#:   events (B, C, S, S)     network inputs, uint8 (255 stands for 1) or float in [0, 1]
#:   points (B, 98, 2)       fractions of the crop
#:   weights (B, 98)         trust in each point, 0 where nobody labelled it
#:   presence (B,)           1 where there is a face
#:   labelled (B,)           optional, 0 where only a teacher knows (absent: all are labelled)
#:   rgb (B, 3, S, S)        the image at the instant of the labels, same crop; types as events
#:   event_lists (B, M, 4), duration_us (B,)    the events themselves, see `ssmer.events`
Batch = Mapping[str, Tensor]


class Task(nn.Module, ABC):
    """One thing to train; see the head of this file for what a loop may rely on.

    Attributes:
        needs: names of the tensors that `loss` reads from a batch.
    """

    needs: tuple[str, ...]

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The part that gets averaged, validated and shipped; a child of this module."""

    @abstractmethod
    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Scalars by name; "total" carries the gradient, the others are detached."""

    def train(self, mode: bool = True) -> Self:
        """As ever, but what has no weight to learn keeps its statistics and drops nothing."""
        super().train(mode)
        for module in self.modules():
            weights = list(module.parameters())
            if weights and not any(weight.requires_grad for weight in weights):
                nn.Module.train(module, False)
        return self

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """`loss`, after a look at what the batch holds.

        Raises:
            ConfigError: a tensor is missing from the batch.
        """
        missing = [name for name in self.needs if name not in batch]
        if missing:
            raise ConfigError("batch", sorted(batch), f"{', '.join(missing)} as well")
        return self.loss(batch, step)


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


def as_input(images: Tensor) -> Tensor:
    """Bytes or floats (B, C, H, W) → float32 in [0, 1], channels last."""
    images = images.contiguous(memory_format=torch.channels_last)  # as bytes: a quarter of the way
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def for_log(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """All but "total" detached."""
    return {name: v if name == "total" else v.detach() for name, v in losses.items()}
