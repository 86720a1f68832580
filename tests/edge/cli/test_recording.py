from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from evface_edge.cli.recording import progress
from evface_edge.events import make_events, open_events, write_events
from evface_edge.geometry import SensorSize


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_progress_keeps_out_of_logs(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_events(recording) as source, progress(source) as report:
        report(1)
    assert capsys.readouterr() == ("", "")
