"""`evface-edge info` and `predict` on live sources."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evface_edge.cli import main
from evface_edge.errors import CameraError, ConfigError
from evface_edge.events import EventArray, LiveCounters, make_events, open_events, write_events
from evface_edge.geometry import SensorSize
from evface_edge.live import describe_losses, until_stopped

SIZE = SensorSize(64, 48)
COUNT = 20_000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    t = np.sort(rng.integers(0, 200_000, COUNT))
    events = make_events(
        t, rng.integers(0, 64, COUNT), rng.integers(0, 48, COUNT), rng.integers(0, 2, COUNT)
    )
    write_events(tmp_path / "noise.npz", events, SIZE)
    return tmp_path / "noise.npz"


class Broken:
    """A camera that is disconnected after one packet."""

    live, size = True, SIZE

    def __init__(self) -> None:
        self.counters = LiveCounters(received=4, events=4)
        self.closed = False

    def __iter__(self) -> Iterator[EventArray]:
        yield make_events([1, 2, 3, 4], [0] * 4, [0] * 4, [1] * 4)
        raise CameraError("it was disconnected")

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Broken:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_info_of_a_camera(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", f"replay:{recording}", "--json", "--seconds", "30"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["events"]) == (64, 48, COUNT)
    assert facts["counters"]["received"] == facts["counters"]["events"] == COUNT
    began = time.monotonic()
    assert main(["info", f"replay:{recording}?loop=1", "--seconds", "0.3"]) == 0
    assert time.monotonic() - began >= 0.3
    out = capsys.readouterr().out
    assert "64×48 pixels" in out
    assert "lost         0 events (0.0%) dropped" in out


def test_info_without_the_camera(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("neuromorphic_drivers", reason="neuromorphic-drivers is not installed")
    assert main(["info", "camera:evk4?serial=no-such-serial"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: no Prophesee EVK4 with the serial number no-such-serial")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seconds", "-1"]])
def test_seconds_out_of_range(
    arguments: list[str], recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", f"replay:{recording}", *arguments]) == 1
    assert "a number above 0" in capsys.readouterr().err
    assert main(["info", str(recording), "--seconds", "1"]) == 1
    assert "--seconds is only for cameras" in capsys.readouterr().err


def test_predict_on_a_camera(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "landmarks.csv"
    assert main(["predict", f"replay:{recording}", "-o", str(table), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["events"] == facts["counters"]["received"] == COUNT
    assert table.exists()


def test_results_are_written_when_the_camera_is_disconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evface_edge import events

    monkeypatch.setattr(events, "open_events", lambda *_, **__: Broken())
    table = tmp_path / "landmarks.csv"
    assert main(["predict", "camera:evk4", "-o", str(table)]) == 1
    shown = capsys.readouterr()
    assert shown.err == "error: it was disconnected\n"
    assert f"written: {table}" in shown.out
    assert table.exists()
    assert main(["info", "camera:evk4"]) == 1
    assert capsys.readouterr().err == "error: it was disconnected\n"


def test_the_first_interrupt_ends_the_source(recording: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with open_events(f"replay:{recording}?loop=1") as source:
        with until_stopped(source) as live:
            threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
            assert len(list(live)) > 0
            assert signal.getsignal(signal.SIGINT) is before  # the next one interrupts
        assert live.error is None
    assert signal.getsignal(signal.SIGINT) is before


def test_a_recording_ends_by_itself(recording: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with open_events(recording) as source:
        with until_stopped(source) as stoppable:
            assert signal.getsignal(signal.SIGINT) is before
            assert sum(map(len, stoppable)) == COUNT
        with pytest.raises(ConfigError) as caught, until_stopped(source, seconds=1.0):
            pass
    assert caught.value.field == "seconds"


def test_the_error_of_a_camera_is_raised_after_its_events() -> None:
    with until_stopped(Broken()) as source:
        assert sum(map(len, source)) == 4
    with pytest.raises(CameraError):
        source.raise_error()


def test_losses_in_words() -> None:
    counters = LiveCounters(received=2000, events_dropped=500, overflows=3, clock_resets=1)
    assert describe_losses(counters) == (
        "500 events (25.0%) dropped, 3 overflows of the driver, 1 resets of the clock"
    )
