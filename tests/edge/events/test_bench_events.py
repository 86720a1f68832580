"""The benchmark of events."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evface_edge.events import check_events, read_events


def _modules() -> dict[str, ModuleType]:
    package = importlib.import_module("benchmarks.events")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return {name: importlib.import_module(f"benchmarks.events.{name}") for name in names}


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    return _modules()


def rows(report: Any, ours: float, peer: float) -> Any:
    return [
        report.Row("EVT2", "one", report.OURS, ours),
        report.Row("EVT2", "one", "other", peer),
        report.Row("EVT2", "two", report.OURS, 10.0),
    ]


def checked(report: Any, ours: float, peer: float) -> Any:
    requirements = [report.Requirement("EVT2", "other", 1.3), report.Requirement("DAT", "other", 1)]
    return report.check(rows(report, ours, peer), requirements)


def test_requirements_are_checked_in_every_setting(bench: dict[str, ModuleType]) -> None:
    report = bench["report"]
    checks = checked(report, 130.0, 99.0)
    assert [each.passed for each in checks] == [True, None, None]
    assert checks[0].measured == pytest.approx(1.313, abs=0.001)
    assert checked(report, 130.0, 101.0)[0].passed is False
    assert checked(report, math.nan, 101.0)[0].passed is None


def test_reports(bench: dict[str, ModuleType]) -> None:
    report = bench["report"]
    measured, checks = rows(report, 130.0, math.nan), checked(report, 130.0, math.nan)
    text = report.as_text(measured, checks)
    assert text.count("\n") == 5
    assert "130.0 Mev/s" in text
    data = json.loads(report.as_json(measured, checks))
    assert [row["mev_per_s"] for row in data["rows"]] == [130.0, None, 10.0]
    assert data["checks"][0]["measured"] is None
    assert data["machine"]["python"]


def test_candidates_take_turns_and_may_fail(bench: dict[str, ModuleType]) -> None:
    report = bench["report"]
    order = []

    def candidate(name: str, value: Any) -> Any:
        def run() -> Any:
            order.append(name)
            if value is None:
                raise ValueError("no such thing")
            return value

        return run

    candidates = {
        "a": candidate("a", report.Sample(3_000_000, 0.5)),
        "b": candidate("b", None),
        "c": candidate("c", report.Sample(1_000_000, 0.5)),
    }
    measured = report.measure("EVT2", "", candidates, 2)
    assert order == ["a", "b", "c", "a", "c", "a", "c"]
    assert [row.mev_per_s for row in measured[::2]] == [6.0, 2.0]
    assert math.isnan(measured[1].mev_per_s)


def test_the_recordings_are_valid(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    recordings = bench["recordings"]
    events = next(recordings.sweep(20_000))
    check_events(events, recordings.SIZE)
    assert 0.3 < events["p"].mean() < 0.7
    path = recordings.write_evt21(tmp_path / "a.raw", 20_000)
    found, size = read_events(path)
    assert size == recordings.SIZE
    # Words join neighbours; the events are the same ones.
    order = ["t", "y", "x", "p"]
    assert len(found) == len(events)
    np.testing.assert_array_equal(np.sort(found, order=order), np.sort(events, order=order))
    text = recordings.write_text(tmp_path / "a.csv", 500)
    assert len(read_events(text, size=recordings.SIZE)[0]) == 500


def test_readers_are_measured(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    chosen = ("EVT2.1", "NPZ", "EVT3")
    measured = bench["readers"].rows(1, 2000, chosen, tmp_path)
    ours = [row for row in measured if row.candidate == bench["report"].OURS]
    assert [row.subject for row in ours] == ["EVT2.1", "EVT3", "NPZ"]
    assert all(row.mev_per_s > 0 for row in ours)
    assert list(tmp_path.iterdir()) == []
