from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evface_edge.cli import demo


@pytest.fixture
def other_recording(recording: Path, fake_predictor, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(demo, "DEMO_RECORDING", recording)
    return recording


def files_expected() -> set[str]:
    videos = (
        {"annotated.gif", "annotated.mp4"} if importlib.util.find_spec("av") else {"annotated.gif"}
    )
    return {"landmarks.csv", "landmarks.json"} | videos


def test_writes_a_folder_of_results(command, other_recording, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    answer = command("demo", "--output", folder)
    assert answer.code == 0
    assert {path.name for path in folder.iterdir()} == files_expected()
    assert str(folder / "annotated.gif") in answer.out
    assert "following 98%" in answer.out


def test_without_pyav_there_is_no_mp4(
    command, other_recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    answer = command("demo", "-o", tmp_path / "out", "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert [Path(path).name for path in found["outputs"]] == [
        "landmarks.csv",
        "landmarks.json",
        "annotated.gif",
    ]
    assert found["faces"][0]["results"] == 99


def test_a_file_in_place_of_the_folder(command, other_recording, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    answer = command("demo", "-o", tmp_path / "taken")
    assert answer.code == 1
    assert "taken" in answer.err
    assert (tmp_path / "taken").read_text() == "mine"


def test_bundled_recording_and_model(command, tmp_path: Path) -> None:
    answer = command("demo", "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    rows = list(csv.DictReader((tmp_path / "out" / "landmarks.csv").read_text().splitlines()))
    assert len(rows) > 50
    eyes = np.array([[float(row["x60"]), float(row["x72"])] for row in rows])
    assert (eyes[:, 1] > eyes[:, 0]).all()  # the right eye lies on the left of the image
    with Image.open(tmp_path / "out" / "annotated.gif") as video:
        assert video.n_frames > 10
