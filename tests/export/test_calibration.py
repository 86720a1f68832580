"""Calibration clips: what is read, what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_export.calibration import CalibrationSet


def _saved(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "inputs": np.zeros((64, 10, 8, 8), np.uint8),
        "landmarks": np.zeros((64, 98, 2), np.float32),
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_units_and_split(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (64, 10, 8, 8), np.uint8)
    path = _saved(tmp_path / "clips.npz", inputs=stored)
    clips = CalibrationSet.load(path)
    used, judged = clips.split(seed=0)
    assert sorted([*used, *judged]) == list(range(64))
    assert len(used) == 32
    assert list(clips.split(seed=0)[0]) == list(used) != list(clips.split(seed=1)[0])
    assert clips.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    batches = list(clips.batches(used, size=20))
    assert [len(batch) for batch in batches] == [20, 12]
    np.testing.assert_allclose(np.concatenate(batches), stored[used] / 255, rtol=1e-6)
    half = CalibrationSet.load(_saved(path, inputs=(stored / 256).astype(np.float16)))
    np.testing.assert_array_equal(next(half.batches(used, 64)), stored[used] / np.float32(256))


def test_a_set_says_itself_who_judges(tmp_path: Path) -> None:
    judging = np.arange(64) % 4 == 0
    presence = np.arange(64) != 5
    clips = CalibrationSet.load(_saved(tmp_path / "clips.npz", judging=judging, presence=presence))
    used, judged = clips.split(seed=0)
    assert judged.tolist() == list(range(0, 64, 4))
    assert sorted(used) == sorted(set(range(64)) - set(judged))
    assert list(used) != sorted(used)
    assert np.flatnonzero(~clips.faces).tolist() == [5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.zeros((0, 10, 8, 8), np.uint8)}, "clips = 0: expected at least 64"),
        ({"inputs": np.zeros((3, 10, 8, 8), np.uint8)}, "clips = 3: expected at least 64"),
        ({"inputs": np.zeros((64, 10, 8), np.uint8)}, r"\(64, 10, 8\) uint8.*\(clips, channels"),
        ({"inputs": np.zeros((64, 10, 8, 8))}, "float64.*uint8, float16 or float32"),
        ({"inputs": np.full((64, 10, 8, 8), np.nan, np.float16)}, "inputs = 'NaN or infinity'"),
        ({"landmarks": np.zeros((64, 68, 2))}, r"\(64, 68, 2\).*\(64, 98, 2\)"),
        (
            {"presence": np.ones(63, bool)},
            r"presence = '\(63,\) bool': expected shape \(64,\) bool",
        ),
        ({"presence": np.zeros(64, bool)}, "presence = 'no face'"),
        ({"judging": np.ones(64)}, r"judging = '\(64,\) float64'"),
        ({"judging": np.arange(64) < 61}, "judging = 3: expected at least 16 clips that judge"),
        ({"judging": np.zeros(64, bool)}, "judging = 0: expected at least 16"),
        ({"landmarks": None}, "landmarks is not a file in the archive"),
        ({"inputs": np.array([{}])}, "it is not one"),
    ],
)
def test_refusals(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CalibrationSet.load(_saved(tmp_path / "clips.npz", **changes))


def test_files_of_another_kind(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"PK\x03\x04 and no more"):
        (tmp_path / "clips.npz").write_bytes(content)
        with pytest.raises(ConfigError, match="it is not one"):
            CalibrationSet.load(tmp_path / "clips.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ConfigError, match="it is not one"):
        CalibrationSet.load(tmp_path / "array.npy")
    with pytest.raises(ConfigError, match="no such file"):
        CalibrationSet.load(tmp_path / "absent.npz")
