"""The benchmark of events: its tables, and that it measures what it says."""

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


def result(table: Any, ours: float, peer: float) -> Any:
    rows = [
        table.Row("EVT2", "one", table.OURS, ours),
        table.Row("EVT2", "one", "other", peer),
        table.Row("EVT2", "two", table.OURS, 10.0),
    ]
    bars = (table.Bar("EVT2", "other", 1.3), table.Bar("DAT", "other", 1.0))
    limits = [table.Limit("EVT2: peak memory, of 1 GB", 120.4, 300, "MB")]
    return table.Result(rows, table.judge(rows, bars), limits, {"processor": "a good one"})


def test_bars_are_judged_in_every_setting(bench: dict[str, ModuleType]) -> None:
    table = bench["table"]
    verdicts = result(table, 130.0, 99.0).verdicts
    assert [(v.bar.subject, v.setting, v.met) for v in verdicts] == [
        ("EVT2", "one", "met"),
        ("EVT2", "two", "not measured"),
        ("DAT", "", "not measured"),
    ]
    assert result(table, 130.0, 101.0).verdicts[0].met == "not met"
    assert result(table, math.nan, 101.0).verdicts[0].met == "not measured"


def test_tables_for_people_and_programs(bench: dict[str, ModuleType]) -> None:
    table = bench["table"]
    found = result(table, 130.0, math.nan)
    text = table.markdown(found)
    assert "| EVT2 | one | evface-edge | 130.0 |  |" in text
    assert "| EVT2 | one | other | – | – |" in text
    assert "| EVT2: peak memory < 300 MB | of 1 GB | 120 MB | met |" in text
    assert "a good one" in text
    data = json.loads(table.as_json(found))
    assert [row["mev_per_s"] for row in data["rows"]] == [130.0, None, 10.0]
    assert data["bars"][0]["verdict"] == "not measured"
    assert data["limits"][0]["verdict"] == "met"


def test_candidates_take_turns_and_failures_are_kept(bench: dict[str, ModuleType]) -> None:
    table = bench["table"]
    order = []

    def candidate(name: str, value: Any) -> Any:
        def run() -> Any:
            order.append(name)
            if value is None:
                raise ValueError("no such thing")
            return value

        return run

    candidates = {
        "a": candidate("a", table.Sample(3_000_000, 0.5)),
        "b": candidate("b", None),
        "c": candidate("c", table.Sample(1_000_000, 0.5)),
    }
    rows = table.measure("EVT2", "", candidates, 2)
    assert order == ["a", "b", "c", "a", "c", "a", "c"]
    assert [row.mev_per_s for row in rows[::2]] == [6.0, 2.0]
    assert math.isnan(rows[1].mev_per_s)


def test_the_recordings_are_sound(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    recordings = bench["recordings"]
    events = next(recordings.sweep(20_000))
    check_events(events, recordings.SIZE)
    assert 0.3 < events["p"].mean() < 0.7
    path = recordings.write_evt21(tmp_path / "a.raw", 20_000)
    found, size = read_events(path, strict=True)
    assert size == recordings.SIZE
    # Words join neighbours; the events are the same ones.
    order = ["t", "y", "x", "p"]
    assert len(found) == len(events)
    np.testing.assert_array_equal(np.sort(found, order=order), np.sort(events, order=order))
    text = recordings.write_text(tmp_path / "a.csv", 500)
    assert len(read_events(text, size=recordings.SIZE, strict=True)[0]) == 500


def test_readers_are_measured(
    bench: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(bench["readers"].EVLIB_PYTHON, raising=False)
    chosen = ("EVT2.1", "NPZ", "EVT3")
    rows = bench["readers"].rows(1, 2000, chosen, tmp_path)
    ours = [row for row in rows if row.candidate == bench["table"].OURS]
    assert [row.subject for row in ours] == ["EVT2.1", "EVT3", "NPZ"]
    assert all(row.mev_per_s > 0 for row in ours)
    assert list(tmp_path.iterdir()) == []
