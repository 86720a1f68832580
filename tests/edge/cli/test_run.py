from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from evface_edge.cli.progress import progress
from evface_edge.cli.run import RunResult, run_predictor, show_summary
from evface_edge.events import make_events, open_events, write_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceLandmarks, FaceState, Predictions
from evface_edge.results.viewers import Result


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    t = np.arange(300_000)
    path = tmp_path / "recording.npz"
    write_events(path, make_events(t, t % 50, t % 40, t % 2), SensorSize(50, 40))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    with open_events(path) as source, progress(source) as report:
        for packet in source:
            report(int(packet["t"][-1]))
    shown = terminal.getvalue()
    assert "0.23 s, 300,000 events" in shown  # from the end of the first packet on
    assert 50 <= max(int(percent) for percent in re.findall(r"(\d+)%", shown)) <= 100


def test_no_progress_in_logs(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_events(recording) as source, progress(source) as report:
        report(1)
    assert capsys.readouterr() == ("", "")


def _face(t_us: int, face_id: int, state: FaceState) -> FaceLandmarks:
    points = np.stack([np.arange(98.0), np.arange(98.0)], 1)
    return FaceLandmarks(
        t_us=t_us,
        landmarks=points.astype(np.float32),
        sigma=np.full(98, 1.0 + face_id, np.float32),
        presence=0.5,
        box=Box.around(points),
        state=state,
        face_id=face_id,
    )


RESULTS = [
    (10, []),
    (20, [_face(20, 1, FaceState.FOUND)]),
    (30, [_face(30, 0, FaceState.FOUND), _face(30, 1, FaceState.FOLLOWING)]),
    (40, [_face(40, 1, FaceState.FOLLOWING)]),
]


class FixedPredictor:
    """A predictor with given results."""

    card = SimpleNamespace(name="m")

    def stream(self, source: object, *, box: Box | None = None) -> Iterator[Result]:
        return iter(RESULTS)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("table", [True, False])
def test_a_camera_keeps_faces_only_for_a_table(tmp_path: Path, live: bool, table: bool) -> None:
    source = SimpleNamespace(size=SensorSize(120, 90), live=live)
    outputs = [tmp_path / "a.csv"] if table else []
    run = run_predictor(FixedPredictor(), source, outputs)  # type: ignore[arg-type]
    assert len(run.predictions) == (4 if table or not live else 0)
    assert run.predictions.windows == 4
    assert (run.first_us, run.last_us) == (10, 40)
    first, second = run.rows
    assert first == {
        "face_id": 0,
        "results": 1,
        "first_us": 30,
        "last_us": 30,
        "states": {"found": 1.0},
        "mean_presence": 0.5,
        "mean_sigma_px": 1.0,
    }
    assert (second["results"], second["first_us"], second["last_us"]) == (3, 20, 40)
    assert second["states"] == {"following": pytest.approx(2 / 3), "found": pytest.approx(1 / 3)}
    assert list(second["states"]) == ["found", "following"]
    assert second["mean_sigma_px"] == pytest.approx(2.0)


def test_no_face_begins_before_the_first_window(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "face_id": 1,
        "results": 1,
        "first_us": 9_990,
        "last_us": 9_990,
        "states": {"found": 1.0},
        "mean_presence": 0.5,
        "mean_sigma_px": 1.0,
    }
    predictions = Predictions([], size=SensorSize(120, 90), model="m", windows=2)
    show_summary(RunResult(predictions, [row], 10_000, 20_000))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "found" in line)
    assert line.split()[2:4] == ["0.00", "0.00"]
