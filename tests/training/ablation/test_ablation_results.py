"""`benchmarks.ablation_results`: an ablation study with the faces that it was run with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ablation_results import load_results, parser_for
from evface_edge.errors import ConfigError
from evface_training import recipe_faces
from evface_training.ablation.run import Ablation, ablation_faces, run_ablation
from evface_training.data.faces import FaceSet
from evface_training.trainer.machine import Machine


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drawn_faces: FaceSet) -> Path:
    """Twelve faces: eight for training, four for validation, three of these human-labelled."""
    path = tmp_path / "faces.npz"
    np.savez(path, **vars(replace(drawn_faces, human=np.arange(12) != 11)))
    halves = np.arange(8), np.arange(8, 12)
    monkeypatch.setattr(
        recipe_faces, "split_faces", lambda faces: tuple(faces.select(half) for half in halves)
    )
    return path


def test_faces_are_those_of_the_run(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "run"
    training, validation = ablation_faces([tmp_path], cache, folder)
    assert (len(training), len(validation)) == (8, 3)
    smoke = Ablation("smoke", steps=1, pretraining_steps=1, seeds=1, clips=4, rows=("events",))
    run_ablation(smoke, training, validation, folder, Machine("cpu", 1, 0))
    options = [str(folder), "--faces", str(tmp_path), "--cache", str(cache)]
    results = load_results(parser_for("").parse_args(options))
    assert results.training.names.tolist() == training.names.tolist()
    assert results.validation.names.tolist() == validation.names.tolist()
    assert results.checkpoint("events") is not None

    with np.load(cache) as stored:
        other = {**stored, "points": stored["points"] + 1}
    np.savez(cache, **other)
    with pytest.raises(ConfigError, check=lambda e: e.field == "--faces"):
        load_results(parser_for("").parse_args(options))


def test_a_folder_without_an_ablation_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, check=lambda e: e.field == "folder"):
        load_results(parser_for("").parse_args([str(tmp_path)]))
