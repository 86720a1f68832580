"""Weights that a training starts from: checkpoints of other trainings, or an ONNX model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ModelError
from evface_edge.models import FLOAT_PRECISION
from evface_edge.representation import to_config
from evface_training.checkpoint import check_kind, load_raw, load_weights
from evface_training.clip_maker import draw_clips
from evface_training.config import build
from evface_training.data.avatars import load_avatars
from evface_training.networks.from_onnx import student_from_onnx
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe
from evface_training.ssmer.network import Encoder, SharedEncoder
from evface_training.ssmer.task import load_pretrained
from evface_training.teacher.config import TeacherConfig
from evface_training.teacher.network import Teacher

#: The view of SSMER with the same input as student and teacher: a voxel grid of five bins.
_VIEW = "voxel"
#: Clips of avatars that give a student read from ONNX its BatchNorm statistics.
_STATISTICS_CLIPS = 128


@dataclass(frozen=True)
class InitWeights:
    """Files that a training starts from.

    Attributes:
        encoder: SSMER checkpoint; becomes the backbone of the event side.
        rgb_side: checkpoint of a teacher with fusion "rgb"; its RGB side is used, frozen.
        teacher: checkpoint of the teacher to distil from.
        student: weights of a student of the same size: a checkpoint, or a float32 ONNX model
            exported by this project.
    """

    encoder: Path | None = None
    rgb_side: Path | None = None
    teacher: Path | None = None
    student: Path | None = None

    def fingerprints(self) -> dict[str, str]:
        """Field → SHA-256 of its file."""
        paths = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in paths.items()
            if path is not None
        }


def initial_student(recipe: TrainRecipe, init_weights: InitWeights) -> Student:
    """The student of a recipe: fresh, with a pretrained backbone, or with given weights.

    Raises:
        ConfigError: both `encoder` and `student` are given.
        ModelError: a file cannot be read, or does not fit the recipe.
    """
    encoder, weights = init_weights.encoder, init_weights.student
    if encoder is not None and weights is not None:
        raise ConfigError("--encoder", str(encoder), "none with --student, which has a backbone")
    if weights is not None and weights.suffix.lower() == ".onnx":
        return _student_from_onnx(recipe, weights)
    student = Student(recipe.student)
    if encoder is not None:
        load_backbone(student.backbone, encoder)
    if weights is not None:
        load_weights(student, _load_kind(weights, "student")["network"], weights)
    return student


def _student_from_onnx(recipe: TrainRecipe, path: Path) -> Student:
    card, side = read_card(path), recipe.side
    if card.precision != FLOAT_PRECISION:
        raise ModelError(
            f"precision {card.precision}, expected {FLOAT_PRECISION}",
            path=path,
            field="precision",
            value=card.precision,
            expected=FLOAT_PRECISION,
        )
    expected = to_config(recipe.event_representation, (side, side))
    if card.representation != expected:
        raise ModelError(
            f"representation {dict(card.representation)}, expected {expected} as in the recipe",
            path=path,
            field="representation",
            value=card.representation,
            expected=str(expected),
        )
    clips = draw_clips(load_avatars(), recipe, _STATISTICS_CLIPS, recipe.seed)
    return student_from_onnx(path, recipe.student, clips.inputs)


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Copy a pretrained encoder of SSMER into the backbone of a student or teacher.

    Raises:
        ModelError: the file cannot be read, or the encoder has another size.
    """
    try:
        load_pretrained(backbone, load_encoder(path), _VIEW)
    except ConfigError as error:
        raise ModelError(f"does not fit as a backbone: {error}", path=path) from None


def ssmer_encoder(recipe: TrainRecipe) -> Encoder:
    """The fresh backbone that SSMER pretrains: that of the recipe's student or teacher."""
    if recipe.ssmer_encoder == "student":
        return Encoder.of_student(recipe.student)
    teacher = recipe.teacher
    return Encoder.of_hrnet(replace(teacher.backbone, in_channels=teacher.event_channels))


def load_encoder(path: Path) -> SharedEncoder:
    """The shared encoder in an SSMER checkpoint, in eval mode.

    Raises:
        ModelError: missing, damaged, or of another task.
    """
    stored = _load_kind(path, "ssmer")
    recipe = build(TrainRecipe, json.loads(stored["recipe"]), str(path))
    encoder = SharedEncoder(ssmer_encoder(recipe), recipe.ssmer.views)
    load_weights(encoder, stored["network"], path)
    return encoder.eval()


def load_teacher(path: Path) -> Teacher:
    """The teacher in a checkpoint, in eval mode.

    Raises:
        ModelError: missing, damaged, or of another task.
    """
    stored = _load_kind(path, "teacher")
    teacher = Teacher(build(TeacherConfig, json.loads(stored["config"]), str(path)))
    load_weights(teacher, stored["network"], path)
    return teacher.eval()


def _load_kind(path: Path, kind: str) -> dict[str, Any]:
    stored = load_raw(path)
    check_kind(path, stored, kind)
    return stored
