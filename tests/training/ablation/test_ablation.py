"""The ablation, at a size that shows that everything runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evface_edge.errors import ConfigError
from evface_training.ablation.measure import MOMENTS, cost, draw_moments, judge
from evface_training.ablation.plan import ROWS, trainings
from evface_training.ablation.run import Ablation, run_ablation
from evface_training.ablation.table import as_markdown
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.tasks.table import TASKS
from evface_training.teacher.config import SIZES
from evface_training.teacher.network import Teacher
from evface_training.trainer.machine import Machine

SMOKE = Ablation("smoke", steps=2, pretraining_steps=2, seeds=1, clips=4)
HERE = Machine("cpu", threads=1, workers=0)


def test_every_row_is_trained_and_every_training_leads_to_a_row() -> None:
    plan = trainings("tiny", 10, 5, seed=1)
    rows = [row for rows in ROWS.values() for row in rows]
    assert set(rows) <= set(plan)
    begun_from = {start for one in plan.values() for start in one.init_weights.values()}
    assert set(plan) - set(rows) <= begun_from
    order = list(plan)
    for name, one in plan.items():
        spec = TASKS[one.recipe.task]
        assert set(spec.needs) <= set(one.init_weights) <= set(spec.init_weights)
        assert all(order.index(start) < order.index(name) for start in one.init_weights.values())


def test_rows_differ_in_what_their_names_say() -> None:
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


def test_what_stops_goes_on_and_what_is_done_stays(tmp_path: Path, drawn_faces: FaceSet) -> None:
    first, last = (
        drawn_faces.select(torch.arange(8).numpy()),
        drawn_faces.select(torch.arange(8, 12).numpy()),
    )
    said: list[str] = []
    fused = replace(SMOKE, rows=("CMFA", "student"))
    table = run_ablation(fused, first, last, tmp_path, HERE, said.append)
    trained = [text for text in said if text.startswith("training")]
    assert trained == ["training RGB (0)", "training CMFA (0)", "training student (0)"]
    stored = json.loads((tmp_path / "results.json").read_text())
    assert set(stored["rows"]) == {"CMFA", "student"}
    assert set(stored["rows"]["student"]["0"]) == set(MOMENTS)
    assert "dark, events alone" in stored["rows"]["CMFA"]["0"]
    assert "| CMFA | 1 |" in table.read_text()
    assert (tmp_path / "ablation.png").stat().st_size > 5000

    said.clear()
    run_ablation(replace(SMOKE, rows=("RGB", "student")), first, last, tmp_path, HERE, said.append)
    assert not [text for text in said if text.startswith("training")]  # RGB was there already
    with pytest.raises(ConfigError, match="steps"):
        run_ablation(replace(SMOKE, steps=3), first, last, tmp_path, HERE)


@pytest.mark.parametrize("row", ["student + SSMER", "events + SSMER, frame", "EFNet fusion"])
def test_other_rows_train(tmp_path: Path, drawn_faces: FaceSet, row: str) -> None:
    run_ablation(replace(SMOKE, rows=(row,)), drawn_faces, drawn_faces, tmp_path, HERE)
    assert f"| {row} |" in (tmp_path / "table.md").read_text()


def test_moments_are_what_they_are_called(drawn_faces: FaceSet) -> None:
    recipe = trainings("smoke", 1, 1, 1)["RGB"].recipe
    moments = draw_moments(drawn_faces, recipe, 12)
    light = {name: clips.lux.median() for name, clips in moments.items()}
    speed = {name: clips.speed_deg_per_s.median() for name, clips in moments.items()}
    assert light["dark"] < 2 < 100 < light["sharp"]
    assert speed["blurred"] > 4 * speed["sharp"]
    again = draw_moments(drawn_faces, recipe, 12)
    assert torch.equal(moments["dark"].inputs, again["dark"].inputs)


def test_the_judge_sees_what_a_network_says(drawn_faces: FaceSet) -> None:
    """A network that answers the truth plus a tenth of the eyes' distance has an NME of 10 %."""
    recipe = trainings("smoke", 1, 1, 1)["student"].recipe
    moments = {"sharp": draw_moments(drawn_faces, recipe, 8)["sharp"]}

    class Knowing(Student):
        def forward(self, events: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            points = moments["sharp"].points
            eyes = (points[:, 60] - points[:, 72]).norm(dim=-1)
            shift = torch.stack([eyes * 0.1, torch.zeros_like(eyes)], -1)
            _, sigma, presence = super().forward(events)
            return points + shift[:, None], sigma, presence

    assert judge(Knowing(recipe.student), moments)["sharp"] == pytest.approx(10.0, abs=1e-3)


def test_costs_are_those_of_the_layers() -> None:
    student = Student(StudentConfig(stem="patch", side=64, channels=(16, 16, 32), hidden=16))
    found = cost(student.eval(), repeats=2)
    assert found.parameters == sum(p.numel() for p in student.parameters())
    patches = 2 * 16 * 16 * 16 * 10 * 4 * 4  # the stem alone: 16 × 16 places, 4 × 4 × 10 → 16
    assert found.flops > patches
    assert found.ms > 0
    small = cost(Teacher(replace(SIZES["tiny"], fusion="events")).eval(), repeats=1)
    both = cost(Teacher(replace(SIZES["tiny"], fusion="cmfa")).eval(), repeats=1)
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


def test_what_is_asked_wrongly() -> None:
    with pytest.raises(ConfigError, match="CMFA \\+ SSMER"):
        Ablation(rows=("CFMA",))
    with pytest.raises(ConfigError, match="steps"):
        Ablation(steps=0)
    with pytest.raises(ConfigError, match="--size"):
        trainings("huge", 1, 1, 1)  # type: ignore[arg-type]
