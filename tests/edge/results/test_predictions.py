from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from evface_edge.errors import ConfigError
from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceState, Predictions


@pytest.fixture
def predictions(make_face) -> Predictions:
    faces = [
        make_face(1000),
        make_face(2000, state=FaceState.HELD, face_id=4, box=Box(-1.25, 2, 30, 40.5)),
        make_face(3000, presence=1.0),
    ]
    return Predictions(faces, size=SensorSize(346, 260), model="evface-s", windows=7)


def test_is_a_sequence(predictions: Predictions) -> None:
    assert len(predictions) == 3
    assert [face.t_us for face in predictions] == [1000, 2000, 3000]
    assert predictions[-1].t_us == 3000
    assert predictions[0] in predictions
    tail = predictions[1:]
    assert isinstance(tail, Predictions)
    assert [face.t_us for face in tail] == [2000, 3000]
    assert (tail.size, tail.model, tail.windows) == (SensorSize(346, 260), "evface-s", 7)
    assert repr(predictions) == ("<Predictions of evface-s: 3 faces in 7 windows, sensor 346×260>")


def test_cannot_be_changed(predictions: Predictions, make_face) -> None:
    with pytest.raises(TypeError):
        predictions[0] = make_face()  # type: ignore[index]
    with pytest.raises(AttributeError):
        predictions.windows = 1  # type: ignore[misc]


def test_csv_with_another_reader(predictions: Predictions, tmp_path: Path) -> None:
    text = predictions.to_csv(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == text.encode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3
    assert ",".join(list(rows[0])[:20]) == (
        "t_us,face_id,state,presence,box_x,box_y,box_width,box_height,yaw_deg,pitch_deg,roll_deg,"
        "ear_right,ear_left,mar,blink,blink_onset_us,blink_duration_us,x0,y0,sigma0"
    )
    assert list(rows[0])[-3:] == ["x97", "y97", "sigma97"]
    row, face = rows[1], predictions[1]
    assert (row["t_us"], row["face_id"], row["state"]) == ("2000", "4", "held")
    box = [float(row[f"box_{name}"]) for name in ("x", "y", "width", "height")]
    assert box == [-1.25, 2, 30, 40.5]
    for index in (0, 55, 97):
        found = [float(row[f"{name}{index}"]) for name in ("x", "y", "sigma")]
        expected = [*face.landmarks[index], face.sigma[index]]
        np.testing.assert_allclose(found, expected, atol=0.0005001)


def test_json_with_another_reader(predictions: Predictions, tmp_path: Path) -> None:
    text = predictions.to_json(tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == json.loads(text) == predictions.to_dict()
    assert found["sensor"] == {"width": 346, "height": 260}
    assert (found["model"], found["windows"]) == ("evface-s", 7)
    face = found["faces"][1]
    assert face["state"] == "held"
    assert face["box"] == {"x": -1.25, "y": 2, "width": 30, "height": 40.5}
    assert face["presence"] == 0.75
    np.testing.assert_allclose(face["landmarks"], predictions[1].landmarks, atol=0.0005001)
    np.testing.assert_allclose(face["sigma"], predictions[1].sigma, atol=0.0005001)


def test_without_a_face_a_table_has_its_header_only() -> None:
    empty = Predictions([], size=SensorSize(1, 1), model="m", windows=2)
    assert len(empty.to_csv().splitlines()) == 1
    assert empty.to_dict()["faces"] == []


def test_paths_that_cannot_be_written(predictions: Predictions, tmp_path: Path) -> None:
    for write, name in (
        (predictions.to_csv, "a.json"),
        (predictions.to_json, "a.csv"),
        (predictions.to_csv, "missing/a.csv"),
    ):
        with pytest.raises(ConfigError) as caught:
            write(tmp_path / name)
        assert caught.value.field == "output"
        assert caught.value.value == str(tmp_path / name)
    assert not list(tmp_path.iterdir())
