"""`benchmarks.other_simulators`: pixels in closed form, and a video that ends."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("benchmarks.other_simulators")


def _steps(*values: float) -> Iterator[tuple[float, Any]]:
    """One pixel, an image every tenth of a second."""
    for index, value in enumerate(values):
        yield 0.1 * index, np.full((1, 1), value, np.float32)


def test_esim_fires_at_the_crossing_of_a_level(script: ModuleType) -> None:
    pixel = script.Esim(threshold=0.25, mismatch=0, refractory_s=0)
    events = pixel(_steps(40, 200, 100), np.random.default_rng(0))
    low, high, end = (math.log(value / 255 + 1e-3) for value in (40, 200, 100))
    levels = low + 0.25 * np.arange(1, math.floor((high - low) / 0.25) + 1)
    rising = 1e5 * (levels - low) / (high - low)
    back = levels[-1] - 0.25 * np.arange(1, math.floor((levels[-1] - end) / 0.25) + 1)
    falling = 1e5 + 1e5 * (back - high) / (end - high)
    np.testing.assert_allclose(events["t"], [*rising, *falling], atol=1)
    assert events["p"].tolist() == [1] * len(rising) + [0] * len(falling)
    rested = script.Esim(threshold=0.25, mismatch=0, refractory_s=0.03)
    some = rested(_steps(40, 200), np.random.default_rng(0))["t"]
    assert 2 <= len(some) < len(rising)
    assert np.diff(some).min() > 30_000


def test_v2e_fires_in_even_steps_between_frames(script: ModuleType) -> None:
    pixel = script.V2e(mismatch=0, cutoff_hz=0, leak_hz=0, shot_hz=0, refractory_s=0)
    events = pixel(_steps(40, 100, 100, 40), np.random.default_rng(0))
    count = math.floor(math.log(100 / 40) / 0.2)
    expected = 1e5 * np.arange(1, count + 1) / count
    np.testing.assert_allclose(events["t"][:count], expected, atol=1)
    assert events["p"].tolist() == [1] * count + [0] * count
    assert events["t"][count] > 200_000
    dark = pixel(_steps(10, 20), np.random.default_rng(0))  # linear below code 20
    assert len(dark) == math.floor((20 - 10) * math.log(20) / 20 / 0.2)


def test_v2e_pixels_are_slower_in_the_dark_and_leak(script: ModuleType) -> None:
    """A low-pass of 1 Hz × (code + 20) ÷ 275, and one event a threshold of leak."""
    slow = script.V2e(mismatch=0, cutoff_hz=1, leak_hz=0, shot_hz=0, refractory_s=0)
    counts = [
        len(slow(_steps(level, *[3 * level] * 3), np.random.default_rng(0))) for level in (25, 80)
    ]
    for level, count in zip((75, 240), counts, strict=True):
        fraction = 1 - (1 - min((level + 20) / 275 * 0.1 * 2 * math.pi, 1)) ** 3
        assert count == math.floor(math.log(3) * fraction / 0.2)
    assert counts[0] < counts[1]
    leaking = script.V2e(mismatch=0, leak_hz=2, shot_hz=0)
    assert len(leaking(_steps(*[100] * 26), np.random.default_rng(0))) in (4, 5)  # 2.5 s


def test_a_video_ends_with_the_image(script: ModuleType) -> None:
    """A blob moves to its place, at the speed of the set."""
    y, x = np.mgrid[:192, :192]
    image = (255 * np.exp(-((x - 90) ** 2 + (y - 100) ** 2) / 200)).astype(np.uint8)
    points = np.full((98, 2), (90, 100), np.float32)
    frames = list(script.video(image, points, "normal", np.random.default_rng(1)))
    times, shown = [t for t, _ in frames], np.stack([shown_image for _, shown_image in frames])
    np.testing.assert_allclose(shown[-1], image, atol=0.1)
    np.testing.assert_array_equal(shown[0], shown[1])  # it rests before
    weights = shown.reshape(len(shown), -1)
    middle = np.stack([weights @ x.ravel(), weights @ y.ravel()], 1) / weights.sum(1)[:, None]
    speed = np.linalg.norm(middle[-1] - middle[1]) / (times[-1] - times[1])
    assert 39 < speed < 161
    step = np.linalg.norm(np.diff(middle[1:], axis=0), axis=1)
    assert step.max() < 0.4
    assert step.min() > 0.6 * step.max()


def test_every_simulator_is_measured(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    options = ["--count", "1", "--model", "evface-n", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["other_simulators", *options])
    script.main()
    rows = json.loads(path.read_text())
    assert [row["simulator"] for row in rows] == list(script.SIMULATORS)
    for row in rows:
        assert row["events"] > 1_000
        assert 0 < row["evface-n, normal"] < 20  # a mean face is at 25
