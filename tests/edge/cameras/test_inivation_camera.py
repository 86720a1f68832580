"""Cameras by iniVation through dv-processing: the real library, up to the USB bus."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events import open_camera

dv = pytest.importorskip("dv_processing", reason="dv-processing is not installed")


def store(first: int, count: int) -> Any:
    events = dv.EventStore()
    for t in range(first, first + count):
        events.push_back(t, t % 346, t % 260, t % 3 == 0)
    return events


class FakeCamera:
    """What our driver uses of dv.io.camera.CameraInputBase."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.calls: list[tuple[str, Any]] = []

    def getCameraName(self) -> str:
        return "DAVIS346_00000499"

    def getEventResolution(self) -> tuple[int, int] | None:
        return (346, 260)

    def isRunning(self) -> bool:
        return bool(self.script)

    def getNextEventBatch(self) -> Any:
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return step

    def setCropArea(self, area: tuple[int, int, int, int]) -> None:
        self.calls.append(("crop", area))

    def setBackgroundActivityFilter(self, value: int) -> None:
        self.calls.append(("background", value))


class FakeDVXplorer(FakeCamera):
    ReadoutFPS = dv.io.camera.DVXplorer.ReadoutFPS

    def setReadoutFPS(self, value: Any) -> None:
        self.calls.append(("fps", value))

    def setContrastThresholdOn(self, value: int) -> None:
        self.calls.append(("on", value))


def plug(monkeypatch: pytest.MonkeyPatch, camera: FakeCamera) -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []

    def opening(*serial: str) -> FakeCamera:
        asked.append(serial)
        return camera

    monkeypatch.setattr(dv.io.camera, "open", opening)
    return asked


def test_the_fakes_match_the_library() -> None:
    base = dv.io.camera.CameraInputBase
    for name in ("getCameraName", "getEventResolution", "isRunning", "getNextEventBatch"):
        assert hasattr(base, name)
    assert hasattr(base, "setCropArea")
    assert hasattr(dv.io.camera.DAVIS, "setBackgroundActivityFilter")
    assert hasattr(dv.io.camera.DAVIS, "setRefractoryPeriodFilter")
    for name in ("setContrastThresholdOn", "setContrastThresholdOff", "setReadoutFPS"):
        assert hasattr(dv.io.camera.DVXplorer, name)
        assert hasattr(dv.io.camera.DVXplorerM, name)


def test_events_until_disconnection(monkeypatch: pytest.MonkeyPatch) -> None:
    serials = plug(monkeypatch, FakeCamera(store(100, 50), None, store(150, 20)))
    got: list[Any] = []
    with open_camera("camera:inivation?serial=00000499") as source:
        assert source.title == "iniVation DAVIS346_00000499"
        assert (source.size.width, source.size.height) == (346, 260)
        with pytest.raises(CameraError, match="00000499"):
            got.extend(source)
    assert serials == [("00000499",)]
    events = np.concatenate(got)
    t = np.arange(100, 170)
    assert events["t"].tolist() == t.tolist()
    assert events["x"].tolist() == (t % 346).tolist()
    assert events["y"].tolist() == (t % 260).tolist()
    assert events["p"].tolist() == (t % 3 == 0).tolist()


def test_an_error_without_its_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("/project/x.hpp(88): f()\nRuntimeError: Transfer failed\nStacktrace:\n #0")
    plug(monkeypatch, FakeCamera(store(0, 5), error))
    with open_camera("camera:inivation") as source, pytest.raises(CameraError) as raised:
        list(source)
    message = str(raised.value)
    assert "Transfer failed" in message
    assert not any(text in message for text in ("x.hpp", "RuntimeError", "Stacktrace", "\n"))


def test_options_reach_the_setters(monkeypatch: pytest.MonkeyPatch) -> None:
    davis, dvxplorer = FakeCamera(None), FakeDVXplorer(None)
    plug(monkeypatch, davis)
    open_camera("camera:inivation?roi=10,20,100,50&background_activity_250us=8").close()
    assert davis.calls == [("background", 8), ("crop", (10, 20, 100, 50))]
    plug(monkeypatch, dvxplorer)
    options = {"contrast_threshold_on": 9, "readout_fps": "VARIABLE_5000"}
    open_camera("camera:inivation", **options).close()
    assert dvxplorer.calls == [("on", 9), ("fps", FakeDVXplorer.ReadoutFPS.VARIABLE_5000)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("readout_fps=fast", "CONSTANT_100"),
        ("contrast_threshold_on=many", "a whole number"),
        ("colour=1", "background_activity_250us, contrast_threshold_off"),
        ("rate_limit_hz=1e6", "option of camera:inivation = 'rate_limit_hz'"),
        ("roi=300,0,100,50", "346×260"),
        ("contrast_threshold_on=3", "contrast_threshold_on"),
        ("readout_fps=CONSTANT_100", "readout_fps"),
    ],
)
def test_impossible_options(options: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, FakeCamera(None))
    with pytest.raises(ConfigError, match=message):
        open_camera(f"camera:inivation?{options}")


def test_no_camera() -> None:
    """The real library; disconnect such a camera first."""
    with pytest.raises(CameraError, match=r"no-such.*Could not find device with"):
        open_camera("camera:inivation?serial=no-such-serial")
    if not dv.io.camera.discover():
        with pytest.raises(CameraError, match=r"iniVation.*docs/how-to/use-a-camera.md"):
            open_camera("camera:inivation")
