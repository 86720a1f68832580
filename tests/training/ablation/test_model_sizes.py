"""`benchmarks.model_sizes`: errors of an ablation, costs, bundled students."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from evface_training.ablation.results import Finished
from evface_training.ablation.run import Ablation, run_ablation
from evface_training.data.faces import FaceSet
from evface_training.trainer.machine import Machine


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("benchmarks.model_sizes")
    monkeypatch.setattr(module, "TURNS", 1)
    return module


def test_rows_of_all_kinds_stand_side_by_side(
    script: ModuleType, tmp_path: Path, drawn_faces: FaceSet
) -> None:
    smoke = Ablation("smoke", steps=1, pretraining_steps=1, seeds=1, clips=4, rows=("events",))
    run_ablation(smoke, drawn_faces, drawn_faces, tmp_path, Machine("cpu", 1, 0))
    stored = json.loads((tmp_path / "results.json").read_text())
    (trained,) = script._trained(
        Finished(tmp_path, stored["settings"], stored["rows"], drawn_faces, drawn_faces)
    )
    assert trained.errors == stored["rows"]["events"]["0"]
    base, paper = script._untrained()
    bundled = script._bundled("evface-n", drawn_faces, 4)
    # Any answer that follows the face is far below what the mean face gets, about 25 %.
    assert 0 < bundled.errors["sharp"] < 20
    rows = [trained, bundled, base, paper]
    measured = script.costs(rows)
    assert measured["CMFA (paper)"][0].parameters == pytest.approx(21.6e6, rel=0.02)
    assert measured["evface-n, INT8, bundled"][0].parameters <= 0.4e6
    assert measured["evface-n, INT8, bundled"][1] > 0
    lines = script.as_table(rows, measured, stored["settings"]).splitlines()
    assert lines[-1].startswith("| CMFA (paper) | both | – | – | – | 21.")
    assert lines[-1].endswith("| – |")
    assert len({line.count("|") for line in lines[2:]}) == 1
