"""A recipe and faces → a trained checkpoint.

recipe ─▶ task ──────────────┐
faces ─▶ clips ─▶ batches ───┼─▶ loop ─▶ last.pt, TensorBoard
last.pt of an earlier run ───┘
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from evface_edge.errors import ConfigError, ModelError
from evface_training.checkpoint import load_raw, load_weights, save_checkpoint
from evface_training.clip_maker import fingerprint, with_fraction_of_people
from evface_training.config import differences
from evface_training.data.faces import FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.student_card import student_card
from evface_training.tasks.base import Batch
from evface_training.tasks.init_weights import InitWeights
from evface_training.tasks.table import TASKS, build_task
from evface_training.trainer.data_stream import Replay, batches
from evface_training.trainer.loop import Schedule, run
from evface_training.trainer.machine import Machine, launch, simulation_device
from evface_training.trainer.progress import NoLog, ProgressLog

#: Settings that may change when a run is resumed: they change no step. The learning rate follows
#: the new number of steps.
_MAY_CHANGE = {"name", "version", "crop_scale", "window", "steps", "validate_every"}
_VALIDATION_SEED = 99


def train(
    recipe: TrainRecipe,
    training: FaceSet,
    validation: FaceSet,
    folder: Path,
    machine: Machine | None = None,
    init_weights: InitWeights | None = None,
) -> Path:
    """Train, or resume the run in `folder`; return the path of the checkpoint.

    The first Ctrl-C finishes the step, saves and returns. A resumed run takes the same steps as an
    uninterrupted one, also on several machines (`torchrun`), as long as the number of processes is
    the same.

    Raises:
        ConfigError: another recipe or other faces than those of the run in `folder`; out of memory.
        ModelError: `folder/last.pt` is damaged, or cannot be written.
        RuntimeUnavailable: the named device is missing.
    """
    machine, init_weights = machine or Machine(), init_weights or InitWeights()
    spec = TASKS[recipe.task]
    training = with_fraction_of_people(training, recipe.label_fraction)
    if not len(training) or not len(validation):
        raise ConfigError(
            "faces", (len(training), len(validation)), "1 or more for training and for validation"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "last.pt"
    fabric = launch(machine, recipe.precision)
    resolved = json.loads(json.dumps(asdict(recipe)))
    data = {
        "training": fingerprint(training),
        "validation": fingerprint(validation),
        "init_weights": init_weights.fingerprints(),
        "processes": fabric.world_size,
    }
    resume = _resume(path, resolved, data)
    task = build_task(recipe, init_weights)
    if resume is not None:
        load_weights(task, resume["task"], path)
    replay = Replay(recipe.batch, recipe.reuse, recipe.pool)
    device = simulation_device(machine, fabric)
    make = spec.clip_maker(training, recipe, replay.group, fabric.global_rank, device, task.needs)
    count = recipe.validation_clips
    validation_data = spec.draw(validation, recipe, count, _VALIDATION_SEED, task.needs)
    card = student_card(recipe) if spec.kind == "student" else None

    def make_batches(steps: range) -> Iterator[Batch]:
        return batches(
            make,
            replay,
            steps,
            seed=recipe.seed,
            rank=fabric.global_rank,
            workers=machine.workers if device == "cpu" else 0,
        )

    def save(network: nn.Module, state: dict[str, Any]) -> None:
        save_checkpoint(
            path,
            network,
            card,
            state,
            kind=spec.kind,
            config=resolved["ssmer"] if spec.kind == "ssmer" else None,
            recipe=resolved,
            data=data,
        )

    first = 0 if resume is None else resume["step"]
    with (
        ProgressLog(folder, recipe.name, first, recipe.steps)
        if fabric.is_global_zero
        else nullcontext(NoLog())
    ) as log:
        run(
            fabric,
            task,
            recipe.optimiser,
            Schedule(recipe.steps, recipe.validate_every, recipe.seed),
            make_batches,
            validate=lambda network: spec.validate(network, validation_data),
            save=save,
            log=log,
            resume=resume,
        )
    return path


def _resume(path: Path, recipe: dict[str, Any], data: dict[str, Any]) -> dict[str, Any] | None:
    """The state of an earlier run at `path`; None if there is none."""
    if not path.is_file():
        return None
    stored = load_raw(path)
    if not stored["state"]:
        raise ModelError(
            "holds weights without the state of a training",
            path=path,
            field="state",
            fix="choose another folder",
        )
    for name, old, new in differences(json.loads(stored["recipe"]), recipe):
        if name.partition(".")[0] not in _MAY_CHANGE:
            raise ConfigError(
                f"recipe.{name}",
                new,
                f"{old!r}, as in the run in {path.parent}; set it back, or choose another folder",
            )
    for name, old, new in differences(json.loads(stored["data"]), data):
        raise ConfigError(
            f"data.{name}",
            new,
            f"{old!r}, as in the run in {path.parent}; give the same faces and number of "
            "processes, or choose another folder",
        )
    return {**stored["state"], "network": stored["network"]}
