"""The model and the recording that came along, against truth that the renderer wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evface_edge import DEMO_RECORDING, Box, FaceState, Predictor, open_events, read_events
from evface_edge.landmarks import nme
from evface_edge.models import bundled_names

TRUTH = Path(__file__).parent / "data" / "demo_truth.npz"


def test_both_precisions_came_along() -> None:
    sizes = ("evface-n", "evface-s")
    assert bundled_names() == [f"{name}-{kind}" for name in sizes for kind in ("fp32", "int8")]


@pytest.mark.parametrize("model", ["evface-s", "evface-s-fp32", "evface-n"])
def test_landmarks_are_where_the_head_was_rendered(model: str) -> None:
    """The network has never seen an avatar, so this says something about the whole way."""
    with np.load(TRUTH) as stored:
        truth = dict(stored)
    with Predictor(model) as predictor:
        faces = predictor.run(DEMO_RECORDING)
    assert len({face.face_id for face in faces}) == 1
    times = np.array([face.t_us for face in faces])
    assert times[0] < 200_000
    errors = []
    for t_us, points in zip(truth["t_us"], truth["points98"], strict=True):
        if times[0] <= t_us <= times[-1]:
            nearest = faces[int(np.abs(times - t_us).argmin())]
            errors.append(float(nme(nearest.landmarks, points)))
    assert len(errors) > 50
    assert np.mean(errors) < 0.06
    assert np.max(errors) < 0.12


def test_int8_agrees_with_fp32() -> None:
    events, size = read_events(DEMO_RECORDING)
    with np.load(TRUTH) as stored:
        truth = dict(stored)
    index = int(np.searchsorted(truth["t_us"], 1_000_000))
    until = events[events["t"] <= truth["t_us"][index]]
    box = Box.around(truth["points98"][index])
    results = []
    for model in ("evface-s-int8", "evface-s-fp32"):
        with Predictor(model) as predictor:
            results.append(predictor.run(until, size=size, box=box)[-1])
    distance = np.linalg.norm(results[0].landmarks - results[1].landmarks, axis=1)
    assert distance.mean() < 0.01 * box.width
    assert abs(results[0].presence - results[1].presence) < 0.05


def test_empty_rooms_have_no_face() -> None:
    """Noise alone, at rates of a good and of a bad sensor."""
    rng = np.random.default_rng(0)
    with open_events(DEMO_RECORDING) as source, Predictor() as predictor:
        size = source.size
        for rate_hz in (0.2, 5.0):
            count = int(rate_hz * size.width * size.height)
            from evface_edge import make_events

            noise = make_events(
                np.sort(rng.integers(0, 1_000_000, count)),
                rng.integers(0, size.width, count),
                rng.integers(0, size.height, count),
                rng.integers(0, 2, count),
            )
            assert len(predictor.run(noise, size=size)) == 0


def test_a_face_that_stops_is_held() -> None:
    events, size = read_events(DEMO_RECORDING)
    moving = events[events["t"] < 800_000]
    late = events[-1:].copy()
    late["t"] = 2_000_000
    with Predictor() as predictor:
        faces = predictor.run(np.concatenate([moving, late]), size=size)
    assert faces[-1].state is FaceState.HELD
    assert faces[-1].sigma.mean() > faces[len(faces) // 4].sigma.mean()


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "faery/evt2.raw",
        "faery/dvs.es",
        "aestream/davis.aedat4",
        "gpl/evt3_sample.raw",
        "negatives_dvs128/hands/dvSave-2024_06_13_16_16_25.aedat4",
        "negatives_dvs128/people/neal_walking.aedat",
    ],
)
def test_real_recordings_without_a_close_face_have_none(shared_data: Path, name: str) -> None:
    with Predictor() as predictor:
        assert len(predictor.run(shared_data / "events" / name)) == 0
