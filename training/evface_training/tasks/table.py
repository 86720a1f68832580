"""The table of tasks: how a recipe's `task` is built, fed with data, and validated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from evface_edge.errors import ConfigError
from evface_training.clip_maker import ClipMaker, draw_clips
from evface_training.detector.maker import SceneMaker, draw_scenes
from evface_training.detector.network import Detector
from evface_training.detector.task import DetectorTask, validate_detector
from evface_training.recipe import TrainRecipe
from evface_training.ssmer.task import SsmerTask
from evface_training.tasks.base import Task
from evface_training.tasks.distillation import DistillTask
from evface_training.tasks.init_weights import (
    InitWeights,
    initial_student,
    load_backbone,
    load_teacher,
    ssmer_encoder,
)
from evface_training.tasks.student import StudentTask
from evface_training.teacher.network import Teacher
from evface_training.teacher.task import TeacherTask
from evface_training.trainer.data_stream import MakeClips, mixed_seed
from evface_training.trainer.validation import (
    validate_encoder,
    validate_student,
    validate_teacher,
)


@dataclass(frozen=True)
class TaskSpec:
    """A row of the table.

    Attributes:
        build: recipe and initial weights → task; fresh weights come from torch's global generator.
        validate: network and validation data → metrics by name.
        kind: name of the network in checkpoints.
        optional: fields of `InitWeights` that the task accepts.
        required: fields of `InitWeights` that it cannot do without.
        clip_maker: makes training data, as `ClipMaker` does.
        draw: draws validation data, as `draw_clips` does.
    """

    build: Callable[[TrainRecipe, InitWeights], Task]
    validate: Callable[[Any, Any], Mapping[str, float]]
    kind: str
    optional: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    clip_maker: Callable[..., MakeClips] = ClipMaker
    draw: Callable[..., Any] = draw_clips


def _student(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    return StudentTask(initial_student(recipe, init_weights))


def _ssmer(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    return SsmerTask(ssmer_encoder(recipe), recipe.ssmer)


def _teacher(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    teacher = Teacher(recipe.teacher)
    fuses = recipe.teacher.fusion in ("cmfa", "efnet")
    rgb_side = init_weights.rgb_side
    if fuses != (rgb_side is not None):
        expected = "the checkpoint of a teacher with fusion 'rgb'" if fuses else "none"
        raise ConfigError(
            "--rgb-side",
            None if rgb_side is None else str(rgb_side),
            f"{expected}, for fusion {recipe.teacher.fusion!r}",
        )
    if init_weights.encoder is not None:
        if teacher.events is None:
            raise ConfigError("--encoder", str(init_weights.encoder), "none, for fusion 'rgb'")
        load_backbone(teacher.events.backbone, init_weights.encoder)
    if rgb_side is not None:
        teacher.take_rgb_side(load_teacher(rgb_side))
    return TeacherTask(teacher)


def _distill(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    assert init_weights.teacher is not None  # it is `required`
    teacher = load_teacher(init_weights.teacher)
    student = initial_student(recipe, init_weights)
    return DistillTask(student, teacher, recipe.distill, recipe.steps)


def _detector(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    return DetectorTask(Detector(recipe.detector))


TASKS: dict[str, TaskSpec] = {
    "landmarks": TaskSpec(_student, validate_student, "student", ("encoder", "student")),
    "distill": TaskSpec(
        _distill, validate_student, "student", ("encoder", "student"), ("teacher",)
    ),
    "teacher": TaskSpec(_teacher, validate_teacher, "teacher", ("encoder", "rgb_side")),
    "ssmer": TaskSpec(_ssmer, validate_encoder, "ssmer"),
    "detector": TaskSpec(
        _detector, validate_detector, "detector", clip_maker=SceneMaker, draw=draw_scenes
    ),
}


def build_task(recipe: TrainRecipe, init_weights: InitWeights | None = None) -> Task:
    """The task of a recipe; its fresh weights depend on the recipe's seed alone.

    Raises:
        ConfigError: initial weights that this task does not accept, or lacks.
        ModelError: initial weights that cannot be read, or do not fit.
    """
    init_weights, spec = init_weights or InitWeights(), TASKS[recipe.task]
    for field in fields(init_weights):
        path, option = getattr(init_weights, field.name), "--" + field.name.replace("_", "-")
        if path is not None and field.name not in (*spec.optional, *spec.required):
            raise ConfigError(option, str(path), f"none, for task {recipe.task!r}")
        if path is None and field.name in spec.required:
            raise ConfigError(option, None, f"a checkpoint, for task {recipe.task!r}")
    torch.manual_seed(mixed_seed(recipe.seed))
    return spec.build(recipe, init_weights)
