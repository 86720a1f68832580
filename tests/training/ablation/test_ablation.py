"""The ablation study, at its smallest size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evface_edge.errors import ConfigError
from evface_training.ablation.measure import (
    CLIP_SETS,
    draw_clip_sets,
    evaluate,
    measure_cost,
)
from evface_training.ablation.plan import ROWS, trainings
from evface_training.ablation.run import Ablation, run_ablation
from evface_training.ablation.table import as_markdown
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import load_recipe
from evface_training.tasks.table import TASKS
from evface_training.teacher.network import Teacher
from evface_training.trainer.machine import Machine

SMOKE = Ablation("smoke", steps=2, pretraining_steps=2, seeds=1, clips=4)
CPU = Machine("cpu", threads=1, workers=0)


def test_every_row_is_trained_and_every_training_is_used() -> None:
    plan = trainings("tiny", 10, 5, seed=1)
    rows = [row for rows in ROWS.values() for row in rows]
    assert set(rows) <= set(plan)
    started_from = {start for one in plan.values() for start in one.init_weights.values()}
    assert set(plan) - set(rows) <= started_from
    order = list(plan)
    for name, one in plan.items():
        spec = TASKS[one.recipe.task]
        given = set(one.init_weights)
        assert set(spec.required) <= given <= {*spec.required, *spec.optional}
        assert all(order.index(start) < order.index(name) for start in one.init_weights.values())


def test_rows_differ_as_their_names_say() -> None:
    plan = trainings("base", 10, 5, seed=3)
    events, pretrained = plan["events"], plan["events + SSMER, all three"]
    assert events.recipe == pretrained.recipe
    assert plan["encoder, all three"].recipe.ssmer.views == ("frame", "voxel", "surface")
    assert plan["encoder, all three"].recipe.optimiser.name == "sgd"  # as published
    assert plan["encoder, Adam"].recipe.optimiser.name == "adam"
    assert plan["encoder, MIRROR"].recipe.ssmer.objective == "mirror"
    assert plan["events, 1 % of labels"].recipe == replace(events.recipe, label_fraction=0.01)
    assert plan["EFNet fusion"].recipe.teacher.fusion == "efnet"
    assert {one.recipe.seed for one in plan.values()} == {3}


def test_a_study_resumes_and_repeats_nothing(tmp_path: Path, drawn_faces: FaceSet) -> None:
    first, last = (
        drawn_faces.select(torch.arange(8).numpy()),
        drawn_faces.select(torch.arange(8, 12).numpy()),
    )
    log: list[str] = []
    fused = replace(SMOKE, rows=("CMFA", "student"))
    table = run_ablation(fused, first, last, tmp_path, CPU, log.append)
    trained = [text for text in log if text.startswith("training")]
    assert trained == ["training RGB (0)", "training CMFA (0)", "training student (0)"]
    stored = json.loads((tmp_path / "results.json").read_text())
    assert set(stored["rows"]) == {"CMFA", "student"}
    assert set(stored["rows"]["student"]["0"]) == set(CLIP_SETS)
    assert "dark, events alone" in stored["rows"]["CMFA"]["0"]
    assert "| CMFA | 1 |" in table.read_text()
    assert (tmp_path / "ablation.png").stat().st_size > 5000

    log.clear()
    run_ablation(replace(SMOKE, rows=("RGB", "student")), first, last, tmp_path, CPU, log.append)
    assert not [text for text in log if text.startswith("training")]  # RGB was there already
    with pytest.raises(ConfigError, check=lambda e: (e.field, e.value) == ("steps", 3)):
        run_ablation(replace(SMOKE, steps=3), first, last, tmp_path, CPU)


@pytest.mark.parametrize("row", ["student + SSMER", "events + SSMER, frame", "EFNet fusion"])
def test_other_rows_train(tmp_path: Path, drawn_faces: FaceSet, row: str) -> None:
    run_ablation(replace(SMOKE, rows=(row,)), drawn_faces, drawn_faces, tmp_path, CPU)
    assert f"| {row} |" in (tmp_path / "table.md").read_text()


def test_clip_sets_are_as_their_names_say(drawn_faces: FaceSet) -> None:
    recipe = trainings("smoke", 1, 1, 1)["RGB"].recipe
    clip_sets = draw_clip_sets(drawn_faces, recipe, 12)
    light = {name: clips.lux.median() for name, clips in clip_sets.items()}
    speed = {name: clips.speed_deg_per_s.median() for name, clips in clip_sets.items()}
    assert light["dark"] < 2 < 100 < light["sharp"]
    assert speed["blurred"] > 4 * speed["sharp"]
    again = draw_clip_sets(drawn_faces, recipe, 12)
    assert torch.equal(clip_sets["dark"].inputs, again["dark"].inputs)


def test_the_error_is_that_of_the_network(drawn_faces: FaceSet) -> None:
    """The labels plus a tenth of the distance of the eyes have an NME of 10 %."""
    recipe = trainings("smoke", 1, 1, 1)["student"].recipe
    clip_sets = {"sharp": draw_clip_sets(drawn_faces, recipe, 8)["sharp"]}

    class Shifted(Student):
        def forward(self, events: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            points = clip_sets["sharp"].points
            eyes = (points[:, 60] - points[:, 72]).norm(dim=-1)
            shift = torch.stack([eyes * 0.1, torch.zeros_like(eyes)], -1)
            _, sigma, presence = super().forward(events)
            return points + shift[:, None], sigma, presence

    assert evaluate(Shifted(recipe.student), clip_sets)["sharp"] == pytest.approx(10.0, abs=1e-3)


def test_costs_are_those_of_the_layers() -> None:
    student = Student(StudentConfig(stem="patch", side=64, channels=(16, 16, 32), hidden=16))
    cost = measure_cost(student.eval(), repeats=2)
    assert cost.parameters == sum(p.numel() for p in student.parameters())
    patches = 2 * 16 * 16 * 16 * 10 * 4 * 4  # the stem alone: 16 × 16 places, 4 × 4 × 10 → 16
    assert cost.flops > patches
    assert cost.ms > 0
    tiny = load_recipe("teacher-tiny").teacher
    small = measure_cost(Teacher(replace(tiny, fusion="events")).eval(), repeats=1)
    both = measure_cost(Teacher(replace(tiny, fusion="cmfa")).eval(), repeats=1)
    assert small.flops < both.flops


def test_the_table() -> None:
    stored = {
        "settings": {"size": "tiny", "steps": 4000, "pretraining_steps": 300, "clips": 64},
        "rows": {"events": {"0": {"sharp": 4.0, "dark": 8.0}, "1": {"sharp": 5.0, "dark": 9.0}}},
        "costs": {"events": {"parameters": 1_500_000, "flops": 2_000_000_000, "ms": 3.14}},
    }
    text = as_markdown(stored)
    assert "4,000 steps on labels, 300 without" in text
    assert "| events | 2 | 4.50 ± 0.50 | 8.50 ± 0.50 | 1.50 | 2.00 | 3.1 |" in text
    assert "CMFA" not in text


def test_wrong_settings_are_errors() -> None:
    with pytest.raises(ConfigError, match="CMFA", check=lambda e: e.field == "--row"):
        Ablation(rows=("CFMA",))
    with pytest.raises(ConfigError, check=lambda e: e.field == "Ablation.steps"):
        Ablation(steps=0)
    with pytest.raises(ConfigError, check=lambda e: e.field == "--size"):
        trainings("huge", 1, 1, 1)  # type: ignore[arg-type]
