"""The one loop: every task, on a CPU, a GPU, or many machines.

    for each step:   seed ─▶ batch ─▶ task ─▶ gradient ─▶ optimiser ─▶ average
    now and then:    validate the average, save everything

It runs in each process of `torchrun`; Lightning Fabric averages the gradients between them.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_training.tasks.base import Batch, Task
from evface_training.trainer.data_stream import mixed_seed
from evface_training.trainer.log import Watch
from evface_training.trainer.optimiser import OptimiserConfig, build_optimiser, update_ema
from evface_training.trainer.stop_request import StopRequest

#: Steps between two looks at the losses: each look waits for the GPU.
LOOK_EVERY = 10
LOG_EVERY = 50
_TASK = 1  # what a task draws, apart from what its data draw from the same seed, rank and step


@dataclass(frozen=True)
class Schedule:
    """How long, how often, and from which seed.

    Attributes:
        steps: in all.
        check_every: steps between two validations; each one saves.
        seed: of everything drawn.
    """

    steps: int
    check_every: int
    seed: int


class Save(Protocol):
    """Keeps a run on disk; called in the first process only."""

    def __call__(self, network: nn.Module, state: dict[str, Any]) -> None: ...


#: The averaged network → figures by name; called in the first process only.
Validate = Callable[[Any], Mapping[str, float]]
#: Range of steps → their batches.
MakeBatches = Callable[[range], Iterator[Batch]]


def run(
    fabric: Fabric,
    task: Task,
    optimiser: OptimiserConfig,
    schedule: Schedule,
    batches: MakeBatches,
    *,
    validate: Validate,
    save: Save,
    watch: Watch,
    resume: Mapping[str, Any] | None = None,
) -> int:
    """Train until the schedule is done, or until Ctrl-C has ended the step; → the steps done.

    With the same batches, a run that is interrupted and resumed takes the same steps as one that is
    not: weights, averages and optimiser come from `resume`, everything drawn from the seed.

    Args:
        resume: the `state` of an earlier save, and its "network".

    Raises:
        ConfigError: out of memory (says what to lower), or the loss is no longer a number.
    """
    average = copy.deepcopy(task.network).requires_grad_(False).eval()
    begun = 0
    if resume is not None:
        begun = resume["step"]
        task.load_state_dict(resume["task"])
        average.load_state_dict(resume["network"])
    task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    moved, mover = fabric.setup(task, build_optimiser(task, optimiser))
    average.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if resume is not None:
        mover.load_state_dict(resume["optimiser"])
    if begun >= schedule.steps:
        return begun
    stream = batches(range(begun, schedule.steps))
    done = begun
    with StopRequest() as stop:
        for step in range(begun, schedule.steps):
            for group in mover.param_groups:
                group["lr"] = optimiser.rate(step, schedule.steps)
            torch.manual_seed(mixed_seed(schedule.seed, fabric.global_rank, step, _TASK))
            with _memory_advice(step):
                batch = {name: _to(tensor, fabric) for name, tensor in next(stream).items()}
                task.train()
                losses = moved(batch, step)
                fabric.backward(losses["total"])
                fabric.clip_gradients(
                    moved, mover, max_norm=optimiser.clip_norm, error_if_nonfinite=False
                )
                mover.step()
                mover.zero_grad(set_to_none=True)
            update_ema(average, task.network, min(optimiser.ema, (1 + step) / (10 + step)))
            done = step + 1
            stopping = _any(fabric, stop.asked)
            checking = done % schedule.check_every == 0 or done == schedule.steps or stopping
            if done % LOOK_EVERY == 0 or checking:
                values = {name: float(value.detach()) for name, value in losses.items()}
                _check(values, done)
                if done % LOG_EVERY == 0 or checking:
                    watch.losses(done, values)
            watch.advance(done)
            if checking and fabric.is_global_zero:
                watch.figures(done, validate(average))
                state = {
                    "step": done,
                    "task": task.state_dict(),
                    "optimiser": mover.state_dict(),
                }
                save(average, state)
            if stopping:
                break
    return done


def _to(tensor: Tensor, fabric: Fabric) -> Tensor:
    return tensor.to(fabric.device, non_blocking=True)


def _any(fabric: Fabric, asked: bool) -> bool:
    """Whether any process was asked to stop: all of them must do so after the same step."""
    if fabric.world_size == 1:
        return asked
    count = fabric.all_reduce(torch.tensor(float(asked), device=fabric.device), reduce_op="sum")
    return float(count) > 0  # type: ignore[arg-type]


def _check(losses: Mapping[str, float], done: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"loss {name} at step {done}",
                value,
                "a finite number; lower optimiser.learning_rate, then start again from the last "
                "checkpoint, which is whole",
            )


#: What PyTorch says then. Linux ends a process of its choice with SIGKILL; where shared memory is
#: full, there is a bus error.
_SHORT_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "killed by signal: Killed",
    "killed by signal: Bus error",
)


@contextlib.contextmanager
def _memory_advice(step: int) -> Iterator[None]:
    """Says what to lower when memory runs out, on a GPU, here, or in a process that simulates."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        short = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
            sign in text for sign in _SHORT_OF_MEMORY
        )
        if not short:
            raise
        raise ConfigError(
            f"memory at step {step + 1}",
            text.splitlines()[0] if text else type(error).__name__,
            "room for a step; lower `batch`, then `pool`, then the input's `side` in the recipe, "
            "or spread the batch over more processes with torchrun",
        ) from error
