"""Properties of every task: bfloat16, and the same step from the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import load_recipe
from evface_training.ssmer.events import PackedEvents
from evface_training.ssmer.network import Encoder
from evface_training.ssmer.task import SsmerConfig, SsmerTask
from evface_training.tasks.base import Task
from evface_training.tasks.distillation import DistillConfig, DistillTask
from evface_training.tasks.student import StudentTask
from evface_training.teacher.network import Teacher
from evface_training.teacher.task import TeacherTask

STUDENT = StudentConfig(side=32, channels=(16, 16, 16, 32), blocks=(0, 0, 0), hidden=32)


def teacher() -> Teacher:
    """One that already moves points: its output layer starts at zero."""
    network = Teacher(replace(load_recipe("teacher-tiny").teacher, side=32, layers=1))
    torch.nn.init.normal_(network.to_offset.weight, std=0.05)
    return network


def ssmer(objective: str) -> SsmerTask:
    config = SsmerConfig(side=32, projection=32, prediction=16, objective=objective)  # type: ignore[arg-type]
    return SsmerTask(Encoder.of_student(STUDENT), config)


TASKS: dict[str, Callable[[], Task]] = {
    "student": lambda: StudentTask(Student(STUDENT)),
    "teacher": lambda: TeacherTask(teacher()),
    "simsiam": lambda: ssmer("simsiam"),
    "mirror": lambda: ssmer("mirror"),
    "distill": lambda: DistillTask(Student(STUDENT), teacher(), DistillConfig(), 10),
}


@pytest.fixture(scope="module")
def batch(point_clips: Callable[..., dict[str, Tensor]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    clip = torch.arange(4).repeat_interleave(300)
    time = torch.rand(4, 300).sort(1).values.flatten()
    x, y = torch.rand(2, len(clip))
    on = torch.randint(2, (len(clip),))
    events = PackedEvents(clip, time, x, y, on, torch.full((4,), 3e4))
    return point_clips(4, 32) | events.to_batch(512)


@pytest.mark.parametrize("name", TASKS)
def test_bfloat16_changes_a_loss_by_rounding_only(name: str, batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    task = TASKS[name]()
    totals = {}
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses = task(batch, 1)
        assert all(value.dtype == torch.float32 for value in losses.values())
        totals[enabled] = float(losses["total"].detach())
        losses["total"].backward()
    assert totals[True] == pytest.approx(totals[False], rel=0.1, abs=0.1)
    assert all(p.grad.isfinite().all() for p in task.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", TASKS)
def test_a_step_depends_on_the_seed_before_it(name: str, batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    task = TASKS[name]()
    state = {key: value.clone() for key, value in task.state_dict().items()}
    totals = []
    for seed in (5, 5, 6):
        task.load_state_dict(state)
        torch.manual_seed(seed)
        totals.append(float(task(batch, 1)["total"].detach()))
    assert totals[0] == totals[1]
    assert totals[0] != totals[2]


@pytest.mark.parametrize("name", TASKS)
def test_the_network_is_part_of_the_task(name: str) -> None:
    task = TASKS[name]()
    assert any(module is task.network for module in task.modules())
