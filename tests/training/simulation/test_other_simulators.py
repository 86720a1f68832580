"""`benchmarks.other_simulators`: pixels in closed form, and a video that ends."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("benchmarks.other_simulators")


def _steps(*values: float) -> Iterator[tuple[float, Any]]:
    """One pixel, a photo every tenth of a second."""
    for index, value in enumerate(values):
        yield 0.1 * index, np.full((1, 1), value, np.float32)


def test_esim_fires_where_the_line_crosses_a_level(script: ModuleType) -> None:
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
    dark = pixel(_steps(10, 20), np.random.default_rng(0))  # below 20, codes are taken as they are
    assert len(dark) == math.floor((20 - 10) * math.log(20) / 20 / 0.2)


def test_v2e_pixels_are_slow_in_the_dark_and_leak(script: ModuleType) -> None:
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


def test_a_film_ends_with_the_picture(script: ModuleType) -> None:
    """A blob moves to its place, at the speed of the set."""
    y, x = np.mgrid[:192, :192]
    photo = (255 * np.exp(-((x - 90) ** 2 + (y - 100) ** 2) / 200)).astype(np.uint8)
    points = np.full((98, 2), (90, 100), np.float32)
    frames = list(script.video(photo, points, "normal", np.random.default_rng(1)))
    times, shown = [t for t, _ in frames], np.stack([image for _, image in frames])
    np.testing.assert_allclose(shown[-1], photo, atol=0.1)
    np.testing.assert_array_equal(shown[0], shown[1])  # it rests before
    weights = shown.reshape(len(shown), -1)
    middle = np.stack([weights @ x.ravel(), weights @ y.ravel()], 1) / weights.sum(1)[:, None]
    speed = np.linalg.norm(middle[-1] - middle[1]) / (times[-1] - times[1])
    assert 39 < speed < 161
    way = np.linalg.norm(np.diff(middle[1:], axis=0), axis=1)
    assert way.max() < 0.4
    assert way.min() > 0.6 * way.max()


def test_a_table_of_all(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["other_simulators", "--count", "1", "--model", "evface-n"])
    script.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(script.SIMULATORS)
    for line in lines[2:]:
        _, _, events, normal, _, _ = (cell.strip() for cell in line.split("|"))
        assert int(events.replace(",", "")) > 1_000
        assert 0 < float(normal) < 20  # a mean face is at 25
