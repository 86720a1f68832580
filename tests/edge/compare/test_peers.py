"""The comparison with peers: alignment of points, metrics, frames of events, tables and figures."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evface_edge import DEMO_RECORDING
from evface_edge.compare import LabelledRecording
from evface_edge.events import make_events

pytest.importorskip("torch", reason="the clips need PyTorch")
from benchmarks.peers import drawing, metrics, points, report, worker

RNG = np.random.default_rng(0)


def rotated(points: Any, degrees: float, scale: float, shift: Any) -> Any:
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return points @ np.array([[c, s], [-s, c]]) + shift


@pytest.fixture(scope="module")
def faces() -> Any:
    """(30, 98, 2): one face, rotated, scaled and moved."""
    shape = LabelledRecording.load(DEMO_RECORDING).points[0].astype(np.float64)
    return np.stack(
        [
            rotated(shape, angle, scale, shift)
            for angle, scale, shift in zip(
                RNG.uniform(-30, 30, 30),
                RNG.uniform(0.5, 2, 30),
                RNG.uniform(-50, 50, (30, 2)),
                strict=True,
            )
        ]
    )


def mesh(faces: Any) -> Any:
    """(30, 478, 2): a peer whose points 100, 101 … are the 51, with an offset."""
    truth = points.to_51(faces)
    right, left = (truth[:, corner] for corner in points.EYE_CORNERS_51)
    found = np.repeat(truth.mean(1, keepdims=True) * 10, 478, axis=1)
    found[:, 33], found[:, 263] = right, left
    found[:, 100:151] = truth + 0.01 * (left - right)[:, None]
    return found


def test_a_constant_offset_is_corrected(faces: Any) -> None:
    found, truth = mesh(faces), points.to_51(faces)
    alignment = points.fit(found[:20], truth[:20], (33, 263), points.nme51, same_points=False)
    # The outer corners are points 33 and 263 themselves, which lie nearer than 119 and 128.
    assert alignment.vertices[[19, 28]].tolist() == [33, 263]
    others = np.delete(np.arange(51), [19, 28])
    assert alignment.vertices[others].tolist() == (100 + others).tolist()
    np.testing.assert_allclose(alignment.offsets[others], [[-0.01, 0]] * 49, atol=1e-9)
    assert alignment.raw_percent == pytest.approx(100 * 0.01 * 49 / 51)
    assert alignment.aligned_percent == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(alignment(found[20:]), truth[20:], atol=1e-6)


def test_no_face_is_an_infinite_error_and_few_stills_are_rejected(faces: Any) -> None:
    found, truth = mesh(faces), points.to_51(faces)
    lost = found.copy()
    lost[:27] = np.nan
    with pytest.raises(ValueError, match="3 of 30"):
        points.fit(lost, truth, (33, 263), points.nme51, same_points=False)
    lost = truth.copy()
    lost[0] = np.nan
    errors = points.nme51(lost, truth)
    assert np.isposinf(errors[0])
    np.testing.assert_allclose(errors[1:], 0, atol=1e-12)


def candidates(clips: int) -> Any:
    """Ours at 4 %; a peer at 2 % that finds no face in the darkest light."""
    light, speed = (grid.reshape(-1) for grid in np.meshgrid(range(4), range(4), indexing="ij"))
    bins = metrics.Bins(
        np.repeat(light, clips), np.repeat(speed, clips), np.tile(np.arange(clips), 16)
    )
    ours = np.full(16 * clips, 0.04)
    theirs = np.where(bins.light == 0, np.inf, 0.02)
    make = metrics.Candidate
    return bins, [
        make("ours, followed", "events", {"nme51": ours, "nme5": ours}, np.full(len(ours), 3.0)),
        make("RGB → it", "RGB", {"nme51": theirs, "nme5": theirs}, np.full(len(ours), 2.0)),
    ]


def test_bins_where_events_or_frames_are_better() -> None:
    bins, (ours, theirs) = candidates(6)
    won = metrics.compare_by_bin(ours, [theirs], bins, "nme51")
    assert [entry["better"] for entry in won] == ["ours"] * 4 + ["peer"] * 12
    assert won[0]["auc10_difference"] == pytest.approx([0.6] * 3)
    assert won[4]["auc10_difference"] == pytest.approx([-0.2] * 3)
    assert won[0]["theirs"]["median_percent"] is None
    assert won[0]["theirs"]["fr10_percent"] == 100
    rows = metrics.overall([ours, theirs], bins.person)
    assert rows[1]["found_percent"] == 75
    assert rows[1]["nme51"]["mean_percent"] == pytest.approx([2, 2, 2])
    assert rows[1]["nme51"]["auc10"][0] == pytest.approx(0.75 * 0.8)
    # Four people are too few.
    few, (ours, theirs) = candidates(4)
    assert {entry["better"] for entry in metrics.compare_by_bin(ours, [theirs], few, "nme51")} == {
        "even"
    }


def test_bins_of_light_and_speed() -> None:
    lux, speed = np.array([0.05, 1.0, 9.9, 5000.0]), np.array([1.0, 10.0, 299.0, 300.0])
    bins = metrics.Bins.of(lux, speed, np.arange(4))
    assert bins.light.tolist() == [0, 1, 1, 3]
    assert bins.speed.tolist() == [0, 1, 2, 3]


def test_summed_events() -> None:
    events = make_events([0, 100_000], [1, 2], [0, 3], [1, 0])
    image = worker.integrated(events, 4, 100.0)
    assert image[0, 1] == int(128 + 40 * np.exp(-1))
    assert image[3, 2] == 128 - 40
    assert (np.delete(image.reshape(-1), [1, 14]) == 128).all()
    assert (worker.integrated(events[:0], 4, 100.0) == 128).all()


def test_voxels_of_the_worker_equal_ours() -> None:
    from evface_edge.geometry import SensorSize
    from evface_edge.representation import VoxelGrid

    t = np.sort(RNG.integers(0, 33_000, 500))
    events = make_events(t, *RNG.integers(0, 16, (2, 500)), RNG.integers(0, 2, 500))
    theirs = worker.voxels(events, 16, 5)
    ours = VoxelGrid(bins=5)(events, SensorSize(16, 16))
    np.testing.assert_allclose(theirs, ours[5:] - ours[:5], atol=1e-3)


def test_contrast_is_stretched_to_the_full_range() -> None:
    frame = np.linspace(10, 40, 200).reshape(10, 20).astype(np.uint8)
    image = worker.stretched(frame)
    assert (image.min(), image.max()) == (0, 255)
    assert not worker.stretched(np.full((4, 4), 9, np.uint8)).any()


def test_figures_and_tables() -> None:
    bins, both = candidates(6)
    result = {
        "ours": "ours, followed",
        "error": "nme51",
        "rows": metrics.overall(both, bins.person),
        "cells": {"nme51": metrics.by_bin(both, bins, "nme51")},
        "by_bin": {"frames": metrics.compare_by_bin(both[0], both[1:], bins, "nme51")},
        "network_cpu_ms": {"small": 1.0, "large": 200.0},
        "left_out": {"YuNet": "no model file"},
    }
    json.dumps(result, allow_nan=False)
    for data in (drawing.board(result), drawing.curves(result)):
        with Image.open(io.BytesIO(data)) as image:
            assert np.asarray(image.convert("L")).std() > 5
    text = report.markdown(result)
    assert "YuNet (no model file)" in text
    assert "200.00" in text  # the ratio
    assert "4.0 % / no face: events" in text
    assert "4.0 % / 2.0 %: RGB → it" in text
    assert text.count("RGB → it is better") == 12
