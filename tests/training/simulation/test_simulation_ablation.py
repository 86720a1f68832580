"""python -m benchmarks simulation_ablation: goes on where it was stopped, and writes its table."""

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


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path, steps: int) -> None:
    options = ["--steps", str(steps), "--save", "1", "--test-faces", "2", "--side", "64"]
    monkeypatch.setattr(sys, "argv", ["ablate", "-o", str(folder), *options, "--variant", "full"])
    script.main()


def test_a_run_that_was_stopped_goes_on_to_the_same_end(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(script, monkeypatch, tmp_path / "whole", 2)
    run(script, monkeypatch, tmp_path / "parts", 1)
    run(script, monkeypatch, tmp_path / "parts", 2)
    whole, parts = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "parts")
    )
    assert whole == parts
    assert whole["steps"] == 2
    monkeypatch.setattr(script, "BATCH", 3)
    with pytest.raises(SystemExit, match="holds another ablation"):
        run(script, monkeypatch, tmp_path / "parts", 2)


def test_the_table_compares_faces_in_pairs(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = {
        "settings": {
            "batch": 64, "side": 96, "parameters": 5, "faces": 10, "test_faces": 4,
        },
        "steps": 100,
        "rows": {"full_0": {"dark": [5, 7, 9, 11]}, "clean_0": {"dark": [6, 8, 10, 14]}},
    }  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "explanation").mkdir()
    page = tmp_path / "explanation" / "simulation.md"
    page.write_text(f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n")
    (tmp_path / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr(script, "DOCS", tmp_path)
    script.write_document(tmp_path / "results.json")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| full | 8.0 |" in text
    # Differences 1, 1, 1, 3: mean 1.5, standard deviation 1, over the root of 4.
    assert "| clean | 9.5 (+1.5 ± 0.5) |" in text
    kept = json.loads((tmp_path / "data" / "simulation_ablation.json").read_text())
    assert kept == results
