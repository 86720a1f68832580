"""Ratios of two runs: figures by hand, and the command on one real case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evface_edge.bench import repeat
from evface_edge.cli import main
from evface_edge.errors import ConfigError


def run(*cases: tuple[str, int, float | None]) -> dict[str, Any]:
    return {
        "network": [
            {
                "model": model,
                "runtime": "onnxruntime",
                "device": "cpu",
                "threads": threads,
                "status": "failed" if fast_ms is None else "ok",
                "fast_ms": fast_ms,
            }
            for model, threads, fast_ms in cases
        ]
    }


def test_a_machine_of_half_the_speed_agrees_with_itself() -> None:
    first = run(("a", 1, 2.0), ("b", 1, 0.8), ("b", 2, 0.4))
    second = run(("a", 1, 4.0), ("b", 1, 1.6), ("b", 2, 1.6))
    repeats = repeat.compare_runs(first, second)
    assert [r.first for r in repeats] == pytest.approx([0.4, 0.2])
    assert [r.difference for r in repeats] == pytest.approx([0.0, 1.0])
    assert [r.judged for r in repeats] == [True, False]  # two threads on a busy machine
    assert repeat.verdict(repeats, 0.05)[0]
    assert "not judged" in repeat.cells(repeats)[1][-1]


def test_where_they_do_not_agree() -> None:
    repeats = repeat.compare_runs(
        run(("a", 1, 2.0), ("b", 1, 1.0)), run(("a", 1, 2), ("b", 1, 1.1))
    )
    agree, sentence = repeat.verdict(repeats, 0.05)
    assert not agree
    assert "differ by 10.0% at most: the two runs do not agree within 5%" in sentence
    assert repeat.verdict(repeats, 0.11)[0]
    assert not repeat.verdict([], 0.05)[0]


def test_what_failed_in_one_run_is_left_out() -> None:
    first = run(("a", 1, None), ("b", 1, 1.0), ("c", 1, 3.0))
    second = run(("a", 1, 1.0), ("b", 1, 1.0), ("c", 1, 3.0))
    (only,) = repeat.compare_runs(first, second)
    assert (only.case, only.first) == ("c on onnxruntime cpu", pytest.approx(3.0))
    with pytest.raises(ConfigError, match="two measured cases"):
        repeat.compare_runs(first, run(("b", 1, 1.0)))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "--runtime", "onnxruntime", "--device", "cpu", "--threads", "1"]
    arguments += ["--seconds", "0.05", "--rounds", "1", "--no-end-to-end", "--repeat-check"]
    assert main([*arguments, "--tolerance", "100", "-o", str(tmp_path)]) == 0
    assert "the two runs agree" in capsys.readouterr().out
    stored = json.loads((tmp_path / "repeat.json").read_text())
    assert stored["agree"]
    assert [case["case"] for case in stored["cases"]] == ["evface-s-int8 on onnxruntime cpu"]
    assert main([*arguments, "--tolerance", "1e-12"]) == 1
    assert main(["bench", "--repeat-check", "--tolerance", "0"]) == 1
    assert "--tolerance" in capsys.readouterr().err
