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
    """Four seconds at 50 Hz; at 2.0 s the lids are shut for 0.2 s; held from 3.5 s on."""
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


def test_pose_in_csv_and_json_follows_what_was_there(predictions: Predictions) -> None:
    plain, posed = predictions.to_csv().splitlines(), predictions.to_csv(pose=True).splitlines()
    assert all(long.startswith(f"{short},") for short, long in zip(plain, posed, strict=True))
    row = next(csv.DictReader(io.StringIO("\n".join(posed))))
    head, face = predictions[0].head_pose(), predictions[0]
    for name in ("yaw_deg", "pitch_deg", "roll_deg"):
        assert float(row[name]) == pytest.approx(getattr(head, name), abs=0.0051)
    assert float(row["right_eye_openness"]) == pytest.approx(face.eye_aspect_ratio[0], abs=1e-4)
    assert float(row["mouth_aspect_ratio"]) == pytest.approx(face.mouth_aspect_ratio, abs=1e-4)
    found = json.loads(predictions.to_json(pose=True))["faces"][0]
    assert found["head_pose"] == {name: float(row[name]) for name in list(found["head_pose"])}
    assert found["openness"]["left_eye"] == float(row["left_eye_openness"])
    assert "head_pose" not in predictions.to_dict()["faces"][0]


def test_parquet_as_another_reader_sees_it(predictions: Predictions, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    predictions.to_parquet(tmp_path / "a.parquet", pose=True)
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
    assert table["mouth_aspect_ratio"][0].as_py() == pytest.approx(
        predictions[0].mouth_aspect_ratio
    )
    about = json.loads(table.schema.metadata[b"evface_edge"])
    assert (about["model"], about["windows"]) == ("evface-s", 7)
    assert about["sensor"] == {"width": 346, "height": 260}


def test_parquet_without_a_face_has_its_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    Predictions([], size=SIZE, model="m", windows=2).to_parquet(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.num_rows == 0
    assert {"t_us", "x", "y", "sigma"} <= set(table.column_names)


def test_what_is_not_installed_is_named(
    predictions: Predictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RuntimeUnavailable, match=r"evface-edge\[parquet\]"):
        predictions.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(RuntimeUnavailable, match=r"evface-edge\[report\]"):
        predictions.plot()
    with pytest.raises(ConfigError, match=r"\.parquet"):
        predictions.to_parquet(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_plot_shows_curves_blinks_and_what_was_held(blinking: Predictions, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = blinking.plot(tmp_path / "a.png", pose=False)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 500
    eyes, mouth, presence, sigma = figure.axes
    right, _ = eyes.get_lines()
    time_s, openness = right.get_data()
    assert (time_s[0], time_s[-1]) == pytest.approx((0, 3.98))
    assert openness[0] == pytest.approx(4.0 / 12)  # gap ÷ width
    assert openness[105] == pytest.approx(0.3 / 12, abs=1e-5)
    # Blinks: one span about 2.0 to 2.2 s; held: one span from 3.5 s to the end, in each panel.
    spans = [patch.get_bbox().intervalx for patch in eyes.patches]
    assert sorted(tuple(span) for span in spans) == [
        pytest.approx((2.0, 2.2), abs=0.03),
        pytest.approx((3.5, 3.98), abs=1e-6),
    ]
    for axis in (mouth, presence, sigma):
        assert [tuple(patch.get_bbox().intervalx) for patch in axis.patches] == [
            pytest.approx((3.5, 3.98))
        ]
    assert "1 blink" in figure.get_suptitle()


def test_plot_breaks_the_line_where_there_is_no_face(make_face) -> None:
    pytest.importorskip("matplotlib")
    faces = [make_face(t_us) for t_us in (0, 10_000, 900_000, 910_000)]
    figure = Predictions(faces, size=SIZE, model="m", windows=9).plot(pose=True)
    yaw = figure.axes[2].get_lines()[0].get_ydata()
    assert np.isnan(yaw).tolist() == [False, False, True, False, False]
    assert yaw[0] == pytest.approx(faces[0].head_pose().yaw_deg)


def test_plot_without_a_face(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    Predictions([], size=SIZE, model="m", windows=2).plot(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
