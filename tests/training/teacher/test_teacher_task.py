"""The loss of the teacher, its gradients, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_training.recipe import load_recipe
from evface_training.teacher.config import FUSIONS, Fusion
from evface_training.teacher.network import Teacher
from evface_training.teacher.task import TeacherTask, laplace_likelihood, normalised_error

SMALL = replace(load_recipe("teacher-tiny").teacher, side=32, layers=1, dropout=0.0)
Clips = Callable[..., dict[str, Tensor]]


def small(fusion: Fusion, **change: object) -> TeacherTask:
    torch.manual_seed(0)
    return TeacherTask(Teacher(replace(SMALL, fusion=fusion, **change)))  # type: ignore[arg-type]


def test_the_error_is_in_eye_distances() -> None:
    truth = torch.rand(2, 98, 2)
    truth[:, 60], truth[:, 72] = torch.tensor([0.3, 0.4]), torch.tensor([0.7, 0.4])
    error = normalised_error(truth + torch.tensor([0.03, 0.04]), truth)
    torch.testing.assert_close(error, torch.full((2, 98), 0.05 / 0.4))


def test_the_loss_weighs_stages_as_the_paper_does(point_clips: Clips) -> None:
    task = small("events").eval()  # clips as they are
    batch = point_clips(4, 32)
    # Every stage moves all points right by `bias` × half a window.
    torch.nn.init.zeros_(task.teacher.to_offset.weight)
    task.teacher.to_offset.bias.data = torch.tensor([0.4, 0.0])
    face = task.teacher.mean_face
    batch["points"] = face.expand(4, -1, -1).clone()
    losses = task(batch, 0)
    eyes = float((face[72] - face[60]).norm())
    moved = [0.4 * sum(SMALL.windows[: stage + 1]) / eyes for stage in range(3)]
    for stage in range(3):
        assert float(losses[f"stage_{stage + 1}"]) == pytest.approx(moved[stage], rel=1e-4)
    # The coarse estimate is the mean face, which is correct here: its loss is 0.
    total = 0.2 * moved[0] + 0.3 * moved[1] + 0.5 * moved[2]
    assert float(losses["total"].detach()) == pytest.approx(
        total + 0.01 * float(losses["sigma"]), rel=1e-4
    )
    assert float(losses["nme_percent"]) == pytest.approx(100 * moved[2], rel=1e-4)


def test_a_coarse_estimate_has_the_weight_of_the_first_stage(point_clips: Clips) -> None:
    batch = point_clips(4, 32)
    with_guess, without = small("events").eval(), small("events", coarse_cells=0).eval()
    batch["points"] = with_guess.teacher.mean_face.expand(4, -1, -1) + torch.tensor([0.03, 0.04])
    face = batch["points"][0]
    away = 0.05 / float((face[72] - face[60]).norm())
    guessed, plain = with_guess(batch, 0), without(batch, 0)
    assert "start" not in plain
    assert float(guessed["start"]) == pytest.approx(away, rel=1e-4)
    # Untrained, all estimates are the mean face: stages 0.2 + 0.3 + 0.5, coarse estimate 0.2.
    expected = 1.2 * away + 0.01 * float(guessed["sigma"])
    assert float(guessed["total"].detach()) == pytest.approx(expected, rel=1e-4)


def test_clips_without_a_face_and_points_of_weight_0_do_not_count(point_clips: Clips) -> None:
    task = small("events").eval()
    batch = point_clips(4, 32)
    batch["presence"][1] = 0
    batch["weights"][2, 10:] = 0
    before = float(task.loss(batch, 0)["total"].detach())
    batch["points"][1] = 7.0
    batch["points"][2, 10:59] = -5.0
    assert float(task.loss(batch, 0)["total"].detach()) == pytest.approx(before, rel=1e-5)


def test_sigma_is_the_standard_deviation_of_laplace_errors() -> None:
    errors = torch.distributions.Laplace(0.0, 0.02).sample((20_000, 1, 2))
    log_sigma = torch.full((20_000, 1), math.log(0.02 * 2**0.5)).requires_grad_()
    laplace_likelihood(errors, log_sigma, torch.zeros(20_000, 1, 2)).mean().backward()
    # At the true σ the mean slope is zero: the likelihood is greatest there.
    assert log_sigma.grad is not None
    assert abs(float(log_sigma.grad.sum())) < 0.03


def test_sigma_changes_no_coordinate(point_clips: Clips) -> None:
    task = small("events")
    output = task.teacher(point_clips(2, 32)["events"].float() / 255)
    output.log_sigma.sum().backward()
    reached = {n for n, p in task.teacher.named_parameters() if p.grad is not None}
    assert reached == {"to_log_sigma.weight", "to_log_sigma.bias"}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_all_weights_get_a_gradient_with_and_without_rgb(
    fusion: Fusion, point_clips: Clips, left_out: Callable[..., list[str]]
) -> None:
    for chance in (0.0, 0.999):
        task = small(fusion, rgb_dropout=chance)
        assert left_out(task, point_clips(2, 32)) == []


@pytest.mark.parametrize("fusion", ["cmfa", "efnet"])
def test_the_frozen_side_does_not_change(
    fusion: Fusion, point_clips: Clips, teach: Callable[..., list[dict[str, float]]]
) -> None:
    task = small(fusion)
    side = task.teacher.rgb or task.teacher.rgb_backbone
    assert side is not None
    before = {name: value.clone() for name, value in side.state_dict().items()}
    teach(task, point_clips(2, 32), 2, 1e-2)
    for name, value in side.state_dict().items():  # running means of BatchNorm among them
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_it_can_overfit_eight_clips(
    point_clips: Clips, teach: Callable[..., list[dict[str, float]]]
) -> None:
    history = teach(small("cmfa"), point_clips(8, 32), 45, 1e-3)
    assert history[-1]["nme_percent"] < 0.6 * history[0]["nme_percent"]


def test_a_batch_without_rgb_is_an_error_where_it_is_needed(point_clips: Clips) -> None:
    batch = point_clips(2, 32)
    del batch["rgb"]
    small("events")(batch, 0)
    with pytest.raises(ConfigError, match="rgb", check=lambda e: e.field == "batch"):
        small("cmfa")(batch, 0)
