"""Calibration clips: what is read, and what is refused."""

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
    used, evaluation = clips.split(seed=0)
    assert sorted([*used, *evaluation]) == list(range(64))
    assert len(used) == 32
    assert list(clips.split(seed=0)[0]) == list(used) != list(clips.split(seed=1)[0])
    assert clips.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    batches = list(clips.batches(used, size=20))
    assert [len(batch) for batch in batches] == [20, 12]
    np.testing.assert_allclose(np.concatenate(batches), stored[used] / 255, rtol=1e-6)
    half = CalibrationSet.load(_saved(path, inputs=(stored / 256).astype(np.float16)))
    np.testing.assert_array_equal(next(half.batches(used, 64)), stored[used] / np.float32(256))


def test_a_set_may_name_its_evaluation_clips(tmp_path: Path) -> None:
    for_evaluation = np.arange(64) % 4 == 0
    presence = np.arange(64) != 5
    clips = CalibrationSet.load(
        _saved(tmp_path / "clips.npz", for_evaluation=for_evaluation, presence=presence)
    )
    used, evaluation = clips.split(seed=0)
    assert evaluation.tolist() == list(range(0, 64, 4))
    assert sorted(used) == sorted(set(range(64)) - set(evaluation))
    assert list(used) != sorted(used)
    assert np.flatnonzero(~clips.faces).tolist() == [5]


def test_an_array_of_an_unknown_name_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path / "clips.npz", evaluation=np.arange(64) % 4 == 0)
    with pytest.raises(ConfigError) as caught:
        CalibrationSet.load(path)
    error = caught.value
    assert (error.path, error.field, error.value) == (path, "calibration", "evaluation")


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"inputs": np.zeros((0, 10, 8, 8), np.uint8)}, "clips", 0),
        ({"inputs": np.zeros((3, 10, 8, 8), np.uint8)}, "clips", 3),
        ({"inputs": np.zeros((64, 10, 8), np.uint8)}, "inputs", "(64, 10, 8) uint8"),
        ({"inputs": np.zeros((64, 10, 8, 8))}, "inputs", "(64, 10, 8, 8) float64"),
        ({"inputs": np.full((64, 10, 8, 8), np.nan, np.float16)}, "inputs", "NaN or infinity"),
        ({"landmarks": np.zeros((64, 68, 2))}, "landmarks", (64, 68, 2)),
        ({"landmarks": np.full((64, 98, 2), np.inf)}, "landmarks", "NaN or infinity"),
        ({"presence": np.ones(63, bool)}, "presence", "(63,) bool"),
        ({"presence": np.zeros(64, bool)}, "presence", "no face"),
        ({"for_evaluation": np.ones(64)}, "for_evaluation", "(64,) float64"),
        ({"for_evaluation": np.arange(64) < 61}, "for_evaluation", 3),
        ({"for_evaluation": np.zeros(64, bool)}, "for_evaluation", 0),
    ],
)
def test_arrays_that_are_refused(
    tmp_path: Path, changes: dict[str, Any], field: str, value: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        CalibrationSet.load(_saved(tmp_path / "clips.npz", **changes))
    assert caught.value.field == f"calibration clips.npz: {field}"
    assert caught.value.value == value


@pytest.mark.parametrize(("low", "high"), [(0, 128), (-1, 1), (0.2, 1.4)])
def test_landmarks_in_other_units_are_refused(tmp_path: Path, low: float, high: float) -> None:
    """Pixels, or fractions around the centre."""
    landmarks = np.random.default_rng(0).uniform(low, high, (64, 98, 2))
    with pytest.raises(ConfigError) as caught:
        CalibrationSet.load(_saved(tmp_path / "clips.npz", landmarks=landmarks))
    assert caught.value.field == "calibration clips.npz: landmarks"


def test_some_landmarks_may_lie_outside_the_crop(tmp_path: Path) -> None:
    landmarks = np.full((64, 98, 2), 0.5, np.float32)
    landmarks[:, :9, 1] = 1.1
    presence = np.arange(64) > 3
    landmarks[~presence] = 100  # without a face, landmarks have no meaning
    path = _saved(tmp_path / "clips.npz", landmarks=landmarks, presence=presence)
    assert len(CalibrationSet.load(path)) == 64


def test_files_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "clips.npz"
    arrays = _saved(path, landmarks=None).read_bytes()
    objects = _saved(path, inputs=np.array([{}])).read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    array = (tmp_path / "array.npy").read_bytes()
    for content in (b"", b"hello", b"PK\x03\x04 and no more", array, arrays, objects):
        path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            CalibrationSet.load(path)
        assert (caught.value.field, caught.value.value) == ("calibration", str(path))
    with pytest.raises(ConfigError) as caught:
        CalibrationSet.load(tmp_path / "absent.npz")
    assert caught.value.value == str(tmp_path / "absent.npz")
