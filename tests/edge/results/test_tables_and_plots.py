from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceState, Predictions

SIZE = SensorSize(346, 260)


@pytest.fixture
def predictions(make_face) -> Predictions:
    faces = [
        make_face(1000),
        make_face(2000, state=FaceState.HELD, face_id=4, box=Box(-1.25, 2, 30, 40.5)),
    ]
    return Predictions(faces, size=SIZE, model="evface-s", windows=7)


@pytest.fixture
def blinking(make_face) -> Predictions:
    """Four seconds at 50 Hz; the eyes are closed from 2.0 to 2.2 s; held from 3.5 s on."""
    faces = []
    for t_us in range(0, 4_000_000, 20_000):
        points = make_face().landmarks.copy()
        gap = 0.3 if 2_000_000 <= t_us < 2_200_000 else 4.0
        for first, x in ((60, 40.0), (68, 75.0)):  # the eyes, 12 pixels wide
            along = np.array([0, 3, 6, 9, 12, 9, 6, 3])
            side = np.array([0, -1, -1, -1, 0, 1, 1, 1])
            points[first : first + 8] = np.stack([x + along, 45 + side * gap / 2], axis=1)
        state = FaceState.HELD if t_us >= 3_500_000 else FaceState.FOLLOWING
        faces.append(make_face(t_us, landmarks=points, state=state))
    return Predictions(faces, size=SIZE, model="evface-s", windows=200)


def test_pose_and_aspect_ratios_in_csv_and_json(predictions: Predictions) -> None:
    row = next(csv.DictReader(io.StringIO(predictions.to_csv())))
    face = predictions[0]
    head = face.head_pose()
    for name in ("yaw_deg", "pitch_deg", "roll_deg"):
        assert float(row[name]) == pytest.approx(getattr(head, name), abs=0.0051)
    assert float(row["ear_right"]) == pytest.approx(face.eye_aspect_ratio[0], abs=1e-4)
    assert float(row["ear_left"]) == pytest.approx(face.eye_aspect_ratio[1], abs=1e-4)
    assert float(row["mar"]) == pytest.approx(face.mouth_aspect_ratio, abs=1e-4)
    found = json.loads(predictions.to_json())["faces"][0]
    for group in ("head_pose", "aspect_ratios"):
        assert found[group] == {name: float(row[name]) for name in found[group]}


def test_blinks_in_every_table(blinking: Predictions, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (blink,) = blinking.blinks()
    assert blink.onset_us == pytest.approx(2_000_000, abs=20_000)
    expected = [
        1 if blink.onset_us <= face.t_us < blink.onset_us + blink.duration_us else 0
        for face in blinking
    ]
    assert sum(expected) == 10
    rows = list(csv.DictReader(io.StringIO(blinking.to_csv())))
    assert [int(row["blink"]) for row in rows] == expected
    for row, during in zip(rows, expected, strict=True):
        assert row["blink_onset_us"] == (str(blink.onset_us) if during else "")
        assert row["blink_duration_us"] == (str(blink.duration_us) if during else "")
    whole = json.loads(blinking.to_json())
    assert [face["blink"] for face in whole["faces"]] == [bool(each) for each in expected]
    (found,) = whole["blinks"]
    assert (found["face_id"], found["onset_us"]) == (3, blink.onset_us)
    assert found["depth"] == pytest.approx(blink.depth, abs=1e-4)
    blinking.to_parquet(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table["blink"].to_pylist() == [bool(each) for each in expected]
    assert table["blink_onset_us"][105].as_py() == blink.onset_us
    assert table["blink_duration_us"][0].as_py() is None


def test_blinks_are_unknown_where_the_eyes_were_not_observed(make_face) -> None:
    """Held landmarks keep their time; results 100 ms apart would miss a blink."""
    held = [make_face(10_000, state=FaceState.HELD) for _ in range(3)]
    faces = [make_face(0), make_face(10_000), *held, make_face(20_000), make_face(120_000)]
    run = Predictions(faces, size=SIZE, model="m", windows=7)
    expected = [False, False, None, None, None, False, None]
    assert [face["blink"] for face in run.to_dict()["faces"]] == expected
    cells = [row["blink"] for row in csv.DictReader(io.StringIO(run.to_csv()))]
    assert cells == ["0", "0", "", "", "", "0", ""]


def test_two_faces_blink_on_their_own(blinking: Predictions, make_face) -> None:
    other = [make_face(face.t_us, face_id=9) for face in blinking]
    faces = [face for pair in zip(blinking, other, strict=True) for face in pair]
    run = Predictions(faces, size=SIZE, model="m", windows=200)
    assert [blink.face_id for blink in run.blinks()] == [3]
    rows = list(csv.DictReader(io.StringIO(run.to_csv())))
    assert {row["face_id"] for row in rows if row["blink"] == "1"} == {"3"}


def test_parquet_with_another_reader(predictions: Predictions, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    predictions.to_parquet(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names[:4] == ["t_us", "face_id", "state", "presence"]
    assert table["t_us"].to_pylist() == [1000, 2000]
    assert table["state"].to_pylist() == ["following", "held"]
    assert [table[f"box_{name}"][1].as_py() for name in ("x", "y", "width", "height")] == [
        *(-1.25, 2, 30, 40.5)
    ]
    for column, expected in (
        ("x", [face.landmarks[:, 0] for face in predictions]),
        ("y", [face.landmarks[:, 1] for face in predictions]),
        ("sigma", [face.sigma for face in predictions]),
    ):
        np.testing.assert_array_equal(np.stack(table[column].to_pylist()), expected)
    assert table["yaw_deg"][0].as_py() == pytest.approx(predictions[0].head_pose().yaw_deg)
    assert table["mar"][0].as_py() == pytest.approx(predictions[0].mouth_aspect_ratio)
    about = json.loads(table.schema.metadata[b"evface_edge"])
    assert (about["model"], about["windows"]) == ("evface-s", 7)
    assert about["sensor"] == {"width": 346, "height": 260}


def test_parquet_without_a_face_has_its_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    Predictions([], size=SIZE, model="m", windows=2).to_parquet(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.num_rows == 0
    assert {"t_us", "yaw_deg", "blink", "x", "y", "sigma"} <= set(table.column_names)


def test_a_missing_package_names_its_extra(
    predictions: Predictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RuntimeUnavailable, match=r"evface-edge\[parquet\]"):
        predictions.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(RuntimeUnavailable, match=r"evface-edge\[report\]"):
        predictions.plot()
    with pytest.raises(ConfigError) as caught:
        predictions.to_parquet(tmp_path / "a.csv")
    assert caught.value.field == "output"
    assert not list(tmp_path.iterdir())


def test_plot_shows_curves_blinks_and_held_landmarks(blinking: Predictions, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = blinking.plot(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 500
    eyes, mouth, pose, presence, sigma = figure.axes
    right, _ = eyes.get_lines()
    time_s, ratio = right.get_data()
    assert (time_s[0], time_s[-1]) == pytest.approx((0, 3.98))
    assert ratio[0] == pytest.approx(4.0 / 12)  # height ÷ width
    assert ratio[105] == pytest.approx(0.3 / 12, abs=1e-5)
    # Blinks: one span about 2.0 to 2.2 s; held: one span from 3.5 s to the end, in each panel.
    spans = [patch.get_bbox().intervalx for patch in eyes.patches]
    assert sorted(tuple(span) for span in spans) == [
        pytest.approx((2.0, 2.2), abs=0.03),
        pytest.approx((3.5, 3.98), abs=1e-6),
    ]
    for axis in (mouth, pose, presence, sigma):
        assert [tuple(patch.get_bbox().intervalx) for patch in axis.patches] == [
            pytest.approx((3.5, 3.98))
        ]
    assert "1 blink" in figure.get_suptitle()


def test_plot_breaks_the_line_where_there_is_no_face(make_face) -> None:
    pytest.importorskip("matplotlib")
    faces = [make_face(t_us) for t_us in (0, 10_000, 900_000, 910_000)]
    figure = Predictions(faces, size=SIZE, model="m", windows=9).plot()
    yaw = figure.axes[2].get_lines()[0].get_ydata()
    assert np.isnan(yaw).tolist() == [False, False, True, False, False]
    assert yaw[0] == pytest.approx(faces[0].head_pose().yaw_deg)


def test_plot_without_a_face(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    Predictions([], size=SIZE, model="m", windows=2).plot(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
