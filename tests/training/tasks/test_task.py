"""The interface between the training loop and its tasks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_training.tasks.base import Batch, Task, as_input, for_log


class Half(Task):
    """A frozen half and a trained half."""

    needs = ("x",)

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)).requires_grad_(False)
        self.learns = nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.5))

    @property
    def network(self) -> nn.Module:
        return self.learns

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        total = self.learns(self.frozen(batch["x"])).square().mean()
        return for_log({"total": total, "twice": 2 * total})


def test_frozen_parts_stay_in_eval_mode() -> None:
    task = Half()
    task.train()
    assert all(not module.training for module in task.frozen.modules())
    assert all(module.training for module in task.learns.modules())
    task({"x": torch.randn(5, 3)}, 0)
    assert int(task.frozen[0].num_batches_tracked) == 0
    task.eval()
    assert not any(module.training for module in task.modules())


def test_only_the_total_carries_the_gradient() -> None:
    losses = Half()({"x": torch.randn(5, 3)}, 0)
    assert losses["total"].requires_grad
    assert not losses["twice"].requires_grad


def test_a_missing_tensor_is_an_error() -> None:
    with pytest.raises(ConfigError, check=lambda e: (e.field, e.value) == ("batch", ["y"])):
        Half()({"y": torch.zeros(1)}, 0)


def test_bytes_and_floats_are_the_same_input() -> None:
    images = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(as_input(images), as_input(images.float() / 255))
    assert as_input(images).is_contiguous(memory_format=torch.channels_last)
