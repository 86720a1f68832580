"""Comparison: metrics in closed form, the baseline, the page, and one run of the command."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evface_edge import DEMO_RECORDING
from evface_edge.bench.latency import Latency
from evface_edge.card_file import read_card
from evface_edge.cli import main
from evface_edge.compare import metrics
from evface_edge.compare.accuracy import Entry, Instants, ModelResult, run_all
from evface_edge.compare.baseline import Tolerance, load_baseline, regressions
from evface_edge.compare.labelled import LabelledRecording, load_set
from evface_edge.compare.page import page, pair_sentences
from evface_edge.compare.plots import draw_all, mean_face
from evface_edge.errors import ConfigError, ModelError

RECORDED = LabelledRecording.load(DEMO_RECORDING)


def instants(count: int = 40) -> Instants:
    t_us = np.arange(count) * 50_000
    truth = np.stack([RECORDED.truth(int(t)) for t in t_us])
    return Instants(np.zeros(count, np.int64), t_us, truth)


def eyes(truth: Any) -> Any:
    return np.linalg.norm(truth[:, 60] - truth[:, 72], axis=-1)


def result(name: str, given: Instants, fraction: float, ms: float, lost: int = 0) -> ModelResult:
    """Every point is shifted along x by a fraction of the eye distance; `lost` have no face."""
    entry = Entry.parse(name)
    landmarks = given.truth.copy()
    landmarks[..., 0] += (fraction * eyes(given.truth))[:, None].astype(np.float32)
    landmarks[:lost] = np.nan
    latency = Latency(np.full(20, ms))
    updates = np.full(len(landmarks), 2 * ms)
    return ModelResult(entry, read_card(entry.path), landmarks, updates, latency, "somewhere")


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    given = instants()
    results = [
        result("evface-s-fp32", given, 0.03, 2.0),
        result("evface-s-int8", given, 0.05, 0.8, 4),
    ]
    return metrics.compare(given, results, [RECORDED], 20.0)


def test_metrics_of_a_known_shift(report: dict[str, Any]) -> None:
    fp32, int8 = report["models"]
    assert fp32["nme98_percent"] == pytest.approx([3, 3, 3], abs=1e-3)
    assert fp32["nme68_percent"] == pytest.approx(3, abs=1e-3)
    assert fp32["auc10"][0] == pytest.approx(0.7, abs=1e-4)
    assert int8["nme98_percent"][0] == pytest.approx(5, abs=1e-3)
    assert int8["without_face_percent"] == pytest.approx(10)
    assert int8["fr10_percent"][0] == pytest.approx(10)  # no face is a failure
    assert int8["auc10"][0] == pytest.approx(0.9 * 0.5, abs=1e-4)
    assert int8["landmark_percent"] == pytest.approx([5.0] * 98, abs=1e-3)
    pair = report["pairs"][0]
    assert pair["nme98_difference_percent"] == pytest.approx([2, 2, 2], abs=1e-3)
    assert pair["landmark_difference_percent"] == pytest.approx([2.0] * 98, abs=1e-3)
    assert pair["speed_up"] == pytest.approx(2.5)
    assert "significant" not in pair_sentences(report)[0]
    json.dumps(report, allow_nan=False)


def test_a_model_that_never_finds_a_face() -> None:
    given = instants(10)
    results = [result("evface-s-fp32", given, 0.03, 2.0), result("evface-s-int8", given, 0, 1, 10)]
    report = metrics.compare(given, results, [RECORDED], 20.0)
    assert report["models"][1]["nme98_percent"] == [None, None, None]
    assert report["models"][1]["fr10_percent"][0] == 100
    (sentence,) = pair_sentences(report)
    assert "evface-s-int8 and evface-s-fp32" in sentence
    json.dumps(report, allow_nan=False)
    assert sentence in page(report, draw_all(report, given, results, [RECORDED]))


def test_tables_for_csv(report: dict[str, Any]) -> None:
    rows = metrics.model_rows(report)
    assert rows[1]["nme98_percent"] == report["models"][1]["nme98_percent"][0]
    assert rows[1]["nme98_percent_high"] == report["models"][1]["nme98_percent"][2]
    assert len(metrics.landmark_rows(report)) == 98
    given = instants()
    cells = metrics.instant_rows(given, [result("evface-s-int8", given, 0.05, 1, 1)], [RECORDED])
    assert cells[0]["evface-s-int8"] is None
    assert cells[1]["evface-s-int8"] == pytest.approx(5, abs=1e-3)


def worse(report: dict[str, Any], model: int, **values: Any) -> dict[str, Any]:
    changed = copy.deepcopy(report)
    changed["models"][model].update(values)
    return changed


def test_the_baseline(report: dict[str, Any]) -> None:
    tolerance = Tolerance()
    assert regressions(report, report, tolerance) == []
    nearly = worse(report, 0, nme98_percent=[3.05, 3, 3.1])
    assert regressions(nearly, report, tolerance) == []
    assert regressions(report, worse(report, 0, nme98_percent=[9, 9, 9]), tolerance) == []
    for changed, named in (
        (worse(report, 0, nme98_percent=[3.1, 3, 3.2]), "evface-s-fp32: NME-98 3.100 %, was 3.000"),
        (worse(report, 1, nme98_percent=[None] * 3), "evface-s-int8: NME-98"),
        (worse(report, 0, fr10_percent=[1.5, 0, 2]), "FR@10 1.50 %, was 0.00 %"),
        (worse(report, 1, without_face_percent=12.0), "instants without a face 12.00 %"),
        (worse(report, 1, network_fast_ms=0.9), "0.450 × that of evface-s-fp32, was 0.400"),
        ({**report, "models": report["models"][:1]}, "evface-s-int8"),
    ):
        (sentence,) = regressions(changed, report, tolerance)
        assert named in sentence
    # A slower machine is no regression.
    slow = copy.deepcopy(report)
    for model in slow["models"]:
        model["network_fast_ms"] *= 2
    assert regressions(slow, report, tolerance) == []
    assert regressions(worse(report, 0, nme98_percent=[3.1] * 3), report, Tolerance(nme=0.1)) == []


def test_a_baseline_of_other_data(report: dict[str, Any], tmp_path: Path) -> None:
    other = {**report, "data": {**report["data"], "sha256": "0"}}
    with pytest.raises(ConfigError) as error:
        regressions(report, other, Tolerance())
    assert error.value.field == "--baseline"


@pytest.mark.parametrize("text", [None, "{", "{}", "[]", '{"version": 0, "models": []}'])
def test_a_wrong_baseline_file(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"baseline\.json") as error:
        load_baseline(path)
    assert error.value.field == "--baseline"


def test_a_negative_tolerance() -> None:
    with pytest.raises(ConfigError) as error:
        Tolerance(nme=-1)
    assert error.value.field == "tolerance nme"


def test_the_mean_face_is_independent_of_position_size_and_roll() -> None:
    shape = RECORDED.points[0].astype(np.float64)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = np.stack([shape, 3 * shape @ turn.T + [20, -7]])
    face = mean_face(moved)
    np.testing.assert_allclose(face[60], [0, 0], atol=1e-9)
    np.testing.assert_allclose(face[72], [1, 0], atol=1e-9)
    np.testing.assert_allclose(face, mean_face(moved[:1]), atol=1e-6)
    assert face[16, 1] > face[54, 1] > 0  # chin below nose below eyes


def test_sets_of_recordings(tmp_path: Path) -> None:
    assert [one.path for one in load_set(DEMO_RECORDING)] == [DEMO_RECORDING]
    for path in (tmp_path / "gone.npz", tmp_path):
        with pytest.raises(ConfigError, match=str(path)) as error:
            load_set(path)
        assert error.value.field == "--data"
    for name in ("b", "a"):
        (tmp_path / f"{name}.raw").touch()
        np.savez(tmp_path / f"{name}.landmarks.npz", t_us=RECORDED.t_us, points98=RECORDED.points)
    assert [one.path.name for one in load_set(tmp_path)] == ["a.raw", "b.raw"]


def test_entries() -> None:
    assert Entry.parse("evface-s").label == "evface-s-int8"
    entry = Entry.parse("evface-s-fp32@openvino")
    assert (entry.label, entry.runtime) == ("evface-s-fp32@openvino", "openvino")
    with pytest.raises(ModelError):
        Entry.parse("nothing@openvino")
    with pytest.raises(ConfigError) as error:
        run_all([Entry.parse("evface-s")] * 2, [RECORDED])
    assert error.value.field == "MODEL"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "evface-s-fp32", "evface-s-int8", "--rate-hz", "5", "--seconds", "0.1"]
    first = tmp_path / "first"
    assert main([*arguments, "-o", str(first)]) == 0
    out = capsys.readouterr().out
    assert "evface-s-int8" in out
    html = (first / "report.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)
    assert html.count("data:image/png;base64,") == 5
    stored = json.loads((first / "compare.json").read_text())
    # The bundled labels fit the bundled recording.
    assert all(model["nme98_percent"][0] < 6 for model in stored["models"])
    rows = list(csv.DictReader(io.StringIO((first / "models.csv").read_text())))
    assert [row["model"] for row in rows] == ["evface-s-fp32", "evface-s-int8"]

    same = [*arguments, "-o", str(tmp_path / "again"), "--no-page", "--max-slowdown", "100"]
    assert main([*same, "--baseline", str(first / "compare.json")]) == 0
    assert not (tmp_path / "again" / "report.html").exists()
    stored["models"][0]["nme98_percent"][0] /= 2
    (first / "compare.json").write_text(json.dumps(stored))
    capsys.readouterr()
    assert main([*same, "--baseline", str(first / "compare.json")]) == 1
    assert "regression: evface-s-fp32: NME-98" in capsys.readouterr().err


def test_plots_are_images(report: dict[str, Any]) -> None:
    given = instants()
    results = [
        result("evface-s-fp32", given, 0.03, 2.0),
        result("evface-s-int8", given, 0.05, 1, 4),
    ]
    drawn = draw_all(report, given, results, [RECORDED])
    assert list(drawn) == ["pareto", "ced", "landmarks", "worst", "precision"]
    for data in drawn.values():
        with Image.open(io.BytesIO(data)) as image:
            assert np.asarray(image.convert("L")).std() > 5
