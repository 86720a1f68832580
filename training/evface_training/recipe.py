"""Recipes: everything that decides a training, as small YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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
    """Everything that decides a training.

    Attributes:
        task: what is trained: a student on labels ("landmarks") or also on what a teacher says
            ("distill"), a teacher, an encoder without labels ("ssmer"), or the face detector of
            faces on the whole sensor ("detector").
        student, teacher, distill, ssmer: sizes and settings; a task reads those that it is about.
        ssmer_encoder: whose backbone is pretrained.
        representation: what the network looks at: `name` and parameters of a row of
            `evface_edge.representation`, such as {name: multi_scale_surface}.
        detector, scenes: the face detector's size, and the scenes that it learns from instead of
        clips.
        clips: what is simulated; frames: the frame camera, where the task needs RGB as well.
        steps, batch: optimiser steps, clips in each on each process.
        reuse: how often a simulated clip is shown before it is replaced.
        pool: clips that wait to be shown again.
        precision: of the network's arithmetic; weights are always float32.
        human_fraction, video_fraction: of clips made of human-labelled stills, of video frames; the
            rest is made of stills with automatic labels.
        turned_weight: a face turned by 30° to the side is drawn 1 + this times as often as one seen
            from the front: few photographs show turned faces, and most large errors are theirs.
        label_fraction: of the people among the training faces, how many are used at all.
        avatars: avatars to train on where no faces are given.
        validation_clips: how many are drawn to validate with.
        validate_every: steps between two validations; each one saves.
    """

    name: str
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
        if self.seed < 0:
            raise ConfigError("TrainRecipe.seed", self.seed, "0 or more")
        if not 0 <= self.human_fraction + self.video_fraction <= 1:
            raise ConfigError(
                "TrainRecipe.human_fraction", self.human_fraction, "fractions of 1 in all"
            )
        if self.turned_weight < 0:
            raise ConfigError("TrainRecipe.turned_weight", self.turned_weight, "0 or more")
        if not 0 < self.label_fraction <= 1:
            raise ConfigError(
                "TrainRecipe.label_fraction", self.label_fraction, "above 0, at most 1"
            )
        channels = self.event_representation.channels
        read = {"student.in_channels": self.student.in_channels}
        if self.task == "teacher":
            read = {"teacher.event_channels": self.teacher.event_channels}
        for name, found in read.items():
            if found != channels and self.task not in ("ssmer", "detector"):
                expected = f"{channels}, as {self.representation['name']} has"
                raise ConfigError(f"TrainRecipe.{name}", found, expected)

    @property
    def event_representation(self) -> Representation:
        """What the network looks at."""
        if not isinstance(self.representation, Mapping):
            raise ConfigError("representation", self.representation, "name, and its parameters")
        return from_config({**self.representation, "width": self.side, "height": self.side})[0]

    @property
    def side(self) -> int:
        """Of the tensors that are simulated, in pixels."""
        if self.task == "teacher":
            return self.teacher.side
        return self.ssmer.side if self.task == "ssmer" else self.student.side


def bundled_recipes() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name_or_path: str) -> TrainRecipe:
    """A bundled recipe by name, or a file.

    Raises:
        ConfigError: neither, or a recipe with a mistake (named, with the nearest valid key).
    """
    path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        allowed = f"a file, or one of {', '.join(bundled_recipes())}"
        raise ConfigError("recipe", name_or_path, allowed)
    return load_yaml(TrainRecipe, path)
