"""The whole method at a tiny size: SSMER → RGB teacher → teacher → distilled student."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from evface_edge.errors import ConfigError, EvfaceError, ModelError
from evface_edge.models import find_float_model, find_model
from evface_training.checkpoint import load_checkpoint, load_network, load_raw
from evface_training.clip_maker import ClipMaker, draw_clips
from evface_training.data.faces import FaceSet
from evface_training.networks.hrnet import HRNetConfig
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe, load_recipe
from evface_training.ssmer.events import PackedEvents
from evface_training.ssmer.task import SsmerConfig
from evface_training.tasks.init_weights import InitWeights, load_encoder, load_teacher
from evface_training.tasks.table import build_task
from evface_training.teacher.config import TeacherConfig
from evface_training.teacher.network import Teacher
from evface_training.trainer.machine import Machine
from evface_training.trainer.optimiser import OptimiserConfig
from evface_training.trainer.train import train

CPU = Machine("cpu", threads=1, workers=0)
TINY = TrainRecipe(
    name="tiny",
    student=StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32),
    teacher=TeacherConfig(
        side=32,
        backbone=HRNetConfig(
            stem=8, bottlenecks=1, width=8, modules=(1,), blocks=1, out_channels=16
        ),
        layers=1,
        heads=2,
        feed_forward=16,
        grid=3,
    ),
    ssmer=SsmerConfig(side=32, projection=32, prediction=16),
    steps=2,
    batch=4,
    reuse=1.0,
    precision="fp32",
    validation_clips=6,
    validate_every=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def encoder(folder: Path, drawn_faces: FaceSet) -> Path:
    recipe = replace(TINY, task="ssmer")
    return train(recipe, drawn_faces, drawn_faces, folder / "ssmer", CPU)


@pytest.fixture(scope="module")
def rgb_side(folder: Path, drawn_faces: FaceSet) -> Path:
    recipe = replace(TINY, task="teacher", teacher=replace(TINY.teacher, fusion="rgb"))
    return train(recipe, drawn_faces, drawn_faces, folder / "rgb", CPU)


@pytest.fixture(scope="module")
def teacher(folder: Path, rgb_side: Path, drawn_faces: FaceSet) -> Path:
    recipe = replace(TINY, task="teacher")
    init_weights = InitWeights(rgb_side=rgb_side)
    return train(recipe, drawn_faces, drawn_faces, folder / "teacher", CPU, init_weights)


def test_ssmer_initialises_a_backbone(encoder: Path) -> None:
    assert load_raw(encoder)["kind"] == "ssmer"
    shared = load_encoder(encoder)
    initialised = build_task(TINY, InitWeights(encoder=encoder)).network
    fresh = build_task(TINY).network
    x = torch.rand(2, 10, 32, 32)
    with torch.no_grad():
        expected = shared(x, "voxel")
        torch.testing.assert_close(initialised.eval().backbone(x), expected)
        assert not torch.allclose(fresh.eval().backbone(x), expected)


def test_a_teacher_takes_the_rgb_side_and_keeps_it(teacher: Path, rgb_side: Path) -> None:
    side, whole = load_teacher(rgb_side), load_teacher(teacher)
    assert side.rgb is not None
    assert whole.rgb is not None
    for name, value in side.rgb.state_dict().items():
        torch.testing.assert_close(whole.rgb.state_dict()[name], value, rtol=0, atol=0)
    init_weights = json.loads(load_raw(teacher)["data"])["init_weights"]
    assert len(init_weights["rgb_side"]) == 64


def test_a_student_is_distilled(folder: Path, teacher: Path, drawn_faces: FaceSet) -> None:
    recipe = replace(TINY, task="distill", steps=3)
    path = train(
        recipe, drawn_faces, drawn_faces, folder / "distill", CPU, InitWeights(teacher=teacher)
    )
    assert load_checkpoint(path).network.config == recipe.student
    # The frozen teacher went through training unchanged.
    stored, expected = load_raw(path)["state"]["task"], load_teacher(teacher).state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(stored[f"teacher.{name}"], value, rtol=0, atol=0)


def test_resuming_with_another_teacher_is_an_error(
    folder: Path, teacher: Path, rgb_side: Path, drawn_faces: FaceSet
) -> None:
    recipe = replace(TINY, task="distill", steps=1)
    there = folder / "swapped"
    train(recipe, drawn_faces, drawn_faces, there, CPU, InitWeights(teacher=teacher))
    with pytest.raises(ConfigError, check=lambda e: e.field == "data.init_weights.teacher"):
        train(recipe, drawn_faces, drawn_faces, there, CPU, InitWeights(teacher=rgb_side))


def test_wrong_initial_weights_are_errors(teacher: Path, encoder: Path, rgb_side: Path) -> None:
    other_size = replace(TINY.student, channels=(16, 32, 32, 32))
    cases: list[tuple[TrainRecipe, InitWeights, type[EvfaceError], str | Path]] = [
        (replace(TINY, task="distill"), InitWeights(), ConfigError, "--teacher"),
        (TINY, InitWeights(teacher=teacher), ConfigError, "--teacher"),
        (TINY, InitWeights(encoder=encoder, student=encoder), ConfigError, "--encoder"),
        (replace(TINY, task="teacher"), InitWeights(), ConfigError, "--rgb-side"),
        (replace(TINY, task="teacher"), InitWeights(rgb_side=teacher), ModelError, "fusion"),
        (TINY, InitWeights(encoder=teacher), ModelError, "kind"),
        (replace(TINY, student=other_size), InitWeights(encoder=encoder), ModelError, encoder),
    ]
    for recipe, init_weights, kind, subject in cases:
        with pytest.raises(kind) as caught:
            build_task(recipe, init_weights)
        assert subject in (caught.value.field, caught.value.path)


def test_packed_events_agree_with_the_voxels_of_the_clips(drawn_faces: FaceSet) -> None:
    """Events given as lists fill the cells that the simulator fills itself."""
    recipe = replace(TINY, task="ssmer", ssmer=replace(TINY.ssmer, side=128))
    made = ClipMaker(drawn_faces, recipe, 24, rank=0, needs=build_task(recipe).needs)(0)
    events = PackedEvents.of_batch(made)
    assert events.clips == 24
    for column in (events.time, events.x, events.y):
        assert 0 <= float(column.min()) <= float(column.max()) <= 1
    counts = torch.bincount(events.clip, minlength=24)
    filled = (made["events"] > 0).flatten(1).sum(1)
    # By rank: a few clips have ten times the events of others, many of them in the same cells.
    ranks = torch.stack([counts.argsort().argsort(), filled.argsort().argsort()]).float()
    assert float(torch.corrcoef(ranks)[0, 1]) > 0.8


def test_a_bundled_student_is_fine_tuned(folder: Path, drawn_faces: FaceSet) -> None:
    """Two steps of a tiny learning rate hardly change its outputs."""
    recipe = replace(
        load_recipe("evface-n"), optimiser=OptimiserConfig(learning_rate=1e-6), steps=2, batch=4
    )
    recipe = replace(recipe, pool=32, reuse=1.0, validation_clips=6, validate_every=2)
    bundled = find_float_model("evface-n")
    path = train(recipe, drawn_faces, drawn_faces, folder / "on", CPU, InitWeights(student=bundled))
    trained, session = load_network(path), onnxruntime.InferenceSession(bundled.read_bytes())
    inputs = draw_clips(drawn_faces, recipe, 4, seed=1).inputs.float()
    with torch.no_grad():
        predicted, _, _ = trained(inputs)
    (expected,) = session.run(["landmarks"], {"events": inputs.numpy()})
    assert float(np.abs(predicted.numpy() - expected).mean()) < 0.02
    assert float(np.abs(expected - expected[:, ::-1]).mean()) > 0.1  # points lie far apart

    other = replace(recipe, representation={"name": "multi_scale_surface"})
    with pytest.raises(ModelError, check=lambda e: e.field == "representation"):
        build_task(other, InitWeights(student=bundled))
    with pytest.raises(ModelError, check=lambda e: e.value == "int8"):
        build_task(recipe, InitWeights(student=find_model("evface-n")))


def test_lists_of_several_batches_are_joined(drawn_faces: FaceSet) -> None:
    recipe = replace(TINY, task="ssmer")
    clips = draw_clips(drawn_faces, recipe, 6, seed=3, needs=("event_lists",))
    assert clips.events is not None
    assert clips.inputs.shape[0] == len(clips.duration_s) == 6
    assert clips.events.clip.unique().tolist() == list(range(6))
    assert bool((clips.events.clip.diff() >= 0).all())
    assert int(clips.events.x.max()) < clips.events.side_px


def test_rgb_comes_with_the_clips_that_need_it(drawn_faces: FaceSet) -> None:
    maker = ClipMaker(drawn_faces, TINY, 3, rank=0, needs=("events", "rgb"))
    rgb: Tensor = maker(0)["rgb"]
    assert rgb.dtype == torch.uint8
    assert rgb.shape == (3, 3, 32, 32)
    assert float(rgb.float().std()) > 10


def test_a_teacher_works_on_events_alone(teacher: Path) -> None:
    network = load_teacher(teacher)
    assert isinstance(network, Teacher)
    with torch.no_grad():
        points = network(torch.rand(1, 10, 32, 32)).points
    assert points.shape == (1, 98, 2)
