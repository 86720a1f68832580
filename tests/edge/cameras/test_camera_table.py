"""The table of cameras: every row names a file, and says what is missing."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.events import open_events, read_events
from evface_edge.events.cameras import CAMERAS, SCHEMES, Camera, open_camera
from evface_edge.geometry import SensorSize

ROOT = Path(__file__).parents[3]
PACKAGES = {"neuromorphic-drivers": "neuromorphic_drivers", "dv-processing": "dv_processing"}
DRIVEN = [row for row in CAMERAS if row.driver in PACKAGES]


@pytest.mark.parametrize("row", CAMERAS, ids=lambda row: row.name)
def test_every_row_has_its_file(row: Camera) -> None:
    module = importlib.import_module(f"evface_edge.events.cameras.{row.module}")
    assert callable(module.prepare)
    assert bool(row.driver) == bool(row.install) == bool(row.udev) == (row.scheme == "camera")
    for rule in row.udev:
        assert re.fullmatch(
            r'SUBSYSTEM=="usb", ATTRS\{idVendor\}=="[0-9a-f]{4}", '
            r'ATTRS\{idProduct\}=="[0-9a-f\[\]?-]+", MODE="0666"',
            rule,
        )


def test_the_documentation_has_every_row() -> None:
    text = (ROOT / "docs" / "cameras.md").read_text()
    for row in CAMERAS:
        assert f"`{row.scheme}:{row.name}" in text or f"`{row.scheme}:" in text
        for rule in row.udev:
            assert rule in text
        if row.driver in PACKAGES:
            assert row.install in text


def test_the_snippet_without_a_camera_runs() -> None:
    text = (ROOT / "docs" / "cameras.md").read_text()
    snippets: list[str] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = [snippet for snippet in snippets if "camera:" not in snippet]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("[(")


def test_the_extras_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    for row in DRIVEN:
        extra = re.search(r"\[(\w+)\]", row.install)
        assert extra is not None
        needs = re.search(rf"^{extra[1]} = \[(.*)\]$", project, re.MULTILINE)
        assert needs is not None
        assert f'"{row.driver}>=' in needs[1]


@pytest.mark.parametrize("row", DRIVEN, ids=lambda row: row.name)
def test_a_driver_that_is_not_installed(row: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[row.driver], None)
    with pytest.raises(RuntimeUnavailable) as told:
        open_events(f"camera:{row.name}")
    message = str(told.value)
    assert f"needs {row.driver}, which is not installed: pip install 'evface-edge[" in message
    assert all(rule in message for rule in row.udev)


@pytest.mark.parametrize("name", ["camera:nikon", "camera:", "camera:dv"])
def test_cameras_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="camera:prophesee, camera:evk4"):
        open_events(name)


def test_a_camera_knows_its_size() -> None:
    with pytest.raises(ConfigError, match="a camera tells the size"):
        open_events("camera:evk4", size=SensorSize(640, 480))


def test_a_live_source_is_not_read_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n1,2,3,0\n")
    with pytest.raises(ConfigError, match="does not end"):
        read_events(f"replay:{tmp_path}/a.csv?width=8&height=8")


def test_options_go_by_name_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n1,2,3,0\n")
    options: dict[str, Any] = {"width": 8, "height": 8, "ring_events": 1000}
    with open_camera(f"replay:{tmp_path}/a.csv", **options) as source:
        assert source.size == SensorSize(8, 8)


def test_the_table_is_light() -> None:
    heavy = ["numba", "neuromorphic_drivers", "dv_processing", "metavision_core"]
    code = (
        "import evface_edge.events.cameras, sys\n"
        "print([name for name in sys.argv[1:] if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
    assert SCHEMES == ("camera", "dv", "replay")
