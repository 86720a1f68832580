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
from evface_training.tasks.table import TASKS, InitWeights, build_task
from evface_training.trainer.data_stream import Replay, batches
from evface_training.trainer.log import Dashboard, Silent
from evface_training.trainer.loop import Schedule, run
from evface_training.trainer.machine import Machine, launch, simulation_device

#: May change when a run is gone on with; the learning rate follows the new number of steps.
_MAY_CHANGE = {"name", "steps", "validate_every"}
_VALIDATION_SEED = 99


def train(
    recipe: TrainRecipe,
    training: FaceSet,
    validation: FaceSet,
    folder: Path,
    machine: Machine | None = None,
    init_weights: InitWeights | None = None,
) -> Path:
    """Train, or go on where `folder/last.pt` stands; → the path of the checkpoint.

    The first Ctrl-C finishes the step, saves and returns. Going on takes the same steps as if it
    had never been stopped, on any number of machines (`torchrun`), as long as the number is the
    same.

    Raises:
        ConfigError: another recipe or other faces than those of the run in `folder`; out of memory.
        ModelError: `folder/last.pt` is damaged, or cannot be written.
        RuntimeUnavailable: the device asked for is not there.
    """
    machine, init_weights = machine or Machine(), init_weights or InitWeights()
    spec = TASKS[recipe.task]
    training = with_fraction_of_people(training, recipe.label_fraction)
    if not len(training) or not len(validation):
        raise ConfigError(
            "faces", (len(training), len(validation)), "some to train on, and some to validate on"
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
    maker = spec.maker(training, recipe, replay.group, fabric.global_rank, device, task.needs)
    count = recipe.validation_clips
    judged = spec.draw(validation, recipe, count, _VALIDATION_SEED, task.needs)
    card = student_card(recipe) if spec.kind == "student" else None

    def make_batches(steps: range) -> Iterator[Batch]:
        return batches(
            maker,
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

    begun = 0 if resume is None else resume["step"]
    with (
        Dashboard(folder, recipe.name, begun, recipe.steps)
        if fabric.is_global_zero
        else nullcontext(Silent())
    ) as watch:
        run(
            fabric,
            task,
            recipe.optimiser,
            Schedule(recipe.steps, recipe.validate_every, recipe.seed),
            make_batches,
            validate=lambda network: spec.judge(network, judged),
            save=save,
            watch=watch,
            resume=resume,
        )
    return path


def _resume(path: Path, recipe: dict[str, Any], data: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier run left to go on with, if there is one."""
    if not path.is_file():
        return None
    stored = load_raw(path)
    if not stored["state"]:
        raise ModelError(
            f"{path}: holds weights, but not what a run needs to go on; choose another folder"
        )
    for name, old, new in differences(json.loads(stored["recipe"]), recipe):
        if name not in _MAY_CHANGE:
            raise ConfigError(
                f"recipe.{name}",
                new,
                f"{old!r}, as the run in {path.parent} has it; set it back, "
                "or choose another folder",
            )
    for name, old, new in differences(json.loads(stored["data"]), data):
        raise ConfigError(
            f"data.{name}",
            new,
            f"{old!r}, as the run in {path.parent} has it; give the same "
            "faces and number of processes, or choose another folder",
        )
    return {**stored["state"], "network": stored["network"]}
