"""`Task`, the interface between the training loop and what is trained.

A task is a module: a network, its loss, and what only training needs (projectors, a teacher).

    task = fabric.setup(task, optimiser)      # every gradient passes `forward` (DDP)
    torch.manual_seed(...)                    # from seed, step and rank, before each step
    losses = task(batch, step)                # name → scalar
    fabric.backward(losses["total"])

Rules for a task:
- `batch` maps names to tensors whose first dimension is the clips. `needs` names the tensors that
  the task reads; a batch may hold more.
- "total" is minimised. All other losses are detached; they go to the log.
- `loss` depends on weights, batch, `step` and torch's global generator only, so that a resumed run
  repeats the same steps.
- Every parameter with `requires_grad` takes part in every step (DDP does not look for unused ones).
  Frozen parts have `requires_grad=False` and stay in eval mode after `train()`.
- Autocast may be on; a task keeps in float32 what needs it.
- `network` is the result of the training: it is averaged, validated and exported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import Self

from evface_edge.errors import ConfigError

#: Names of tensors in a batch:
#:   events (B, C, S, S)     network inputs, uint8 (255 stands for 1) or float in [0, 1]
#:   points (B, 98, 2)       fractions of the crop
#:   weights (B, 98)         weight of each point, 0 where it has no label
#:   presence (B,)           1 where there is a face
#:   labelled (B,)           optional: 0 for clips without labels; without it all are labelled
#:   rgb (B, 3, S, S)        the image at the instant of the labels, same crop; types as events
#:   event_lists (B, M, 4), duration_us (B,)    the events themselves, see `ssmer.events`
Batch = Mapping[str, Tensor]


class Task(nn.Module, ABC):
    """A network and how it is trained; the module docstring has the rules.

    Attributes:
        needs: names of the tensors that `loss` reads from a batch.
    """

    needs: tuple[str, ...]

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The child module that is averaged, validated and exported."""

    @abstractmethod
    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Name → scalar; "total" carries the gradient, the others are detached."""

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; modules whose weights are all frozen stay in eval mode."""
        super().train(mode)
        for module in self.modules():
            weights = list(module.parameters())
            if weights and not any(weight.requires_grad for weight in weights):
                nn.Module.train(module, False)
        return self

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Check the batch and compute `loss`.

        Raises:
            ConfigError: a tensor is missing from the batch.
        """
        missing = [name for name in self.needs if name not in batch]
        if missing:
            raise ConfigError("batch", sorted(batch), f"{', '.join(missing)} as well")
        return self.loss(batch, step)


def as_input(images: Tensor) -> Tensor:
    """Bytes or floats (B, C, H, W) → float32 in [0, 1], channels last."""
    # Reordered as bytes: a quarter of the memory traffic.
    images = images.contiguous(memory_format=torch.channels_last)
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def for_log(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same losses, all but "total" detached."""
    return {name: v if name == "total" else v.detach() for name, v in losses.items()}
