"""Recipes: all settings of a training, in a small YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evface_edge.card import WindowPolicy
from evface_edge.errors import ConfigError
from evface_edge.representation import Representation, from_config
from evface_training.avatar.stills import AvatarStills
from evface_training.config import load_yaml
from evface_training.detector.network import DetectorConfig
from evface_training.detector.scenes import ScenePrior
from evface_training.networks.student_config import StudentConfig
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.frame_camera import FrameCameraPrior
from evface_training.ssmer.task import SsmerConfig
from evface_training.tasks.distillation import DistillConfig
from evface_training.teacher.config import TeacherConfig
from evface_training.trainer.optimiser import OptimiserConfig

FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class TrainRecipe:
    """All settings of a training.

    Attributes:
        name: of the model, as its card has it.
        version: of the weights, as the card has it.
        crop_scale: side of the square crop ÷ longer side of the face box, with which the trained
            model is used; by default the geometric mean of `clips.crop_scale`.
        window: which events make one input of the trained model.
        task: "landmarks" trains a student on labels, "distill" on labels and a teacher; "teacher"
            trains a teacher, "ssmer" pretrains an encoder without labels, "detector" trains the
            face detector.
        student, teacher, distill, ssmer: sizes and settings; each task reads its own.
        ssmer_encoder: whose backbone SSMER pretrains.
        representation: input of the network: `name` and parameters of a row of
            `evface_edge.representation`, such as {name: multi_scale_surface}.
        detector, scenes: size of the face detector, and the scenes that replace clips for it.
        clips: what is simulated.
        frames: the frame camera, for tasks that need RGB.
        avatars: avatars to train on if no faces are given.
        steps: optimiser steps.
        batch: clips in a step, on each process.
        reuse: how often a simulated clip is used before it is replaced.
        pool: clips kept to be used again.
        precision: of the network's arithmetic; weights are always float32.
        human_fraction: fraction of clips made of human-labelled stills.
        video_fraction: fraction of clips made of video frames; the rest is made of stills with
            automatic labels.
        turned_weight: a face turned by 30° to the side is drawn 1 + this times as often as a
            frontal one: photographs show few turned faces, and most large errors are theirs.
        label_fraction: fraction of the people among the training faces that is used.
        seed: random seed.
        validation_clips: number of clips to validate on.
        validate_every: steps between two validations; each one saves.
    """

    name: str
    version: str = "0.0.0"
    crop_scale: float | None = None
    window: WindowPolicy = field(default_factory=lambda: WindowPolicy(0.7, 1_000, 40_000, 200_000))
    task: Literal["landmarks", "ssmer", "teacher", "distill", "detector"] = "landmarks"
    student: StudentConfig = field(default_factory=StudentConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    ssmer: SsmerConfig = field(default_factory=SsmerConfig)
    ssmer_encoder: Literal["student", "teacher"] = "student"
    representation: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "voxel_grid", "bins": 5, "normalisation": "mean"}
    )
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    scenes: ScenePrior = field(default_factory=ScenePrior)
    clips: ClipPrior = field(default_factory=ClipPrior)
    frames: FrameCameraPrior = field(default_factory=FrameCameraPrior)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    avatars: AvatarStills | None = None
    steps: int = 7000
    batch: int = 96
    reuse: float = 1.5
    pool: int = 3072
    precision: Literal["bf16", "fp32"] = "bf16"
    human_fraction: float = 0.45
    video_fraction: float = 0.15
    turned_weight: float = 0.0
    label_fraction: float = 1.0
    seed: int = 1
    validation_clips: int = 512
    validate_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "validation_clips"):
            if getattr(self, name) < 1:
                raise ConfigError(f"TrainRecipe.{name}", getattr(self, name), "1 or more")
        if self.reuse < 1:
            raise ConfigError("TrainRecipe.reuse", self.reuse, "1 or more")
        if self.reuse > 1 and self.pool < 2 * self.batch:
            raise ConfigError(
                "TrainRecipe.pool", self.pool, f"2 × batch ({2 * self.batch}) or more"
            )
        if self.crop_scale is not None and self.crop_scale < 1:
            raise ConfigError("TrainRecipe.crop_scale", self.crop_scale, "1 or more")
        if self.seed < 0:
            raise ConfigError("TrainRecipe.seed", self.seed, "0 or more")
        if not 0 <= self.human_fraction + self.video_fraction <= 1:
            raise ConfigError(
                "TrainRecipe.human_fraction", self.human_fraction, "fractions of 1 in total"
            )
        if self.turned_weight < 0:
            raise ConfigError("TrainRecipe.turned_weight", self.turned_weight, "0 or more")
        if not 0 < self.label_fraction <= 1:
            raise ConfigError(
                "TrainRecipe.label_fraction", self.label_fraction, "above 0, at most 1"
            )
        channels = self.event_representation.channels
        settings = {"student.in_channels": self.student.in_channels}
        if self.task == "teacher":
            settings = {"teacher.event_channels": self.teacher.event_channels}
        for name, value in settings.items():
            if value != channels and self.task not in ("ssmer", "detector"):
                expected = f"{channels}, as {self.representation['name']} has"
                raise ConfigError(f"TrainRecipe.{name}", value, expected)

    @property
    def event_representation(self) -> Representation:
        """The input of the network."""
        if not isinstance(self.representation, Mapping):
            raise ConfigError("representation", self.representation, "name, and its parameters")
        return from_config({**self.representation, "width": self.side, "height": self.side})[0]

    @property
    def side(self) -> int:
        """Side of the simulated tensors, in pixels."""
        if self.task == "teacher":
            return self.teacher.side
        return self.ssmer.side if self.task == "ssmer" else self.student.side


def bundled_recipes() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name_or_path: str) -> TrainRecipe:
    """A bundled recipe by name, or a file.

    Raises:
        ConfigError: neither, or a recipe with a wrong key (the nearest valid one is suggested) or
            value.
    """
    path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        allowed = f"a file, or one of {', '.join(bundled_recipes())}"
        raise ConfigError("recipe", name_or_path, allowed)
    return load_yaml(TrainRecipe, path)
