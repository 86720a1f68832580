"""Batches are a function of (seed, rank, step)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_training.avatar import AvatarIdentity, PinholeCamera, Pose
from evface_training.avatar.deformation import Deformer
from evface_training.avatar.landmarks import LandmarkModel
from evface_training.avatar.mesh import build
from evface_training.avatar.scene import Expression
from evface_training.clip_maker import ClipMaker, chances, fingerprint, with_fraction_of_people
from evface_training.data.faces import FaceSet
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe
from evface_training.trainer.data_stream import Replay, batches, mixed_seed

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)


def numbered(size: int) -> object:
    """Group k holds the numbers k × size … (k + 1) × size - 1."""

    def make(index: int) -> dict[str, Tensor]:
        return {"clip": torch.arange(size) + index * size}

    return make


def drawn(replay: Replay, steps: range, rank: int = 0, workers: int = 0) -> list[list[int]]:
    make = numbered(replay.group)
    stream = batches(make, replay, steps, seed=1, rank=rank, workers=workers)  # type: ignore[arg-type]
    return [batch["clip"].tolist() for batch in stream]


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 12),
    reuse=st.sampled_from([1.0, 1.5, 2.0, 5.0]),
    pool=st.integers(24, 90),
    first=st.integers(0, 40),
)
def test_a_resumed_stream_gives_the_same_batches(
    batch: int, reuse: float, pool: int, first: int
) -> None:
    replay = Replay(batch, reuse, pool)
    assert drawn(replay, range(45))[first:] == drawn(replay, range(first, 45))


def test_workers_change_nothing() -> None:
    replay = Replay(6, 2.0, 24)
    assert drawn(replay, range(9), workers=2) == drawn(replay, range(9))


def test_batches_are_full_without_repetition_and_clips_are_reused_as_set() -> None:
    replay = Replay(12, 3.0, 48)
    actual = drawn(replay, range(200))
    assert all(len(set(batch)) == 12 for batch in actual)
    seen = np.bincount(np.concatenate([np.array(batch) for batch in actual]))
    # Clips from the middle were in the pool for its whole length.
    assert seen[100:600].mean() == pytest.approx(3.0, rel=0.05)
    # Nothing older than the pool.
    assert all(min(batch) >= 4 * (step + 3) - 48 for step, batch in enumerate(actual))


def test_without_reuse_every_clip_is_seen_once() -> None:
    assert drawn(Replay(3), range(2, 5)) == [[6, 7, 8], [9, 10, 11], [12, 13, 14]]


def test_ranks_draw_differently() -> None:
    replay = Replay(6, 2.0, 24)
    assert drawn(replay, range(5)) != drawn(replay, range(5), rank=1)


def test_tensors_without_one_row_for_each_clip_cannot_be_reused() -> None:
    def ragged(index: int) -> dict[str, Tensor]:
        return {"t": torch.zeros(7)}

    with pytest.raises(ConfigError, match="'t'", check=lambda e: e.field == "reuse"):
        next(batches(ragged, Replay(4, 2.0, 16), range(3), seed=0, rank=0))


def test_mixed_seeds_are_different() -> None:
    seeds = {mixed_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert 0 <= min(seeds) <= max(seeds) < 2**63


def test_clips_are_a_function_of_seed_rank_and_index(drawn_faces: FaceSet) -> None:
    recipe = TrainRecipe("tiny", student=TINY)
    maker = ClipMaker(drawn_faces, recipe, 4, rank=0)
    maker(0)
    again, other = ClipMaker(drawn_faces, recipe, 4, rank=0), ClipMaker(drawn_faces, recipe, 4, 1)
    third, elsewhere = maker(3), other(3)
    for name, tensor in again(3).items():
        torch.testing.assert_close(tensor, third[name], rtol=0, atol=0)
    assert not torch.equal(third["events"], elsewhere["events"])
    assert third["events"].dtype == torch.uint8
    assert third["events"].shape == (4, 10, 32, 32)


def test_fractions_of_kinds_of_faces(drawn_faces: FaceSet) -> None:
    names = np.array(["video:a"] * 3 + ["still:b"] * 9)
    human = np.arange(12) >= 8
    faces = FaceSet(
        drawn_faces.images, drawn_faces.points, drawn_faces.weights, names, names, human
    )
    actual = chances(faces, TrainRecipe("x", human_fraction=0.5, video_fraction=0.2))
    np.testing.assert_allclose(actual[:3].sum(), 0.2)
    np.testing.assert_allclose(actual[8:].sum(), 0.5)
    np.testing.assert_allclose(actual.sum(), 1)


def test_turned_faces_are_drawn_more_often(drawn_faces: FaceSet) -> None:
    """Landmarks of our avatar at known poses."""
    yaw_deg = np.array([0.0, 30.0, -30.0])
    head = build(AvatarIdentity())
    solid = LandmarkModel(head).points(Expression(), Deformer(head).apply(Expression()))
    camera = PinholeCamera(SensorSize(192, 192), 400.0)
    poses = [Pose(yaw_deg=float(yaw), distance_mm=600.0) for yaw in yaw_deg]
    points = np.stack([camera.project(pose.to_camera(solid)) for pose in poses])
    faces = replace(drawn_faces.select(np.arange(3)), points=points.astype(np.float32))
    actual = chances(faces, TrainRecipe("x", turned_weight=1.0))
    mirrored = actual[1:].mean() / actual[0]
    np.testing.assert_allclose(mirrored, 2, atol=0.15)
    np.testing.assert_allclose(chances(faces, TrainRecipe("x")), 1 / 3)


def test_small_fractions_of_people_are_part_of_large_ones(drawn_faces: FaceSet) -> None:
    small, large = (set(with_fraction_of_people(drawn_faces, s).names) for s in (0.25, 0.5))
    assert (len(small), len(large)) == (3, 6)
    assert small < large


def test_a_fingerprint_changes_with_one_pixel_and_one_label(drawn_faces: FaceSet) -> None:
    first = fingerprint(drawn_faces)
    assert first == fingerprint(drawn_faces.select(np.arange(12)))
    for field in ("images", "points", "weights"):
        copy = drawn_faces.select(np.arange(12))
        getattr(copy, field)[3, 5] += 1
        assert fingerprint(copy) != first
