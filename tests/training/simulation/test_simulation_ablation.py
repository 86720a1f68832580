"""`python -m benchmarks simulation_ablation`: it skips finished students and compares pairs."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("benchmarks.simulation_ablation")
    monkeypatch.setattr(module, "BATCH", 8)
    monkeypatch.setattr(module, "FIRST_GROUPS", 4)
    monkeypatch.setattr(module, "SETS", {})
    return module


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, path: Path, *variants: str) -> None:
    options = ["--json", str(path), "--steps", "2", "--test-faces", "2", "--side", "64"]
    for variant in variants:
        options += ["--variant", variant]
    monkeypatch.setattr(sys, "argv", ["simulation_ablation", *options])
    script.main()


def test_finished_students_are_not_trained_again(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ablation.json"
    run(script, monkeypatch, path, "full")
    first = json.loads(path.read_text())
    assert list(first["rows"]) == ["full_0"]
    assert len(first["rows"]["full_0"][script.PAUSED]) == 2
    trained = []
    train = script.train
    monkeypatch.setattr(script, "train", lambda *a: (trained.append(a[1]), train(*a))[1])
    run(script, monkeypatch, path, "full", "clean")
    again = json.loads(path.read_text())
    assert trained == ["clean"]
    assert again["rows"]["full_0"] == first["rows"]["full_0"]
    monkeypatch.setattr(script, "BATCH", 4)
    with pytest.raises(SystemExit, match=r"ablation\.json"):
        run(script, monkeypatch, path, "full")


def test_the_table_compares_faces_in_pairs(script: ModuleType) -> None:
    rows = {"full_0": {"dark": [5, 7, 9, 11]}, "clean_0": {"dark": [6, 8, 10, 14]}}
    table = script.as_table({"rows": rows})
    assert "| full | 8.0 |" in table
    # Differences 1, 1, 1, 3: mean 1.5, standard deviation 1, over the root of 4.
    assert "| clean | 9.5 (+1.5 ± 0.5) |" in table
