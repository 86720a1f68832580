"""Script of `test_two_processes.py` for torchrun; writes its weights into a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from evface_training.tasks.base import Batch, Task
from evface_training.trainer.loop import Schedule, run
from evface_training.trainer.machine import Machine, launch
from evface_training.trainer.optimiser import OptimiserConfig
from evface_training.trainer.progress import NoLog

STEPS, BATCH = 6, 8


class Mean(Task):
    """A small network without BatchNorm: its loss over a batch is the mean of those over halves."""

    needs = ("x", "y")

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))

    @property
    def network(self) -> nn.Module:
        return self.layers

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"total": (self.layers(batch["x"]) - batch["y"]).square().mean()}


def part(rank: int, step: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(100 * step + rank)
    return {
        "x": torch.randn(BATCH // 2, 2, 6, 6, generator=generator),
        "y": torch.randn(BATCH // 2, 3, generator=generator),
    }


def learn(folder: Path) -> None:
    """Train on the whole batch with one process, on one half each with two."""
    fabric = launch(Machine("cpu"), "fp32")

    def batches(steps: range) -> Iterator[Batch]:
        for step in steps:
            if fabric.world_size == 2:
                yield part(fabric.global_rank, step)
            else:
                parts = [part(rank, step) for rank in range(2)]
                yield {name: torch.cat([p[name] for p in parts]) for name in parts[0]}

    task = Mean()
    config = OptimiserConfig(name="sgd", learning_rate=0.1, warm_up_steps=0, clip_norm=0.2)
    schedule = Schedule(STEPS, STEPS, seed=1)
    saved: list[nn.Module] = []
    run(
        fabric,
        task,
        config,
        schedule,
        batches,
        validate=lambda network: {},
        save=lambda network, state: saved.append(network),
        log=NoLog(),
    )
    assert len(saved) == int(fabric.is_global_zero)
    torch.save(task.state_dict(), folder / f"{fabric.world_size}_{fabric.global_rank}.pt")


if __name__ == "__main__":
    learn(Path(sys.argv[1]))
