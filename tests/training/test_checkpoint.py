"""Checkpoints are written whole, and damaged ones are errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from evface_edge.errors import ModelError
from evface_training.checkpoint import load_checkpoint, load_network, load_raw, save_checkpoint
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe
from evface_training.student_card import student_card

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)
CARD = student_card(TrainRecipe("tiny", student=TINY))


def test_a_checkpoint_is_loaded_as_saved(tmp_path: Path) -> None:
    path, network = tmp_path / "last.pt", Student(TINY).eval()
    save_checkpoint(path, network, CARD, {"step": 3}, recipe={"a": [1]}, data={"b": {"c": "d"}})
    loaded = load_checkpoint(path)
    x = torch.rand(2, 10, 32, 32)
    for actual, expected in zip(loaded.network(x), network(x), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    assert loaded.card == CARD
    raw = load_raw(path)
    assert json.loads(raw["recipe"]) == {"a": [1]}
    assert json.loads(raw["data"]) == {"b": {"c": "d"}}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.pt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    """Writing to `/dev/full` fails with ENOSPC."""
    path = tmp_path / "last.pt"
    save_checkpoint(path, Student(TINY), CARD)
    before = path.read_bytes()
    (tmp_path / "last.pt.partial").symlink_to("/dev/full")
    with pytest.raises(ModelError, match="No space left", check=lambda e: e.path == path):
        save_checkpoint(path, Student(TINY), CARD)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.pt"]
    save_checkpoint(path, Student(TINY), CARD)


def test_an_interrupted_save_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, Student(TINY), CARD)
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, Student(TINY), CARD)
    assert path.read_bytes() == before
    load_checkpoint(path)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda _: b"", lambda _: b"hello" * 99]
)
def test_a_damaged_checkpoint_is_an_error(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, Student(TINY), CARD)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, check=lambda e: e.path == path):
        load_checkpoint(path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (trace,)  # type: ignore[return-value]

    torch.save({"network": Evil()}, path)
    with pytest.raises(ModelError, check=lambda e: e.path == path):
        load_raw(path)
    assert not trace.exists()


def test_another_number_of_landmarks_is_an_error(tmp_path: Path) -> None:
    path, network = tmp_path / "last.pt", Student(TINY)
    network.head.to_points = nn.Conv2d(32, 68, 1)
    save_checkpoint(path, network, CARD)
    with pytest.raises(ModelError, match=r"to_points.*68.*98"):
        load_network(path)


def test_a_teacher_is_no_student(tmp_path: Path) -> None:
    path = tmp_path / "teacher.pt"
    save_checkpoint(path, Student(TINY), None, kind="teacher")
    with pytest.raises(ModelError, check=lambda e: (e.value, e.expected) == ("teacher", "student")):
        load_checkpoint(path)
