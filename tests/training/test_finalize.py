"""σ is fitted to the errors, and the card is completed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evface_edge.card import WindowPolicy
from evface_edge.card_file import read_card
from evface_edge.cli import main
from evface_edge.errors import ConfigError, ModelError
from evface_edge.models import find_float_model
from evface_training.checkpoint import save_checkpoint
from evface_training.clip_maker import draw_clips
from evface_training.data.faces import FaceSet
from evface_training.finalize import finalize, sigma_gain, stored_recipe
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe, load_recipe
from evface_training.student_card import SIGMA_LIMIT, student_card

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)
RECIPE = TrainRecipe(name="tiny", student=TINY)
NOTES = {"data": "cartoons", "licence": "none"}


class ConstantSigma(nn.Module):
    """Predicts σ = 0.01; the events hold the number of the clip."""

    def __init__(self, landmarks: Tensor) -> None:
        super().__init__()
        self._landmarks = landmarks

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        landmarks = self._landmarks[(1000 * inputs.amax((1, 2, 3))).round().long()]
        return landmarks, torch.full(landmarks.shape[:2], 0.01).log()


@pytest.mark.parametrize("error", [0.005, 0.02])
def test_the_gain_is_error_over_sigma(error: float) -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(100, 98, 2, generator=generator)
    landmarks = points + error * torch.randn(100, 98, 2, generator=generator)
    landmarks[50:] += 0.5  # of clips with one event, which do not count
    inputs = torch.full((100, 10, 8, 8), 0.0)
    inputs[:, 0, 0, 0] = torch.arange(100) / 1000
    inputs[:50] = inputs[:50, :1, :1, :1]
    clips: Any = SimpleNamespace(inputs=inputs, points=points)
    network: Any = ConstantSigma(landmarks)
    # The first clip, without any event, does not count either.
    assert sigma_gain(network, clips) == pytest.approx(error / 0.01, rel=0.03)


def test_a_checkpoint_is_finalized(tmp_path: Path, drawn_faces: FaceSet) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "last.pt", Student(TINY), None)
    gain, again = (
        finalize([tmp_path / name], RECIPE, drawn_faces, output, training_notes=NOTES, count=24)
        for name, output in (("last.pt", tmp_path / "a.pt"), ("a.pt", tmp_path / "b.pt"))
    )
    assert gain > 0
    assert again == pytest.approx(gain)  # an earlier factor does not count
    card = read_card(tmp_path / "b.pt")
    assert (card.name, dict(card.training)) == ("tiny", NOTES)
    assert card.sigma_limit == pytest.approx(SIGMA_LIMIT * gain, rel=1e-2)
    with pytest.raises(ConfigError, check=lambda e: (e.field, e.value) == ("faces", 0)):
        finalize(
            [tmp_path / "last.pt"],
            RECIPE,
            drawn_faces.select(drawn_faces.human & ~drawn_faces.human),
            tmp_path / "c.pt",
            training_notes=NOTES,
        )
    assert not (tmp_path / "c.pt").exists()


def test_the_card_has_the_name_of_the_recipe_not_its_path(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: dict[str, str] = {}

    def fit(*_: object, training_notes: dict[str, str]) -> float:
        noted.update(training_notes)
        return 1.0

    monkeypatch.setattr("evface_training.finalize.finalize", fit)
    monkeypatch.setattr(
        "evface_training.recipe_faces.faces_of", lambda *_: (drawn_faces, drawn_faces)
    )
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: evface-x\ntask: landmarks\n")
    called = ["finalize", "last.pt", "--recipe", str(recipe), "-o", "out.pt"]
    assert main([*called, "--data", "cartoons", "--licence", "none"]) == 0
    assert noted == {**NOTES, "recipe": "evface-x"}


def test_the_recipe_is_the_one_of_the_checkpoint(
    tmp_path: Path, drawn_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "evface_training.recipe_faces.faces_of", lambda *_: (drawn_faces, drawn_faces)
    )
    monkeypatch.setattr(
        "evface_training.finalize.draw_clips",
        lambda faces, recipe, count, seed: draw_clips(faces, recipe, 24, seed),
    )
    window = WindowPolicy(0.5, 100, 2_000, 50_000)
    recipe = replace(RECIPE, name="mine", version="7.1", crop_scale=1.5, window=window)
    saved, output = tmp_path / "last.pt", tmp_path / "mine.pt"
    resolved = json.loads(json.dumps(asdict(recipe)))
    save_checkpoint(saved, Student(TINY), None, recipe=resolved)
    assert stored_recipe(saved) == recipe
    command = ["finalize", str(saved), "-o", str(output), "--data", "a", "--licence", "b"]
    assert main(command) == 0
    card = read_card(output)
    assert (card.name, card.version, card.crop_scale, card.window) == ("mine", "7.1", 1.5, window)
    with pytest.raises(ModelError, check=lambda e: (e.path, e.field) == (output, "recipe")):
        stored_recipe(output)


def test_a_card_claims_nothing_that_the_recipe_does_not_say() -> None:
    """A recipe with a name alone: no version of ours, and the crop that it was trained with."""
    card = student_card(RECIPE)
    low, high = RECIPE.clips.crop_scale
    assert card.version == "0.0.0"
    assert card.crop_scale == pytest.approx((low * high) ** 0.5, abs=1e-3)
    assert card.window == RECIPE.window


@pytest.mark.parametrize("name", ["evface-n", "evface-s"])
def test_cards_of_bundled_recipes_agree_with_the_bundled_models(name: str) -> None:
    card, bundled = student_card(load_recipe(name)), read_card(find_float_model(name))
    for field in ("name", "version", "crop_scale", "window", "representation", "inputs"):
        assert getattr(card, field) == getattr(bundled, field)
