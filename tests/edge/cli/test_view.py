from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from evface_edge.results.drawing import EVENT_COLOURS


def test_a_video_of_events(command, recording: Path) -> None:
    path = recording.parent / "a.gif"
    answer = command("view", recording, "-o", path, "--fps", "10")
    assert answer.code == 0, answer.err
    assert "120×90 pixels, 5,000 events" in answer.out
    assert f"written: {path}" in answer.out
    with Image.open(path) as video:
        assert video.n_frames == 9
        coloured = {tuple(colour) for colour in EVENT_COLOURS[1:].tolist()}
        shown = {colour for _, colour in video.convert("RGB").getcolors(1 << 20)}
    assert shown & coloured


def test_slow_motion_and_accumulation(command, recording: Path) -> None:
    few, many = recording.parent / "few.gif", recording.parent / "many.gif"
    for path, time_ms in ((few, 5), (many, 200)):
        options = ("--speed", "0.1", "--fps", "10", "--accumulate-ms", time_ms)
        assert command("view", recording, "-o", path, *options).code == 0
    counts = []
    for path in (few, many):
        with Image.open(path) as video:
            assert 95 <= video.n_frames <= 99  # an image every 10 ms
            video.seek(video.n_frames - 1)
            sensor = video.convert("RGB").crop((0, 0, video.width, 90 * 6))
            dark = sum(n for n, colour in sensor.getcolors(1 << 20) if colour == (11, 14, 20))
            counts.append(1 - dark / (sensor.width * sensor.height))
    assert counts[1] > 4 * counts[0] > 0


def test_json_for_scripts(command, recording: Path) -> None:
    answer = command("view", recording, "-o", recording.parent / "a.gif", "--json")
    found = json.loads(answer.out)
    assert (found["events"], found["sensor"]) == (5000, {"width": 120, "height": 90})


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["-o", "a.csv"], "a.csv"),
        (["-o", "a.gif", "--accumulate-ms", "0"], "accumulate-ms"),
        (["-o", "a.gif", "--speed", "0"], "speed"),
        (["-o", "a.gif", "--seconds", "2"], "seconds"),
        (["-o", "web", "-o", "web"], "web"),
    ],
)
def test_wrong_options_are_one_sentence(
    command, recording: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], name: str
) -> None:
    monkeypatch.chdir(recording.parent)
    answer = command("view", recording, *options)
    assert answer.code == 1
    assert name in answer.err
    assert len(answer.err.splitlines()) == 1
    assert [path.name for path in recording.parent.iterdir()] == [recording.name]


def test_without_a_display(command, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rerun")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    answer = command("view", recording)
    assert answer.code == 1
    assert "WAYLAND_DISPLAY" in answer.err


def test_a_page_until_ctrl_c(recording: Path) -> None:
    pytest.importorskip("rerun")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    code = (
        # Background jobs of a script ignore Ctrl-C by default.
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from evface_edge.cli import main; sys.exit(main({_arguments(recording)}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        try:
            lines = iter(child.stderr.readline, "")
            first = next(line for line in lines if line.startswith("web: "))
            url = first.split()[1]
            assert url.startswith("http://127.0.0.1:")
            assert any("Ctrl-C" in line and url in line for line in lines)
            with urllib.request.urlopen(url, timeout=20) as answer:
                assert answer.status == 200
            child.send_signal(signal.SIGINT)
            assert child.wait(20) == 0
        finally:
            child.kill()


def _arguments(recording: Path) -> list[str]:
    return ["view", str(recording), "-o", "web", "--port", "0"]
