"""What scripts read of an ablation: with the faces that it was run with, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_training import recipe_faces
from evface_training.ablation.people import to_train_and_to_judge
from evface_training.ablation.results import finished, options_of
from evface_training.ablation.run import Ablation, run_ablation
from evface_training.data.faces import FaceSet
from evface_training.trainer.machine import Machine


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drawn_faces: FaceSet) -> Path:
    """Twelve faces: eight to train with, four kept, and of these three labelled by hand."""
    path = tmp_path / "faces.npz"
    np.savez(path, **vars(replace(drawn_faces, human=np.arange(12) != 11)))
    halves = np.arange(8), np.arange(8, 12)
    monkeypatch.setattr(
        recipe_faces, "split_faces", lambda faces: tuple(faces.select(half) for half in halves)
    )
    return path


def test_faces_are_those_of_the_run(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "run"
    training, judging = to_train_and_to_judge([tmp_path], cache, folder)
    assert (len(training), len(judging)) == (8, 3)
    smoke = Ablation("smoke", steps=1, pretraining_steps=1, seeds=1, clips=4, rows=("events",))
    run_ablation(smoke, training, judging, folder, Machine("cpu", 1, 0))
    asked = [str(folder), "--faces", str(tmp_path), "--cache", str(cache)]
    found = finished(options_of("").parse_args(asked))
    assert found.training.names.tolist() == training.names.tolist()
    assert found.judging.names.tolist() == judging.names.tolist()
    assert found.checkpoint("events") is not None

    with np.load(cache) as stored:
        other = {**stored, "points": stored["points"] + 1}
    np.savez(cache, **other)
    with pytest.raises(ConfigError, match=r"--faces = .*: expected those of the ablation"):
        finished(options_of("").parse_args(asked))


def test_a_folder_without_an_ablation_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder of `evface-edge ablate`"):
        finished(options_of("").parse_args([str(tmp_path)]))
