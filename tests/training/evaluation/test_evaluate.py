"""Metrics of known samples, and evaluation of a checkpoint through the predictor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evface_edge.cli import main
from evface_edge.compare.labelled import LabelledRecording
from evface_edge.errors import ConfigError
from evface_edge.events import write_events
from evface_edge.events.array import EVENT_DTYPE, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.predictor import Predictor
from evface_training.checkpoint import load_checkpoint, save_checkpoint
from evface_training.data.avatars import load_avatars
from evface_training.data.faces import FaceSet
from evface_training.evaluation.benchmark_sets import CONDITIONS, recordings
from evface_training.evaluation.data import split_data, spread
from evface_training.evaluation.landmarks import (
    SampleResult,
    SetResult,
    evaluate_labelled,
    evaluate_recording,
    evaluate_set,
)
from evface_training.evaluation.negatives_set import made_negatives
from evface_training.evaluation.plots import plot_curves
from evface_training.evaluation.report import binned, presence_metrics, summary, table
from evface_training.evaluation.tracking import evaluate_negatives, evaluate_tracking
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe
from evface_training.student_card import student_card

TINY = StudentConfig(side=32, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained student: its outputs do not matter here."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.pt"
    save_checkpoint(path, Student(TINY), student_card(TrainRecipe("tiny", student=TINY)))
    return path


def sample(truth: np.ndarray, error_px: float | None, **fields: float) -> SampleResult:  # type: ignore[type-arg]
    """A sample with an error of `error_px` in each point and σ of a pixel."""
    predicted = None if error_px is None else truth + np.array([error_px, 0], np.float32)
    values: dict[str, float] = {
        "lux": 200.0,
        "speed_deg_per_s": 50.0,
        "yaw_deg": 0.0,
        "presence": 0.9,
        "events": 100,
    }
    return SampleResult(
        name="a",
        truth=truth,
        predicted=predicted,
        sigma=None if predicted is None else np.ones(98, np.float32),
        accepted=predicted is not None,
        target_events=100,
        **(values | fields),  # type: ignore[arg-type]
    )


@pytest.fixture
def truth(drawn_faces: FaceSet) -> np.ndarray:  # type: ignore[type-arg]
    """A face whose outer eye corners are 100 pixels apart."""
    points = drawn_faces.points[0]
    return points * np.float32(100 / np.linalg.norm(points[72] - points[60]))


def test_metrics_of_known_samples(truth: np.ndarray) -> None:  # type: ignore[type-arg]
    errors = [2.0, 4.0, 12.0, None]
    result = SetResult("s", [sample(truth, error) for error in errors], [0.02, 0.04])
    metrics = summary(result)
    assert metrics["faces"] == 4
    assert metrics["faces_without_result"] == 1
    assert metrics["nme98_percent"] == pytest.approx(6.0, rel=1e-5)  # of those with a result
    assert metrics["nme68_median_percent"] == pytest.approx(4.0, rel=1e-3)
    # 12 % and no result are failures.
    assert metrics["fr10_faces_percent"] == metrics["fr10_points_percent"] == 50
    assert metrics["auc10_faces"] == pytest.approx((0.8 + 0.6) / 4, rel=1e-4)
    assert metrics["nmf_percent"] == pytest.approx(3)
    # One axis only: √((4 + 16 + 144) / 3 / 2).
    assert metrics["sigma_ratio"] == pytest.approx(np.sqrt(164 / 6), rel=1e-4)
    assert metrics["sigma_covers_90_percent"] == pytest.approx(100 / 3)


def test_a_set_without_any_result_has_no_mean(truth: np.ndarray) -> None:  # type: ignore[type-arg]
    metrics = summary(SetResult("s", [sample(truth, None)] * 2, []))
    assert metrics == {"faces": 2, "faces_without_result": 2}
    assert "–" in table({"sets": {"s": metrics, "t": {"faces": 1, "nme98_percent": 2}}, "bins": {}})


def test_every_sample_is_in_one_bin_of_each_kind(truth: np.ndarray) -> None:  # type: ignore[type-arg]
    samples = [
        sample(truth, 1.0, lux=0.5, yaw_deg=-20.0, events=5),
        sample(truth, 3.0, lux=500.0, yaw_deg=20.0, events=100),
        sample(truth, 5.0, lux=float("nan"), yaw_deg=70.0, events=20, speed_deg_per_s=400.0),
    ]
    bins = binned([SetResult("s", samples, [])])
    assert {k: [v["faces"] for v in rows.values()] for k, rows in bins.items()} == {
        "light": [1, 1],  # unknown for the third
        "speed": [2, 1],
        "events": [1, 1, 1],
        "yaw": [2, 1],
    }
    assert bins["yaw"]["15–30 °"]["nme98_percent"] == pytest.approx(2.0, rel=1e-4)
    assert list(bins["speed"]) == ["10–100 °/s", "over 300 °/s"]


def test_presence_metrics_by_counting(truth: np.ndarray) -> None:  # type: ignore[type-arg]
    faces = [sample(truth, 1.0, presence=p) for p in (0.9, 0.8, 0.3)]
    others = [replace(sample(truth, 1.0, presence=p), accepted=p > 0.5) for p in (0.1, 0.6)]
    metrics = presence_metrics(faces, others)
    assert metrics["roc_area"] == pytest.approx(5 / 6)
    assert metrics["tpr_percent_at_fpr_1_percent"] == pytest.approx(200 / 3)
    assert metrics["negatives_accepted_percent"] == 50


@pytest.mark.parametrize("name", ["normal", "dark"])
def test_recordings_are_valid_and_repeatable(name: str, drawn_faces: FaceSet) -> None:
    few = drawn_faces.select(np.arange(2))
    for first, again in zip(
        recordings(few, CONDITIONS[name]), recordings(few, CONDITIONS[name]), strict=True
    ):
        np.testing.assert_array_equal(first.events, again.events)
        assert len(first.events) > 200
        assert (np.diff(first.events["t"]) >= 0).all()
        assert first.events["x"].max() < first.size.width
        assert first.events["y"].max() < first.size.height


def test_a_dark_set_is_noisier(drawn_faces: FaceSet) -> None:
    """Nothing moves in the corners of the image: their events are noise."""
    few = drawn_faces.select(np.arange(3))

    def corner_rate_hz(name: str) -> float:
        rates = []
        for recording in recordings(few, CONDITIONS[name]):
            events = recording.events
            inside = (events["x"] < 20) & (events["y"] > 170)
            rates.append(inside.sum() / 440 / (events["t"][-1] * 1e-6))
        return float(np.mean(rates))

    assert corner_rate_hz("dark") > 3 * corner_rate_hz("normal")


def test_a_checkpoint_is_evaluated_through_the_predictor(model: Path, drawn_faces: FaceSet) -> None:
    few = drawn_faces.select(np.arange(2))
    shown: list[float] = []
    with Predictor(model) as predictor:
        result = evaluate_set(
            predictor,
            few,
            CONDITIONS["normal"],
            on_face=lambda recording, predicted, error: shown.append(error),
        )
        others = list(made_negatives(predictor, few))
    metrics = summary(result)
    assert metrics["faces"] == 2
    assert metrics["faces_without_result"] == 0
    assert metrics["nme68_percent"] == pytest.approx(100 * np.mean(shown))
    assert [a.name for a in others] == ["texture:0", "texture:1"]
    assert all(a.events > 0 for a in others)


def test_a_recording_without_any_event_has_no_result(model: Path, drawn_faces: FaceSet) -> None:
    recording = next(iter(recordings(drawn_faces.select(np.arange(1)), CONDITIONS["normal"])))
    silent = replace(recording, events=np.empty(0, EVENT_DTYPE))
    with Predictor(model) as predictor:
        result = SetResult(
            "s",
            [evaluate_recording(predictor, silent), evaluate_recording(predictor, recording)],
            [],
        )
    metrics = summary(result)
    assert metrics["faces_without_result"] == 1
    assert np.isfinite(metrics["nme98_percent"])
    assert metrics["fr10_faces_percent"] >= 50


def labelled(path: Path, drawn_faces: FaceSet) -> LabelledRecording:
    """Two seconds of noise on a sensor, and a face that slides by 40 pixels a second."""
    rng = np.random.default_rng(0)
    t_us = np.sort(rng.integers(0, 2_000_000, 40_000))
    x, y, p = rng.integers(0, 160, 40_000), rng.integers(0, 120, 40_000), rng.integers(0, 2, 40_000)
    write_events(path, make_events(t_us, x, y, p), SensorSize(160, 120))
    at_us = np.arange(500_000, 1_500_001, 100_000)
    points = drawn_faces.points[0] / 2 + (at_us * 40e-6)[:, None, None] * np.array([1, 0])
    np.savez(path.with_name(path.stem + ".landmarks.npz"), t_us=at_us, points98=points)
    return LabelledRecording.load(path)


def test_labels_are_interpolated_and_have_a_speed(tmp_path: Path, drawn_faces: FaceSet) -> None:
    recording = labelled(tmp_path / "rec.npz", drawn_faces)
    first = drawn_faces.points[0] / 2
    np.testing.assert_allclose(recording.truth(750_000), first + np.array([30, 0]), atol=1e-4)
    np.testing.assert_allclose(recording.truth(500_000), first + np.array([20, 0]), atol=1e-4)
    box = Box.around(first)
    as_if_96_px = 40 * 96 / max(box.width, box.height)
    assert recording.speed_deg_per_s(900_000) == pytest.approx(as_if_96_px * 0.8, rel=1e-3)
    assert recording.speed_deg_per_s(500_000) == pytest.approx(as_if_96_px * 0.8, rel=1e-3)


def test_a_labelled_recording_is_evaluated_at_every_instant(
    model: Path, tmp_path: Path, drawn_faces: FaceSet
) -> None:
    recording = labelled(tmp_path / "rec.npz", drawn_faces)
    with Predictor(model, rate_hz=10) as predictor:
        result = evaluate_labelled(predictor, recording, "rec")
        negatives = evaluate_negatives(predictor, [recording.path])
    assert 9 <= len(result.samples) <= 11
    assert all(a.events > 0 for a in result.samples)
    assert 19 <= negatives["instants"] <= 21
    assert negatives["seconds"] == pytest.approx(1.9, abs=0.11)


@pytest.mark.parametrize(
    ("arrays", "hint"),
    [
        (None, r"rec\.landmarks\.npz"),
        ({"t_us": [0, 1]}, "points98"),
        ({"t_us": [0, 1], "points98": np.zeros((2, 68, 2))}, r"points98.*68.*98"),
        ({"t_us": [1, 1], "points98": np.zeros((2, 98, 2))}, "t_us"),
        ({"t_us": [0, 1, 2], "points98": np.zeros((2, 98, 2))}, "t_us.*3"),
    ],
)
def test_labels_that_do_not_fit_are_errors(
    tmp_path: Path, arrays: dict[str, object] | None, hint: str
) -> None:
    if arrays is not None:
        np.savez(tmp_path / "rec.landmarks.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=hint):
        LabelledRecording.load(tmp_path / "rec.npz")


def test_data_that_are_no_set_are_errors(tmp_path: Path, drawn_faces: FaceSet) -> None:
    for text, hint in (
        (str(tmp_path / "nothing"), "nothing"),
        ("avatars?peple=3", "peple"),
        ("avatars?people=0", "people"),
        (str(tmp_path), str(tmp_path)),
    ):
        with pytest.raises(ConfigError, match=hint):
            split_data([text], None)
    with pytest.raises(ConfigError, check=lambda e: e.field == "--count"):
        spread(drawn_faces, 0)
    assert spread(drawn_faces, 3).names.tolist() == [drawn_faces.names[k] for k in (0, 6, 11)]


def test_curves_are_drawn(tmp_path: Path, truth: np.ndarray) -> None:  # type: ignore[type-arg]
    samples = [sample(truth, error) for error in (2.0, None)]
    plot_curves(tmp_path / "a.png", "title", [SetResult("s", samples, [])], samples)
    plot_curves(tmp_path / "b.png", "title", [SetResult("s", samples, [])], [])
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_the_command_writes_what_it_prints(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn_faces: FaceSet
) -> None:
    recording = labelled(tmp_path / "rec.npz", drawn_faces).path
    report, curves = tmp_path / "report.json", tmp_path / "ced.png"
    command = ["evaluate", str(model), "--data", str(recording), "--negatives", str(recording)]
    options = ["--curves", str(curves), "-o", str(report), "--into-card", "--json"]
    assert main([*command, *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(report.read_text())
    assert printed["negative_recordings"]["instants"] > 100
    assert curves.is_file()
    stored = load_checkpoint(model).card.metrics
    assert stored["rec_faces"] == printed["sets"]["rec"]["faces"]
    assert main(["evaluate", str(model)]) == 1
    assert "--data" in capsys.readouterr().err


def test_tracking_is_evaluated_on_sequences(model: Path) -> None:
    """An untrained network: the numbers of faces, sequences and instants are known."""
    done: list[int] = []
    with Predictor(model, rate_hz=10, faces=2) as predictor:
        metrics = evaluate_tracking(
            predictor,
            load_avatars(),
            SensorSize(96, 72),
            1,
            on_sequence=lambda: done.append(1),
        )
    assert len(done) == 2
    assert metrics["with faces"]["faces"] == 1
    assert metrics["with faces"]["seconds"] > 10
    assert metrics["without faces"]["seconds"] == pytest.approx(20, abs=0.2)
    assert 150 < metrics["without faces"]["instants"] <= 200


def test_the_command_reports_tracking(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes: list[SensorSize] = []

    def evaluated(
        predictor: Predictor,
        faces: FaceSet,
        size: SensorSize,
        count: int,
        *,
        on_sequence: Callable[[], None],
        **_: object,
    ) -> dict[str, dict[str, float]]:
        sizes.append(size)
        on_sequence()
        return {"with faces": {"faces": float(count)}}

    monkeypatch.setattr("evface_training.evaluation.tracking.evaluate_tracking", evaluated)
    output = tmp_path / "tracking.json"
    command = ["evaluate", str(model), "--tracking", "--size", "96x72", "--count", "3"]
    assert main([*command, "-o", str(output)]) == 0
    assert sizes == [SensorSize(96, 72)]
    report = json.loads(output.read_text())
    assert report["tracking"] == {"96x72, with faces": {"faces": 3}}
    assert "sets" not in report
    printed = capsys.readouterr()
    assert "96x72, with faces" in printed.out
    assert "tracking, 96x72: 1 of " in printed.err  # progress, off a terminal as well
    assert main(["evaluate", str(model), "--tracking", "--size", "96"]) == 1
    assert "--size" in capsys.readouterr().err
