from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from evface_edge.cli.outputs import VIDEO_SUFFIXES
from evface_edge.errors import EventFormatError
from evface_edge.geometry import Box
from evface_edge.results.video import VIDEO_WRITERS


def test_prints_a_table(command, recording: Path, fake_predictor) -> None:
    answer = command("predict", recording)
    assert answer.code == 0
    assert answer.err == ""
    assert "120×90 pixels, 5,000 events" in answer.out
    assert "evface-s on a fake" in answer.out
    row = next(line.split() for line in answer.out.splitlines() if "following" in line)
    assert row[:6] == ["1", "99", "0.00", "0.98", "0.90", "1.5"]
    assert row[6:] == ["following", "98%,", "held", "2%"]
    assert fake_predictor.made_with == {
        "model": "evface-s",
        "runtime": None,
        "device": "auto",
        "rate_hz": None,
        "faces": 1,
        "smoothing": True,
        "box": None,
    }


def test_all_outputs_come_from_one_run(command, recording: Path, fake_predictor) -> None:
    folder = recording.parent
    names = ["a.csv", "a.json", "a.gif"]
    outputs = [argument for name in names for argument in ("-o", folder / name)]
    answer = command("predict", recording, *outputs)
    assert answer.code == 0
    for name in names:
        assert f"written: {folder / name}" in answer.out
    rows = list(csv.DictReader((folder / "a.csv").read_text().splitlines()))
    assert [int(row["t_us"]) for row in rows] == list(range(10_000, 1_000_000, 10_000))
    assert json.loads((folder / "a.json").read_text())["windows"] == 99
    with Image.open(folder / "a.gif") as video:
        assert video.n_frames == 24  # 1 s at 25 a second; the last is due after the last event
    assert {path.name for path in folder.iterdir()} == {recording.name, *names}


def test_slow_motion(command, recording: Path, fake_predictor) -> None:
    path = recording.parent / "a.gif"
    answer = command("predict", recording, "-o", path, "--speed", "0.5", "--fps", "10")
    assert answer.code == 0
    with Image.open(path) as video:
        assert video.n_frames == 19


def test_a_recording_without_a_face(command, recording: Path, fake_predictor) -> None:
    fake_predictor.faces = False
    table = recording.parent / "a.csv"
    answer = command("predict", recording, "-o", table)
    assert answer.code == 0
    assert all(text in answer.out for text in ("no face", "99", "0.98"))
    assert len(table.read_text().splitlines()) == 1


def test_json_for_scripts(command, recording: Path, fake_predictor) -> None:
    answer = command(
        "predict", recording, "--json", "-m", "other", "--rate-hz", "50", "--box", "10,20,30,40.5"
    )
    assert answer.code == 0
    found = json.loads(answer.out)
    assert found["sensor"] == {"width": 120, "height": 90}
    assert (found["events"], found["windows"], found["outputs"]) == (5000, 99, [])
    (face,) = found["faces"]
    assert (face["face_id"], face["results"], face["first_us"], face["last_us"]) == (
        1,
        99,
        10_000,
        990_000,
    )
    assert face["states"] == pytest.approx({"following": 97 / 99, "held": 2 / 99})
    assert (
        fake_predictor.made_with.items()
        >= {
            "model": "other",
            "rate_hz": 50,
            "box": Box(10, 20, 30, 40.5),
        }.items()
    )


@pytest.mark.parametrize("error", [EventFormatError("torn"), KeyboardInterrupt()])
def test_a_failure_keeps_old_files(
    command, recording: Path, fake_predictor, error: BaseException
) -> None:
    fake_predictor.fails_at_us, fake_predictor.error = 500_000, error
    folder = recording.parent
    (folder / "a.csv").write_text("old")
    answer = command("predict", recording, "-o", folder / "a.csv", "-o", folder / "a.gif")
    interrupted = isinstance(error, KeyboardInterrupt)
    assert answer.code == (130 if interrupted else 1)
    assert answer.err.splitlines() == ([] if interrupted else ["error: torn"])
    assert (folder / "a.csv").read_text() == "old"
    assert {path.name for path in folder.iterdir()} == {recording.name, "a.csv"}


@pytest.mark.parametrize("names", [["a.txt"], ["missing/a.csv"], ["a.csv", "b/../a.csv"]])
def test_outputs_are_checked_first(
    command, recording: Path, fake_predictor, names: list[str]
) -> None:
    (recording.parent / "b").mkdir()
    paths = [recording.parent / name for name in names]
    answer = command("predict", recording, *(part for path in paths for part in ("-o", path)))
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert line.startswith("error: ")
    assert str(paths[-1]) in line
    assert fake_predictor.made_with == {}


@pytest.mark.parametrize("options", ["", "?width=5&height=5"])
def test_the_recording_is_not_overwritten(
    command, tmp_path: Path, fake_predictor, options: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_text("t,x,y,p\n0,1,1,1\n")
    answer = command("predict", f"{path}{options}", "--size", "5x5", "-o", path)
    assert answer.code == 1
    assert str(path) in answer.err
    assert path.read_text() == "t,x,y,p\n0,1,1,1\n"


def test_a_missing_recording(command, tmp_path: Path, fake_predictor) -> None:
    answer = command("predict", tmp_path / "none.raw", "-o", tmp_path / "a.csv")
    assert answer.code == 1
    assert answer.err.startswith("error: ")
    assert "none.raw" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        ["--size", "346"],
        ["--size", "0x5"],
        ["--box", "1,2,3"],
        ["--box", "1,2,3,-4"],
        ["--rate-hz", "fast"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage_exits_2(command, recording: Path, fake_predictor, wrong: list[str]) -> None:
    answer = command("predict", recording, *wrong)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_both_lists_of_videos_are_equal() -> None:
    assert set(VIDEO_WRITERS) == VIDEO_SUFFIXES


def test_every_kind_of_output(command, recording: Path, fake_predictor) -> None:
    folder = recording.parent
    names = ["a.csv", "a.json", "a.parquet", "a.png", "a.rrd"]
    for library in ("pyarrow", "matplotlib", "rerun"):
        pytest.importorskip(library)
    outputs = [argument for name in names for argument in ("-o", folder / name)]
    answer = command("predict", recording, *outputs)
    assert answer.code == 0, answer.err
    assert {path.name for path in folder.iterdir()} == {recording.name, *names}
    row = next(csv.DictReader((folder / "a.csv").read_text().splitlines()))
    face = json.loads((folder / "a.json").read_text())["faces"][0]
    assert float(row["yaw_deg"]) == face["head_pose"]["yaw_deg"]
    from pyarrow import parquet

    table = parquet.read_table(folder / "a.parquet")
    assert table.num_rows == 99
    assert table["yaw_deg"][0].as_py() == pytest.approx(face["head_pose"]["yaw_deg"], abs=0.0051)


def test_a_failure_leaves_no_new_files(command, recording: Path, fake_predictor) -> None:
    pytest.importorskip("rerun")
    fake_predictor.fails_at_us, fake_predictor.error = 500_000, EventFormatError("torn")
    folder = recording.parent
    answer = command("predict", recording, "-o", folder / "a.rrd", "-o", folder / "a.parquet")
    assert answer.code == 1
    assert [path.name for path in folder.iterdir()] == [recording.name]
