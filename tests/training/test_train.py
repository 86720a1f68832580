"""Training on a few drawn faces: it learns, stops, goes on, and survives bad checkpoints."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import evface_training.train as training_module
from evface_edge.errors import ConfigError, ModelError
from evface_training.checkpoint import load_checkpoint, load_raw, save_checkpoint
from evface_training.config import build, load_yaml
from evface_training.data.faces import FaceSet
from evface_training.losses import student_loss
from evface_training.networks.student import Student, StudentConfig
from evface_training.simulation.clips import ClipPrior, ClipSimulator
from evface_training.train import TrainRecipe, draw_clips, student_card, train, validate

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)
RECIPE = TrainRecipe(
    name="tiny",
    student=TINY,
    steps=4,
    batch=4,
    reuse=1.0,
    pool=16,
    validate_every=2,
    human_share=0.85,
)


def test_it_learns_one_batch_by_heart(drawn_faces: FaceSet) -> None:
    torch.manual_seed(0)
    clips = draw_clips(drawn_faces, RECIPE, count=12, seed=1)
    network = Student(TINY)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    weights = torch.ones(12, 98)
    before = validate(network, clips)["nme98_percent"]
    for _ in range(120):
        network.train()
        bins, presence = network.head.logits(network.backbone(clips.inputs))
        losses = student_loss(network.head, bins, presence, clips.points, weights, clips.presence)
        optimiser.zero_grad()
        losses["total"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    after = validate(network, clips)["nme98_percent"]
    assert after < 12 < before


def test_it_saves_and_goes_on(tmp_path: Path, drawn_faces: FaceSet) -> None:
    path = train(RECIPE, drawn_faces, drawn_faces, tmp_path)
    assert load_raw(path)["state"]["step"] == 4
    checkpoint = load_checkpoint(path)
    assert checkpoint.card.name == "tiny"
    kept = {name: value.clone() for name, value in checkpoint.network.state_dict().items()}
    train(replace(RECIPE, steps=6), drawn_faces, drawn_faces, tmp_path)
    assert load_raw(path)["state"]["step"] == 6
    moved = load_checkpoint(path).network.state_dict()
    assert any(not torch.equal(kept[name], moved[name]) for name in kept)


def test_the_first_interrupt_saves_and_returns(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, taken = training_module._train_step, []

    def interrupted(*arguments: Any) -> dict[str, float]:
        taken.append(1)
        if len(taken) == 3:
            assert multiprocessing.active_children()
            # As a terminal does it: to the process that simulates as well.
            for process in (os.getpid(), *(c.pid for c in multiprocessing.active_children())):
                os.kill(process, signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(training_module, "_train_step", interrupted)
    long = replace(RECIPE, steps=1_000_000, validate_every=1_000_000)
    path = train(long, drawn_faces, drawn_faces, tmp_path)
    assert load_raw(path)["state"]["step"] == len(taken) == 3


def test_a_failed_save_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, Student(TINY), student_card(RECIPE))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, Student(TINY), student_card(RECIPE))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda _: b"", lambda _: b"hello" * 99]
)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, Student(TINY), student_card(RECIPE))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ModelError, match=r"last\.pt: not a checkpoint, or damaged"):
        load_checkpoint(path)


def test_negatives_are_marked(drawn_faces: FaceSet) -> None:
    simulator = ClipSimulator(ClipPrior(negative_share=0.5), 32, seed=2)
    images = torch.from_numpy(drawn_faces.images).repeat(8, 1, 1)
    clips = simulator(images, torch.from_numpy(drawn_faces.points).repeat(8, 1, 1))
    assert 0.3 < float(clips.presence.mean()) < 0.7
    inside = ((clips.points > -0.1) & (clips.points < 1.1)).all(-1).float().mean(1)
    assert float(inside[clips.presence == 1].mean()) > 0.95
    assert float(inside[clips.presence == 0].mean()) < 0.75


def test_one_seed_gives_one_batch(drawn_faces: FaceSet) -> None:
    images, points = torch.from_numpy(drawn_faces.images), torch.from_numpy(drawn_faces.points)
    first, again = (ClipSimulator(ClipPrior(), 64, seed=5)(images, points) for _ in range(2))
    torch.testing.assert_close(first.inputs, again.inputs, rtol=0, atol=0)
    assert float(first.inputs.min()) >= 0
    assert float(first.inputs.max()) <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "x", "stepz": 3},
            r"recipe.stepz = 3: expected a known setting; did you mean 'steps'",
        ),
        ({"name": "x", "student": {"chanels": []}}, "did you mean 'channels'"),
        ({"name": "x", "steps": "many"}, "type int"),
        ({"name": "x", "steps": 0}, "TrainRecipe.steps = 0"),
        ({"name": "x", "student": {"channels": [16, 16]}}, "a list of 4"),
        ({}, "name"),
    ],
)
def test_a_wrong_recipe_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(TrainRecipe, values, "recipe")


def test_every_bundled_recipe_is_sound() -> None:
    import evface_training

    recipes = sorted((Path(evface_training.__file__).parent / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        recipe = load_yaml(TrainRecipe, path)
        assert recipe.name == path.stem
        size = sum(p.numel() for p in Student(recipe.student).parameters())
        assert 1.0e6 < size < 1.5e6
