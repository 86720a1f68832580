"""The table of tasks: what a recipe's `task` builds, begins from, and is judged by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ModelError
from evface_edge.models import FLOAT_PRECISION
from evface_edge.representation import to_config
from evface_training.checkpoint import load_raw, load_weights
from evface_training.clip_maker import ClipMaker, draw_clips
from evface_training.config import build
from evface_training.data.avatars import load_avatars
from evface_training.detector.maker import SceneMaker, draw_scenes
from evface_training.detector.network import Detector
from evface_training.detector.task import DetectorTask, validate_detector
from evface_training.networks.from_onnx import exported_student
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe
from evface_training.ssmer.network import Encoder, SharedEncoder
from evface_training.ssmer.task import SsmerTask, load_pretrained
from evface_training.tasks.base import StudentTask, Task
from evface_training.tasks.distillation import DistillTask
from evface_training.teacher.config import TeacherConfig
from evface_training.teacher.network import Teacher
from evface_training.teacher.task import TeacherTask
from evface_training.trainer.data_stream import MakeClips, mixed_seed
from evface_training.trainer.validation import validate_encoder, validate_student, validate_teacher

#: The view of SSMER that is what the student and the teacher look at: a voxel grid of five bins.
_VIEW = "voxel"
#: Of avatars: they measure what BatchNorm needs to know of a student read from ONNX.
_MEASURING_CLIPS = 128


@dataclass(frozen=True)
class InitWeights:
    """Checkpoints that a training begins from.

    Attributes:
        encoder: of SSMER; becomes the backbone that looks at events.
        rgb_side: a teacher of fusion "rgb"; its RGB side is taken, frozen.
        teacher: that a student is distilled from.
        student: weights to begin from, of a student of the same size: a checkpoint, or a float32
            ONNX model of ours.
    """

    encoder: Path | None = None
    rgb_side: Path | None = None
    teacher: Path | None = None
    student: Path | None = None

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in ((f.name, getattr(self, f.name)) for f in fields(self))
            if path is not None
        }


#: A network and what `TaskSpec.draw` drew → figures by name.
Judge = Callable[[Any, Any], Mapping[str, float]]


@dataclass(frozen=True)
class TaskSpec:
    """A row of the table.

    Attributes:
        build: recipe and init_weights → task; may draw its weights from torch's global generator.
        judge: of the network while it is trained.
        kind: of the network, as checkpoints call it.
        init_weights: the fields of `InitWeights` that it can begin from; needs: those that it must.
        maker: makes the batches, as `ClipMaker` does; draw: what it is judged by, as `draw_clips`.
    """

    build: Callable[[TrainRecipe, InitWeights], Task]
    judge: Judge
    kind: str
    init_weights: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    maker: Callable[..., MakeClips] = ClipMaker
    draw: Callable[..., Any] = draw_clips


def _student(recipe: TrainRecipe, init_weights: InitWeights) -> Student:
    if init_weights.encoder is not None and init_weights.student is not None:
        raise ConfigError(
            "--encoder",
            str(init_weights.encoder),
            "none with --student, which has a backbone of its own",
        )
    if init_weights.student is not None and init_weights.student.suffix.lower() == ".onnx":
        return _from_onnx(recipe, init_weights.student)
    student = Student(recipe.student)
    if init_weights.encoder is not None:
        _begin_from(student.backbone, init_weights.encoder)
    if init_weights.student is not None:
        stored = _stored(init_weights.student, "student")
        load_weights(student, stored["network"], init_weights.student)
    return student


def _from_onnx(recipe: TrainRecipe, path: Path) -> Student:
    card, side = read_card(path), recipe.side
    if card.precision != FLOAT_PRECISION:
        raise ModelError(f"{path}: is {card.precision}, expected a float32 model to train on from")
    shown = to_config(recipe.event_representation, (side, side))
    if card.representation != shown:
        raise ModelError(f"{path}: looks at {dict(card.representation)}, the recipe shows {shown}")
    heads = draw_clips(load_avatars(), recipe, _MEASURING_CLIPS, recipe.seed)
    return exported_student(path, recipe.student, heads.inputs)


def _landmarks(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    return StudentTask(_student(recipe, init_weights))


def _ssmer(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    if recipe.ssmer_encoder == "student":
        encoder = Encoder.of_student(recipe.student)
    else:
        teacher = recipe.teacher
        backbone = replace(teacher.backbone, in_channels=teacher.event_channels)
        encoder = Encoder.of_hrnet(backbone)
    return SsmerTask(encoder, recipe.ssmer)


def _teacher(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    teacher = Teacher(recipe.teacher)
    fuses = recipe.teacher.fusion in ("cmfa", "efnet")
    if fuses != (init_weights.rgb_side is not None):
        raise ConfigError(
            "--rgb-side",
            None if init_weights.rgb_side is None else str(init_weights.rgb_side),
            "the checkpoint of a teacher of fusion 'rgb'"
            if fuses
            else f"none: fusion {recipe.teacher.fusion!r} has no RGB side of another network",
        )
    if init_weights.encoder is not None:
        if teacher.events is None:
            raise ConfigError("--encoder", str(init_weights.encoder), "none: it looks at no events")
        _begin_from(teacher.events.backbone, init_weights.encoder)
    if init_weights.rgb_side is not None:
        teacher.take_rgb_side(load_teacher(init_weights.rgb_side))
    return TeacherTask(teacher)


def _distill(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    assert init_weights.teacher is not None  # it is among `needs`
    teacher = load_teacher(init_weights.teacher)
    return DistillTask(_student(recipe, init_weights), teacher, recipe.distill, recipe.steps)


def _detector(recipe: TrainRecipe, init_weights: InitWeights) -> Task:
    return DetectorTask(Detector(recipe.detector))


TASKS: dict[str, TaskSpec] = {
    "landmarks": TaskSpec(_landmarks, validate_student, "student", ("encoder", "student")),
    "ssmer": TaskSpec(_ssmer, validate_encoder, "ssmer"),
    "teacher": TaskSpec(_teacher, validate_teacher, "teacher", ("encoder", "rgb_side")),
    "distill": TaskSpec(
        _distill, validate_student, "student", ("encoder", "student", "teacher"), ("teacher",)
    ),
    "detector": TaskSpec(
        _detector, validate_detector, "detector", maker=SceneMaker, draw=draw_scenes
    ),
}


def build_task(recipe: TrainRecipe, init_weights: InitWeights | None = None) -> Task:
    """The task of a recipe; fresh weights are the same ones for the same seed.

    Raises:
        ConfigError: a start that this task does not have, or does not do without.
        ModelError: a start that cannot be read, or does not fit.
    """
    init_weights, spec = init_weights or InitWeights(), TASKS[recipe.task]
    for field in fields(init_weights):
        path, option = getattr(init_weights, field.name), "--" + field.name.replace("_", "-")
        if path is not None and field.name not in spec.init_weights:
            raise ConfigError(option, str(path), f"none: task {recipe.task!r} begins without")
        if path is None and field.name in spec.needs:
            raise ConfigError(option, None, f"a checkpoint: task {recipe.task!r} needs one")
    torch.manual_seed(mixed_seed(recipe.seed))
    return spec.build(recipe, init_weights)


def load_teacher(path: Path) -> Teacher:
    """The teacher in a checkpoint, in eval mode.

    Raises:
        ModelError: missing, damaged, or no teacher.
    """
    stored = _stored(path, "teacher")
    teacher = Teacher(build(TeacherConfig, json.loads(stored["config"]), str(path)))
    load_weights(teacher, stored["network"], path)
    return teacher.eval()


def load_encoder(path: Path) -> SharedEncoder:
    """The shared encoder in a checkpoint of SSMER, in eval mode.

    Raises:
        ModelError: missing, damaged, or not of SSMER.
    """
    stored = _stored(path, "ssmer")
    recipe = build(TrainRecipe, json.loads(stored["recipe"]), str(path))
    encoder = build_task(recipe).network
    load_weights(encoder, stored["network"], path)
    if not isinstance(encoder, SharedEncoder):
        raise ModelError(f"{path}: its recipe is of task {recipe.task!r}, expected ssmer")
    return encoder.eval()


def _begin_from(backbone: nn.Module, path: Path) -> None:
    try:
        load_pretrained(backbone, load_encoder(path), _VIEW)
    except ConfigError as error:
        raise ModelError(f"{path}: does not fit as a backbone: {error}") from None


def _stored(path: Path, kind: str) -> dict[str, Any]:
    stored = load_raw(path)
    if stored["kind"] != kind:
        raise ModelError(f"{path}: holds a {stored['kind']}, expected a {kind}")
    return stored
