"""`benchmarks.model_sizes`: errors and costs of trained, untrained and bundled networks."""

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


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("benchmarks.model_sizes")
    monkeypatch.setattr(module, "TURNS", 1)
    return module


def test_trained_untrained_and_bundled_networks(
    script: ModuleType, tmp_path: Path, drawn_faces: FaceSet
) -> None:
    smoke = Ablation("smoke", steps=1, pretraining_steps=1, seeds=1, clips=4, rows=("events",))
    run_ablation(smoke, drawn_faces, drawn_faces, tmp_path, Machine("cpu", 1, 0))
    stored = json.loads((tmp_path / "results.json").read_text())
    (trained,) = script._trained(
        AblationResults(tmp_path, stored["settings"], stored["rows"], drawn_faces, drawn_faces)
    )
    assert trained.errors == stored["rows"]["events"]["0"]
    base, paper = script._untrained()
    bundled = script._bundled("evface-s", drawn_faces, 4)
    # The mean face has an error of about 25 %.
    assert 0 < bundled.errors["sharp"] < 20
    rows = {row["network"]: row for row in script.measured([trained, bundled, base, paper])}
    assert rows["CMFA (paper)"]["parameters"] == pytest.approx(21.6e6, rel=0.02)
    assert rows["CMFA (paper)"]["nme98_percent"] == {}
    assert rows["CMFA (paper)"]["int8_ms"] is None
    assert rows["evface-s, INT8, bundled"]["parameters"] <= 1.5e6
    assert rows["evface-s, INT8, bundled"]["int8_ms"] > 0
    assert rows["events (smoke)"]["nme98_percent"] == trained.errors
