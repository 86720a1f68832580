"""The table of cameras."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.events import open_camera, open_events, read_events
from evface_edge.events.cameras.table import CAMERAS, SCHEMES, Camera
from evface_edge.geometry import SensorSize

ROOT = Path(__file__).parents[3]
#: Cameras whose library is on the package index.
DRIVEN = [row for row in CAMERAS if "pip install" in row.install]


@pytest.mark.parametrize("row", CAMERAS, ids=lambda row: row.name)
def test_every_row_has_its_file(row: Camera) -> None:
    module = importlib.import_module(f"evface_edge.events.cameras.{row.module}")
    assert callable(module.prepare)
    is_camera = row.scheme == "camera"
    assert bool(row.library.name) == bool(row.install) == bool(row.maker.udev) == is_camera
    for rule in row.maker.udev:
        assert re.fullmatch(
            r'SUBSYSTEM=="usb", ATTRS\{idVendor\}=="[0-9a-f]{4}", '
            r'ATTRS\{idProduct\}=="[0-9a-f\[\]?-]+", MODE="0666"',
            rule,
        )


def test_the_documentation_has_every_row() -> None:
    docs = ROOT / "docs"
    pages = (docs / "reference" / "cameras.md", docs / "how-to" / "use-a-camera.md")
    text = "".join(page.read_text() for page in pages)
    for row in CAMERAS:
        assert f"`{row.scheme}:{row.name}" in text or f"`{row.scheme}:" in text
        for rule in row.maker.udev:
            assert rule in text
        if row in DRIVEN:
            assert f"`{row.maker.name.lower()}`" in text  # the extra


def test_the_extras_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    for row in DRIVEN:
        extra = re.search(r"\[(\w+)\]", row.install)
        assert extra is not None
        needs = re.search(rf"^{extra[1]} = \[(.*)\]$", project, re.MULTILINE)
        assert needs is not None
        assert f'"{row.library.name}>=' in needs[1]


@pytest.mark.parametrize("row", DRIVEN, ids=lambda row: row.name)
def test_a_library_that_is_not_installed(row: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, row.library.module, None)
    with pytest.raises(RuntimeUnavailable) as raised:
        open_events(f"camera:{row.name}")
    message = str(raised.value)
    assert row.library.name in message
    assert "pip install 'evface-edge[" in message
    assert all(rule in message for rule in row.maker.udev)


@pytest.mark.parametrize("name", ["camera:nikon", "camera:", "camera:dv"])
def test_unknown_cameras(name: str) -> None:
    with pytest.raises(ConfigError, match="camera:prophesee, camera:evk4"):
        open_events(name)


def test_a_camera_accepts_no_sensor_size() -> None:
    with pytest.raises(ConfigError) as raised:
        open_events("camera:evk4", size=SensorSize(640, 480))
    assert raised.value.field == "size"


def test_a_live_source_is_not_read_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n1,2,3,0\n")
    with pytest.raises(ConfigError, match=r"replay:.*a\.csv"):
        read_events(f"replay:{tmp_path}/a.csv?width=8&height=8")


def test_options_as_keywords(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n1,2,3,0\n")
    options: dict[str, Any] = {"width": 8, "height": 8, "queue_events": 1000}
    with open_camera(f"replay:{tmp_path}/a.csv", **options) as source:
        assert source.size == SensorSize(8, 8)


def test_the_table_imports_no_library() -> None:
    heavy = ["numba", "neuromorphic_drivers", "dv_processing", "metavision_core"]
    code = (
        "import evface_edge.events.cameras.table, sys\n"
        "print([name for name in sys.argv[1:] if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
    assert SCHEMES == ("camera", "dv", "replay")
