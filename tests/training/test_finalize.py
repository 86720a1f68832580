"""σ is made to mean what it says, and the card is completed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evface_edge.card_file import read_card
from evface_edge.cli import main
from evface_edge.errors import ConfigError
from evface_training.checkpoint import save_checkpoint
from evface_training.data.faces import FaceSet
from evface_training.finalize import finalize, sigma_gain
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe
from evface_training.student_card import SIGMA_LIMIT

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)
RECIPE = TrainRecipe(name="tiny", student=TINY)
NOTES = {"data": "cartoons", "licence": "none"}


class Sure(nn.Module):
    """Says that it errs by 0.01; the events tell it which clip it sees."""

    def __init__(self, landmarks: Tensor) -> None:
        super().__init__()
        self._landmarks = landmarks

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        seen = self._landmarks[(1000 * inputs.amax((1, 2, 3))).round().long()]
        return seen, torch.full(seen.shape[:2], 0.01).log()


@pytest.mark.parametrize("errs_by", [0.005, 0.02])
def test_the_gain_is_how_wrong_sigma_was(errs_by: float) -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(100, 98, 2, generator=generator)
    landmarks = points + errs_by * torch.randn(100, 98, 2, generator=generator)
    landmarks[50:] += 0.5  # of clips with one event, which are not asked
    inputs = torch.full((100, 10, 8, 8), 0.0)
    inputs[:, 0, 0, 0] = torch.arange(100) / 1000
    inputs[:50] = inputs[:50, :1, :1, :1]
    clips: Any = SimpleNamespace(inputs=inputs, points=points)
    network: Any = Sure(landmarks)
    # A clip without any event, the first, is not asked either.
    assert sigma_gain(network, clips) == pytest.approx(errs_by / 0.01, rel=0.03)


def test_a_checkpoint_is_made_ready(tmp_path: Path, drawn_faces: FaceSet) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "last.pt", Student(TINY), None)
    gain, again = (
        finalize([tmp_path / name], RECIPE, drawn_faces, output, training_notes=NOTES, count=24)
        for name, output in (("last.pt", tmp_path / "a.pt"), ("a.pt", tmp_path / "b.pt"))
    )
    assert gain > 0
    assert again == pytest.approx(gain)  # what was fitted before does not count
    card = read_card(tmp_path / "b.pt")
    assert (card.name, dict(card.training)) == ("tiny", NOTES)
    assert card.sigma_limit == pytest.approx(SIGMA_LIMIT * gain, rel=1e-2)
    with pytest.raises(ConfigError, match="faces = 0"):
        finalize(
            [tmp_path / "last.pt"],
            RECIPE,
            drawn_faces.select(drawn_faces.human & ~drawn_faces.human),
            tmp_path / "c.pt",
            training_notes=NOTES,
        )
    assert not (tmp_path / "c.pt").exists()


def test_a_card_names_the_recipe_and_not_where_it_lies(
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
