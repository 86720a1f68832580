"""A short run of python -m benchmarks fuzz_events over every format."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

FORMATS = ["npz", "npy", "evt2", "evt21", "evt3", "dat", "es", "csv", "aedat2", "aedat3"]
NEEDS = {
    "aedat4": ("dv_processing", "lz4"),
    "aedat4-zstd": ("dv_processing", "zstandard"),
    "hdf5": ("h5py",),
    "hdf5-plain": ("h5py",),
    "hdf5-ecf": ("h5py",),
    "bag": ("rosbags",),
    "db3": ("rosbags",),
    "mcap": ("rosbags",),
}


@pytest.fixture(scope="module")
def fuzz_events() -> ModuleType:
    return importlib.import_module("benchmarks.fuzz_events")


@pytest.mark.parametrize("name", [*FORMATS, *NEEDS])
def test_fuzzed_readers(name: str, fuzz_events: ModuleType, tmp_path: Path) -> None:
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")
    outcomes, violations = fuzz_events.fuzz(name, 150, tmp_path, seed=7)
    assert violations == []
    assert sum(outcomes.values()) == 150
    assert outcomes["prefix"] + outcomes["refused"] > 50  # the damage has an effect


def test_every_format_is_fuzzed(fuzz_events: ModuleType) -> None:
    from evface_edge.events.formats.table import FORMATS as TABLE

    assert set(fuzz_events.SEEDS) == {*FORMATS, *NEEDS}
    assert {name.partition("-")[0] for name in fuzz_events.SEEDS} == {row.name for row in TABLE}


def test_a_wrong_error_is_found(
    fuzz_events: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evface_edge.events.validation import Validator

    def trusting(self: Validator, *arguments: object, **others: object) -> ValueError:
        return ValueError("no such promise")

    monkeypatch.setattr(Validator, "error", trusting)
    _, violations = fuzz_events.fuzz("evt2", 40, tmp_path)
    assert violations
    assert all("no such promise" in line for line in violations)
