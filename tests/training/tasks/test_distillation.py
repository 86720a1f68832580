"""The teacher's part in the loss: its weight over time, and what it must not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import load_recipe
from evface_training.tasks.distillation import (
    DistillConfig,
    DistillTask,
    normalised_mse,
    precision_weights,
    smooth_l1,
    teacher_weight,
)
from evface_training.tasks.student import StudentTask
from evface_training.teacher.config import Fusion
from evface_training.teacher.network import Teacher

STUDENT = StudentConfig(side=32, channels=(16, 16, 16, 32), blocks=(0, 0, 0), hidden=32)
TEACHER = replace(load_recipe("teacher-tiny").teacher, side=32, layers=1)
Clips = Callable[..., dict[str, Tensor]]


def task(fusion: Fusion = "events", steps: int = 10, **change: object) -> DistillTask:
    torch.manual_seed(0)
    teacher = Teacher(replace(TEACHER, fusion=fusion))
    torch.nn.init.normal_(teacher.to_offset.weight, std=0.05)
    return DistillTask(Student(STUDENT), teacher, DistillConfig(**change), steps)  # type: ignore[arg-type]


def test_the_weight_of_the_teacher_falls_linearly() -> None:
    assert [teacher_weight(step, 4) for step in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]


def test_weights_are_relative_precisions() -> None:
    log_sigma = torch.log(torch.tensor([[0.1, 0.2, 0.2, 0.001]]))
    weights = torch.tensor([[1.0, 1.0, 0.5, 0.0]])
    precision = torch.tensor([100.0, 25.0, 25.0])  # the fourth is not counted
    expected = weights[0, :3] * precision / precision.mean()
    torch.testing.assert_close(precision_weights(log_sigma, weights)[0, :3], expected)
    assert float(precision_weights(log_sigma, weights)[0, 3]) == 0
    sure = torch.tensor([[-9.0] + [0.0] * 97])
    assert float(precision_weights(sure, torch.ones(1, 98)).max()) == 10


def test_smooth_l1_near_and_far() -> None:
    points = torch.zeros(1, 2, 2)
    targets = torch.tensor([[[0.004, 0.0], [0.03, -0.04]]])
    expected = torch.tensor([[0.5 * 0.004**2 / 0.01, 0.03 + 0.04 - 0.01]])
    torch.testing.assert_close(smooth_l1(points, targets, beta=0.01), expected)


def test_features_are_compared_by_direction() -> None:
    teacher = torch.randn(2, 5, 8, 8)
    pooled = torch.nn.functional.avg_pool2d(teacher, 4)
    assert float(normalised_mse(3 * pooled, teacher)) == pytest.approx(0, abs=1e-6)
    assert float(normalised_mse(-pooled, teacher)) == pytest.approx(4, abs=1e-5)
    x, y = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    x[:, 0], y[:, 1] = 1, 1
    assert float(normalised_mse(x, y)) == pytest.approx(2)


def test_at_the_end_only_labels_count(point_clips: Clips) -> None:
    distilled, batch = task(steps=10), point_clips(4, 32)
    alone = StudentTask(distilled.student)
    distilled.eval()
    first, last = distilled.loss(batch, 0), distilled.loss(batch, 10)
    labels = alone.loss(batch, 0)["total"]
    torch.testing.assert_close(last["total"], labels)
    assert float(last["teacher_weight"]) == 0
    parts = labels + first["landmarks"] + first["features"]
    torch.testing.assert_close(first["total"], parts)
    assert float(first["total"].detach()) > float(labels.detach())


def test_points_of_unlabelled_clips_do_not_count(point_clips: Clips) -> None:
    distilled, batch = task().eval(), point_clips(4, 32)
    batch["labelled"] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    before = distilled.loss(batch, 3)
    batch["points"] = batch["points"].clone()
    batch["points"][1], batch["points"][3] = -9.0, 0.5
    after = distilled.loss(batch, 3)
    for name in before:
        torch.testing.assert_close(after[name], before[name])
    # At the end they still have the teacher.
    assert float(distilled.loss(batch, 10)["landmarks"]) > 0


@pytest.mark.parametrize("targets", ["distribution", "smooth_l1"])
def test_a_student_learns_from_the_teacher_alone(
    targets: str, point_clips: Clips, teach: Callable[..., list[dict[str, float]]]
) -> None:
    distilled, batch = task(targets=targets, features=0.0, steps=40), point_clips(8, 32)
    batch["labelled"] = torch.zeros(8)
    batch["points"] = torch.full_like(batch["points"], 9.0)
    teach(distilled, batch, 40, 6e-3)
    distilled.eval()
    events = batch["events"].float() / 255
    with torch.no_grad():
        predicted, target = distilled.student(events)[0], distilled.teacher(events).points
    start = (0.5 - target).norm(dim=-1).mean()
    assert float((predicted - target).norm(dim=-1).mean()) < 0.4 * float(start)


@pytest.mark.parametrize("fusion", ["events", "cmfa", "efnet", "rgb"])
def test_the_teacher_stays_as_it_is(
    fusion: Fusion, point_clips: Clips, teach: Callable[..., list[dict[str, float]]]
) -> None:
    distilled, batch = task(fusion), point_clips(4, 32)
    before = {name: value.clone() for name, value in distilled.teacher.state_dict().items()}
    student = {name: value.clone() for name, value in distilled.student.state_dict().items()}
    teach(distilled, batch, 2, 1e-2)
    for name, value in distilled.teacher.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert any(
        not torch.equal(value, student[name])
        for name, value in distilled.student.state_dict().items()
    )


def test_the_teacher_gets_rgb_unless_it_is_switched_off(point_clips: Clips) -> None:
    batch = point_clips(4, 32)
    shown, hidden = task("cmfa").eval(), task("cmfa", rgb=False).eval()
    with_rgb = float(shown.loss(batch, 0)["landmarks"])
    del batch["rgb"]
    assert float(hidden.loss(batch, 0)["landmarks"]) != with_rgb
    hidden(batch, 0)
    for needs_rgb in (shown, task("rgb", rgb=False)):
        with pytest.raises(ConfigError, match="rgb", check=lambda e: e.field == "batch"):
            needs_rgb(batch, 0)


def test_a_teacher_with_a_larger_side_gets_larger_images(point_clips: Clips) -> None:
    torch.manual_seed(0)
    teacher = Teacher(replace(TEACHER, side=64, fusion="cmfa"))
    larger = DistillTask(Student(STUDENT), teacher, DistillConfig(), 10).eval()
    sides: list[int] = []
    for stream in (teacher.events, teacher.rgb):
        assert stream is not None
        stream.backbone.register_forward_pre_hook(lambda _, x: sides.append(x[0].shape[-1]))
    larger(point_clips(2, 32), 0)
    assert sides == [64, 64]


@pytest.mark.parametrize("step", [0, 10])
def test_all_weights_get_a_gradient(
    step: int, point_clips: Clips, left_out: Callable[..., list[str]]
) -> None:
    assert left_out(task(steps=max(step, 1)), point_clips(2, 32)) == []


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, check=lambda e: e.field == "DistillConfig.features"):
        DistillConfig(features=-1)
    with pytest.raises(ConfigError, check=lambda e: e.field == "DistillConfig.targets"):
        DistillConfig(targets="l1")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, check=lambda e: e.field == "teacher.event_channels"):
        DistillTask(
            Student(STUDENT), Teacher(replace(TEACHER, event_channels=3)), DistillConfig(), 5
        )
