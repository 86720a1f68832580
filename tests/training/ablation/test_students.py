"""`benchmarks.students`: errors and latencies of students of an ablation study."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.ablation_results import AblationResults
from evface_training.ablation.run import Ablation, run_ablation
from evface_training.data.faces import FaceSet
from evface_training.trainer.machine import Machine

ROW = "student, time surface"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("benchmarks.students")
    monkeypatch.setattr(module, "CALIBRATION_CLIPS", 8)
    monkeypatch.setattr(module, "TURNS", 2)
    return module


def test_a_student_has_the_errors_of_the_ablation(
    script: ModuleType, tmp_path: Path, drawn_faces: FaceSet
) -> None:
    smoke = Ablation("smoke", steps=2, pretraining_steps=2, seeds=1, clips=4, rows=(ROW,))
    run_ablation(smoke, drawn_faces, drawn_faces, tmp_path, Machine("cpu", 1, 0))
    stored = json.loads((tmp_path / "results.json").read_text())
    ablation = AblationResults(
        tmp_path, stored["settings"], stored["rows"], drawn_faces, drawn_faces
    )
    student = script.candidate(ROW, ablation, 4)
    assert student.errors["float32"] == pytest.approx(stored["rows"][ROW]["0"])
    assert student.errors["int8"] == pytest.approx(student.errors["float32"], rel=0.02)
    assert len(student.models["int8"]) < 0.6 * len(student.models["float32"])
    latencies = script.latencies_ms([student])[ROW]
    assert set(latencies) == {"float32", "int8", "representation"}
    assert min(latencies.values()) > 0
