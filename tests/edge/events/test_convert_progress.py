"""`evface-edge convert` shows how far it is, how fast, and how long it will take."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from evface_edge.cli import main
from evface_edge.events import make_events, open_events, read_events, write_events
from evface_edge.events.recording import Recording
from evface_edge.geometry import SensorSize

COUNT = 300_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    t = np.arange(COUNT) * 3
    events = make_events(t, t % 64, t % 48, t % 2)
    write_events(tmp_path / "a.raw", events, SensorSize(64, 48))
    return tmp_path / "a.raw"


def test_progress_bar_in_a_terminal(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["convert", str(recording), str(recording.with_suffix(".dat"))]) == 0
    shown = terminal.getvalue()
    assert re.search(r"300,000 events, [0-9.]+ Mev/s", shown)
    assert max(int(percent) for percent in re.findall(r"([0-9]+)%", shown)) >= 50
    assert re.search(r"[0-9]:[0-9]{2}:[0-9]{2}", shown)
    assert len(read_events(recording.with_suffix(".dat"))[0]) == COUNT


def test_no_progress_bar_without_a_terminal(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(recording), str(recording.with_suffix(".dat"))]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".raw", ".dat", ".npz", ".npy", ".csv", ".es"])
def test_fraction_of_a_recording(suffix: str, recording: Path) -> None:
    path = recording.with_name("b" + suffix)
    write_events(path, read_events(recording)[0], SensorSize(64, 48))
    with open_events(path, size=SensorSize(64, 48)) as source:
        assert isinstance(source, Recording)
        seen = [source.fraction for _ in source]
        assert seen == sorted(seen)
        assert 0 <= seen[0] <= seen[-1] <= 1
        assert source.fraction == 1
