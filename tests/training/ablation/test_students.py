"""python -m benchmarks students: what it says of students that `ablate` has trained."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from evface_training.ablation.measure import load_network
from evface_training.ablation.plan import trainings
from evface_training.ablation.run import Ablation, run_ablation, slug
from evface_training.data.faces import FaceSet
from evface_training.trainer.machine import Machine

ROW = "student, time surface"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("benchmarks.students")
    monkeypatch.setattr(module, "CALIBRATION_CLIPS", 8)
    monkeypatch.setattr(module, "TURNS", 2)
    return module


def test_a_student_is_judged_as_the_ablation_judged_it(
    script: ModuleType, tmp_path: Path, drawn_faces: FaceSet
) -> None:
    smoke = Ablation("smoke", steps=2, pretraining_steps=2, seeds=1, clips=4, rows=(ROW,))
    table = run_ablation(smoke, drawn_faces, drawn_faces, tmp_path, Machine("cpu", 1, 0))
    recipe = trainings("smoke", 2, 2, seed=1)[ROW].recipe
    network = load_network(tmp_path / "0" / slug(ROW) / "last.pt", "landmarks").eval()
    found = script._candidate(ROW, network, recipe, drawn_faces, drawn_faces, 4)
    for error in found.float_error.values():
        assert f"{error:.2f}" in table.read_text()
    for moment, error in found.int8_error.items():
        assert error == pytest.approx(found.float_error[moment], rel=0.02)
    assert len(found.models[1]) < 0.6 * len(found.models[0])
    (times,) = script._milliseconds([found]).values()
    assert min(times) > 0
    text = script.as_table([replace(found, name="student")], {"student": (0.5, 0.25, 0.125)}, 2)
    assert "| SimCC, voxel grid |" in text
    assert text.rstrip().endswith("| 0.500 | 0.250 | 0.125 |")
