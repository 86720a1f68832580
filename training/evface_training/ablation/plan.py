"""The trainings of the ablation study, and which of them start from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from evface_edge.errors import ConfigError
from evface_training.networks.hrnet import HRNetConfig
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe, load_recipe
from evface_training.ssmer.task import SsmerConfig
from evface_training.teacher.config import Fusion, TeacherConfig
from evface_training.trainer.optimiser import OptimiserConfig

#: tiny and base are the recipes teacher-tiny and teacher-base; smoke only tests that all runs.
AblationSize = Literal["smoke", "tiny", "base"]
_SMOKE = TeacherConfig(
    side=64,
    backbone=HRNetConfig(
        stem=8, bottlenecks=1, width=8, modules=(1,), blocks=1, out_channels=16
    ),
    layers=1,
    heads=2,
    feed_forward=16,
    grid=3,
)  # fmt: skip
_STUDENTS: Mapping[str, StudentConfig] = {
    "smoke": StudentConfig(stem="patch", side=64, channels=(16, 16, 32), hidden=16),
    "tiny": StudentConfig(stem="patch", side=64, channels=(32, 64, 128)),
    "base": StudentConfig(stem="patch", channels=(48, 96, 192)),
}
#: Pretraining needs larger batches: it compares clips within a batch.
_BATCH = {"smoke": 4, "tiny": 24, "base": 64}
_PRETRAINING_BATCH = {"smoke": 4, "tiny": 48, "base": 64}
#: Heading → rows of the table. Trainings that only others start from are in no row.
ROWS: Mapping[str, tuple[str, ...]] = {
    "Pretraining and fusion": (
        "events",
        "events + SSMER, frame",
        "events + SSMER, voxel",
        "events + SSMER, surface",
        "events + SSMER, all three",
        "events + SSMER, all three, Adam",
        "events + SSMER, all three, Adam, by place",
        "events + MIRROR, all three",
        "RGB",
        "CMFA",
        "CMFA + SSMER",
        "EFNet fusion",
    ),
    "Few labels": (
        "events, 1 % of labels",
        "events + SSMER, 1 % of labels",
        "events, 10 % of labels",
        "events + SSMER, 10 % of labels",
    ),
    "Student": ("student", "student + SSMER", "student, distilled"),
    # As "student" (SimCC, voxel grid), except for what the name says.
    "Head and representation": (
        "student, regression",
        "student, heatmap",
        "student, event frame",
        "student, time surface",
        "student, multi-scale surface",
        "student, adaptive surface",
    ),
}
#: Row → representation and its number of channels.
_REPRESENTATIONS: Mapping[str, tuple[Mapping[str, object], int]] = {
    "event frame": ({"name": "event_frame", "normalisation": "mean"}, 2),
    "time surface": ({"name": "time_surface"}, 2),
    "multi-scale surface": ({"name": "multi_scale_surface"}, 10),
    "adaptive surface": ({"name": "adaptive_surface"}, 1),
}


@dataclass(frozen=True)
class Training:
    """One network of the ablation.

    Attributes:
        init_weights: field of `InitWeights` → name of the training that makes this checkpoint.
    """

    recipe: TrainRecipe
    init_weights: Mapping[str, str] = field(default_factory=dict)


def trainings(
    size: AblationSize, steps: int, pretraining_steps: int, seed: int
) -> dict[str, Training]:
    """All trainings by name, each after those that it starts from.

    Args:
        steps: of each training on labels.
        pretraining_steps: of each SSMER training.

    Raises:
        ConfigError: an unknown size, fewer steps than 1.
    """
    if size not in _STUDENTS:
        raise ConfigError("--size", size, f"one of {', '.join(_STUDENTS)}")
    teacher = _SMOKE if size == "smoke" else load_recipe(f"teacher-{size}").teacher
    common = TrainRecipe(
        name="ablation",
        teacher=teacher,
        student=_STUDENTS[size],
        steps=steps,
        batch=_BATCH[size],
        reuse=8.0,
        pool=128 * _BATCH[size],
        seed=seed,
        validation_clips=8 if size == "smoke" else 256,
        validate_every=max(1, steps // 4),
    )

    def supervised(fusion: Fusion, labels: float = 1.0) -> TrainRecipe:
        return replace(
            common,
            task="teacher",
            teacher=replace(teacher, fusion=fusion),
            label_fraction=labels,
            optimiser=OptimiserConfig(name="adam", learning_rate=1e-3, weight_decay=0.0),
        )

    def pretrained(
        views: tuple[str, ...],
        objective: Literal["simsiam", "mirror"] = "simsiam",
        encoder: Literal["teacher", "student"] = "teacher",
        grid: int = 1,
        with_adam: bool = False,
    ) -> TrainRecipe:
        width, batch = 64 if size == "smoke" else 512, _PRETRAINING_BATCH[size]
        side = common.student.side if encoder == "student" else teacher.side
        ssmer = SsmerConfig(
            views, objective, side, grid=grid, projection=width, prediction=width // 4
        )
        # SGD at 0.05 × batch ÷ 256, as in SimSiam and the paper, is meant for 90,000 steps; in a
        # few thousand it hardly moves the weights.
        optimiser = OptimiserConfig(
            name="adam" if with_adam else "sgd",
            learning_rate=1e-3 if with_adam else 0.05 * batch / 256,
            weight_decay=1e-4,
            floor=0.0,
        )
        return replace(
            common,
            task="ssmer",
            batch=batch,
            ssmer_encoder=encoder,
            ssmer=ssmer,
            steps=pretraining_steps,
            validate_every=max(1, pretraining_steps // 4),
            reuse=8.0,
            pool=16 * batch,
            optimiser=optimiser,
        )

    views = ("frame", "voxel", "surface")
    from_rgb, from_all = {"rgb_side": "RGB"}, {"encoder": "encoder, all three"}
    student = replace(common, task="landmarks")
    return {
        **{f"encoder, {view}": Training(pretrained((view,))) for view in views},
        "encoder, all three": Training(pretrained(views)),
        "encoder, Adam": Training(pretrained(views, with_adam=True)),
        "encoder, by place": Training(pretrained(views, grid=4, with_adam=True)),
        "encoder, MIRROR": Training(pretrained(views, "mirror")),
        "encoder of the student": Training(pretrained(views, encoder="student")),
        "events": Training(supervised("events")),
        **{
            f"events + SSMER, {view}": Training(
                supervised("events"), {"encoder": f"encoder, {view}"}
            )
            for view in views
        },
        "events + SSMER, all three": Training(supervised("events"), from_all),
        "events + SSMER, all three, Adam": Training(
            supervised("events"), {"encoder": "encoder, Adam"}
        ),
        "events + SSMER, all three, Adam, by place": Training(
            supervised("events"), {"encoder": "encoder, by place"}
        ),
        "events + MIRROR, all three": Training(
            supervised("events"), {"encoder": "encoder, MIRROR"}
        ),
        "RGB": Training(supervised("rgb")),
        "CMFA": Training(supervised("cmfa"), from_rgb),
        "CMFA + SSMER": Training(supervised("cmfa"), {**from_rgb, **from_all}),
        "EFNet fusion": Training(supervised("efnet"), from_rgb),
        **{
            f"events{plus}, {percent} % of labels": Training(
                supervised("events", percent / 100), from_all if plus else {}
            )
            for percent in (1, 10)
            for plus in ("", " + SSMER")
        },
        "student": Training(student),
        "student + SSMER": Training(student, {"encoder": "encoder of the student"}),
        "student, distilled": Training(
            replace(common, task="distill"), {"teacher": "CMFA + SSMER"}
        ),
        **{
            f"student, {head}": Training(
                replace(student, student=replace(common.student, head=head))
            )
            for head in ("regression", "heatmap")
        },
        **{
            f"student, {name}": Training(
                replace(
                    student,
                    representation=representation,
                    student=replace(common.student, in_channels=channels),
                )
            )
            for name, (representation, channels) in _REPRESENTATIONS.items()
        },
    }
