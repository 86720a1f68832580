"""URIs, and sources of other packages."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import EventArray, make_events, open_events, read_events, write_events
from evface_edge.events.uri import SourceName, parse
from evface_edge.geometry import SensorSize

SIZE = SensorSize(8, 8)
EVENTS = make_events(10_000 + np.arange(100) * 250, np.arange(100) % 8, [0] * 100, [1] * 100)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.raw", SourceName("", "a.raw")),
        ("a.raw?width=6&height=4", SourceName("", "a.raw", {"width": "6", "height": "4"})),
        ("file:///tmp/a.raw", SourceName("", "/tmp/a.raw")),
        ("synthetic:avatar?seed=1", SourceName("synthetic", "avatar", {"seed": "1"})),
        ("dv://host:7777", SourceName("dv", "host:7777")),
        ("camera:prophesee?serial=a%26b", SourceName("camera", "prophesee", {"serial": "a&b"})),
        ("C:/a.raw", SourceName("", "C:/a.raw")),
    ],
)
def test_names_are_parsed(text: str, expected: SourceName) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "a.raw?width", "a.raw?width=", "a.raw?a=1&a=2", "a\0b"])
def test_impossible_names(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_an_existing_file_has_priority(tmp_path: Path) -> None:
    path = tmp_path / "a?b=c.npz"
    write_events(tmp_path / "plain.npz", EVENTS, SIZE)
    (tmp_path / "plain.npz").rename(path)
    assert len(read_events(str(path))[0]) == 100
    assert len(read_events(path)[0]) == 100


@pytest.mark.parametrize(
    "options", ["width=8", "width=8&height=x", "width=0&height=8", "colour=1", "format=none"]
)
def test_impossible_options(options: str, tmp_path: Path) -> None:
    write_events(tmp_path / "a.npz", EVENTS, SIZE)
    with pytest.raises(ConfigError):
        open_events(f"{tmp_path}/a.npz?{options}")


def test_the_format_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "events.log").write_text("a log\n1,2,3,0\n")
    with pytest.raises(EventFormatError, match=r"csv.*\?format="):
        open_events(tmp_path / "events.log")
    (tmp_path / "events.log").write_text("5,1,2,1\n")
    events, _ = read_events(f"{tmp_path}/events.log?format=csv&width=8&height=8")
    assert len(events) == 1


class Simulated:
    live = True

    def __init__(self, name: str, options: dict[str, str], *, size: SensorSize | None) -> None:
        self.arguments, self.size = (name, options), size or SIZE

    def __iter__(self) -> Iterator[EventArray]:
        yield EVENTS

    def __enter__(self) -> Simulated:
        return self

    def __exit__(self, *error: object) -> None: ...


def test_sources_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("synthetic", "none:none", "evface_edge.sources")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: Simulated)
    points = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: points.select(group=group)
    )
    source: Any = open_events("synthetic:avatar?seed=1&speed=fast", size=SensorSize(4, 5))
    assert source.arguments == ("avatar", {"seed": "1", "speed": "fast"})
    assert source.size == SensorSize(4, 5)
    with pytest.raises(ConfigError) as raised:
        read_events("synthetic:avatar")
    assert (raised.value.field, raised.value.value) == ("source", "synthetic:avatar")
    with pytest.raises(ConfigError, match="camera, dv, replay, synthetic") as raised:
        open_events("rtsp://somewhere")
    assert raised.value.value == "rtsp"


def test_importing_events_imports_no_heavy_package() -> None:
    code = "import evface_edge.events, sys; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = [
        "numba",
        "dv_processing",
        "h5py",
        "lz4",
        "zstandard",
        "torch",
        "PIL",
        "rich",
        "onnxruntime",
    ]
    run = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
