"""Ratios of two runs: known values, and the command."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from evface_edge.bench import repeat
from evface_edge.bench import run as bench_run
from evface_edge.cli import main
from evface_edge.errors import ConfigError


def run(*cases: tuple[str, float | None]) -> dict[str, Any]:
    return {
        "network": [
            {"model": model, "runtime": "onnxruntime", "device": "cpu", "ratio": ratio}
            for model, ratio in cases
        ]
    }


def test_ratios_to_the_first_common_case() -> None:
    # Case "a" failed in the first run, so that its ratios have another reference.
    first = run(("a", None), ("b", 1.0), ("c", 3.0), ("two threads", None))
    second = run(("a", 1.0), ("b", 2.0), ("c", 6.6), ("two threads", None))
    (only,) = repeat.compare_runs(first, second)
    assert (only.case, only.first) == ("c on onnxruntime cpu", pytest.approx(3.0))
    assert only.difference == pytest.approx(0.1)
    with pytest.raises(ConfigError) as error:
        repeat.compare_runs(first, run(("b", 1.0)))
    assert error.value.field == "--repeat-check"


def test_differences_of_several_cases() -> None:
    repeats = repeat.compare_runs(
        run(("a", 1.0), ("b", 0.5), ("c", 2.0)), run(("a", 1.0), ("b", 0.55), ("c", 1.98))
    )
    assert repeats[0].difference == pytest.approx(0.1)
    assert repeats[1].cells() == ["c on onnxruntime cpu", "2.000", "1.980", "-1.0%"]


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measure, measured = bench_run.run_benchmark, []

    def kept(*arguments: Any, **options: Any) -> dict[str, Any]:
        measured.append(measure(*arguments, **options))
        return measured[-1]

    monkeypatch.setattr(bench_run, "run_benchmark", kept)
    command = ["bench", "evface-n-fp32", "evface-n-int8", "--runtime", "onnxruntime"]
    command += ["--device", "cpu", "--threads", "1", "--seconds", "0.05", "--rounds", "1"]
    command += ["--no-end-to-end", "--repeat-check", "--tolerance"]
    assert main([*command, "100", "-o", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "repeat.json").read_text())
    assert stored["agree"]
    assert [case["case"] for case in stored["cases"]] == ["evface-n-int8 on onnxruntime cpu"]

    slower = copy.deepcopy(measured[0])
    slower["network"][1]["ratio"] *= 1.1
    for tolerance, code in (("0.2", 0), ("0.05", 1)):
        runs = iter((measured[0], slower))
        monkeypatch.setattr(bench_run, "run_benchmark", lambda *_, runs=runs, **__: next(runs))
        assert main([*command, tolerance]) == code
    assert main(["bench", "--repeat-check", "--tolerance", "0"]) == 1
    assert "--tolerance" in capsys.readouterr().err
