"""The training loop for every task, on a CPU, a GPU, or several machines.

    each step:          seed ─▶ batch ─▶ task ─▶ gradient ─▶ optimiser ─▶ averaged weights
    every check_every:  validate the averaged weights, save everything

It runs in each process of `torchrun`; Lightning Fabric averages the gradients between them.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_training.tasks.base import Batch, Task
from evface_training.trainer.data_stream import mixed_seed
from evface_training.trainer.optimiser import OptimiserConfig, build_optimiser, update_ema
from evface_training.trainer.progress import NoLog
from evface_training.trainer.stop_request import StopRequest

#: Steps between two reads of the losses: each read waits for the GPU.
READ_EVERY = 10
LOG_EVERY = 50
_TASK = 1  # keeps a task's random numbers apart from those of its data, same seed, rank and step


@dataclass(frozen=True)
class Schedule:
    """Length of a training.

    Attributes:
        steps: in all.
        check_every: steps between two validations; each one saves.
        seed: random seed.
    """

    steps: int
    check_every: int
    seed: int


#: Saves the averaged network and the state of the run; called in the first process only.
Save = Callable[[nn.Module, dict[str, Any]], None]
#: The averaged network → metrics by name; called in the first process only.
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
    log: NoLog,
    resume: Mapping[str, Any] | None = None,
) -> int:
    """Train to the end of the schedule or to a stop request; return the number of steps done.

    With the same batches, an interrupted and resumed run takes the same steps as an uninterrupted
    one: weights, averages and optimiser state come from `resume`, all random numbers from the seed.

    Args:
        resume: the `state` of an earlier save, and its "network".

    Raises:
        ConfigError: out of memory, or a loss that is not finite.
    """
    average = copy.deepcopy(task.network).requires_grad_(False).eval()
    first = 0
    if resume is not None:
        first = resume["step"]
        task.load_state_dict(resume["task"])
        average.load_state_dict(resume["network"])
    task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, stepper = fabric.setup(task, build_optimiser(task, optimiser))
    average.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if resume is not None:
        stepper.load_state_dict(resume["optimiser"])
    if first >= schedule.steps:
        return first
    stream = batches(range(first, schedule.steps))
    done = first
    with StopRequest() as stop:
        for step in range(first, schedule.steps):
            for group in stepper.param_groups:
                group["lr"] = optimiser.rate(step, schedule.steps)
            torch.manual_seed(mixed_seed(schedule.seed, fabric.global_rank, step, _TASK))
            with _memory_advice(step):
                batch = {name: _to(tensor, fabric) for name, tensor in next(stream).items()}
                task.train()
                losses = wrapped(batch, step)
                fabric.backward(losses["total"])
                fabric.clip_gradients(
                    wrapped, stepper, max_norm=optimiser.clip_norm, error_if_nonfinite=False
                )
                stepper.step()
                stepper.zero_grad(set_to_none=True)
            update_ema(average, task.network, min(optimiser.ema, (1 + step) / (10 + step)))
            done = step + 1
            stopping = _any(fabric, stop.requested)
            checking = done % schedule.check_every == 0 or done == schedule.steps or stopping
            if done % READ_EVERY == 0 or checking:
                values = {name: float(value.detach()) for name, value in losses.items()}
                _check_finite(values, done)
                if done % LOG_EVERY == 0 or checking:
                    log.losses(done, values)
            log.advance(done)
            if checking and fabric.is_global_zero:
                log.metrics(done, validate(average))
                state = {
                    "step": done,
                    "task": task.state_dict(),
                    "optimiser": stepper.state_dict(),
                }
                save(average, state)
            if stopping:
                break
    return done


def _to(tensor: Tensor, fabric: Fabric) -> Tensor:
    return tensor.to(fabric.device, non_blocking=True)


def _any(fabric: Fabric, requested: bool) -> bool:
    """Whether any process got a stop request: all must stop after the same step."""
    if fabric.world_size == 1:
        return requested
    flag = torch.tensor(float(requested), device=fabric.device)
    return float(fabric.all_reduce(flag, reduce_op="sum")) > 0  # type: ignore[arg-type]


def _check_finite(losses: Mapping[str, float], done: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"loss {name} at step {done}",
                value,
                "a finite number; lower optimiser.learning_rate and start again from the last "
                "checkpoint, which is intact",
            )


#: Messages of PyTorch when memory runs out. Linux kills a process with SIGKILL; full shared memory
#: gives a bus error.
_OUT_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "killed by signal: Killed",
    "killed by signal: Bus error",
)


@contextlib.contextmanager
def _memory_advice(step: int) -> Iterator[None]:
    """If memory runs out, here or in a worker process, raise an error that says what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        out_of_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
            message in text for message in _OUT_OF_MEMORY
        )
        if not out_of_memory:
            raise
        raise ConfigError(
            f"memory at step {step + 1}",
            text.splitlines()[0] if text else type(error).__name__,
            "memory for one step; lower `batch`, `pool` or `side` in the recipe, or spread the "
            "batch over more processes with torchrun",
        ) from error
