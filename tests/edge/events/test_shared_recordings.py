"""Recordings of real cameras, against faery, aedat, and what is known of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.events import EventArray, open_events, read_events
from evface_edge.geometry import SensorSize

pytestmark = pytest.mark.shared


def recording(shared_data: Path, name: str) -> Path:
    path = shared_data / "events" / name
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    return path


def same(events: EventArray, theirs: Any, polarity: str = "on") -> None:
    assert len(events) == len(theirs)
    for mine, other in zip("txyp", ("t", "x", "y", polarity), strict=True):
        np.testing.assert_array_equal(events[mine], theirs[other].astype(np.int64))


def test_evt3_of_a_street(shared_data: Path) -> None:
    """Exact in x, y, p. The reference counts each step back of a TIME_LOW word as a rollover, and
    TIME_HIGH counts it again: its timestamps are correct up to the first of them, and too late by
    a multiple of 4096 µs afterwards. The words of the file, and faery, confirm this."""
    path = recording(shared_data, "gpl/evt3_sample.raw")
    events, size = read_events(path)
    truth = np.load(recording(shared_data, "gpl/evt3_sample_truth.npy"))
    assert size == SensorSize(1280, 720)
    assert len(events) == len(truth) == 219_596
    for field in "xyp":
        np.testing.assert_array_equal(events[field], truth[field])
    np.testing.assert_array_equal(events["t"][:20_121], truth["t"][:20_121])
    np.testing.assert_array_equal(events["t"] & 0xFFF, truth["t"] & 0xFFF)
    assert (np.diff(truth["t"] - events["t"]) >= 0).all()
    assert set(events["t"] >> 12) == {2861, 2862, 2863}


def test_evt3_of_a_street_agrees_with_faery(shared_data: Path) -> None:
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    path = recording(shared_data, "gpl/evt3_sample.raw")
    events, _ = read_events(path)
    theirs = faery.events_stream_from_file(path).to_array()
    # Where a TIME_LOW steps back, faery holds the latest time and we follow the word.
    late = theirs["t"].astype(np.int64) - events["t"]
    assert late.min() == 0
    assert late.max() <= 11
    assert (late > 0).sum() == 1455


def test_evt2(shared_data: Path) -> None:
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    path = recording(shared_data, "faery/evt2.raw")
    events, size = read_events(path)
    assert size == SensorSize(640, 480)
    stream = faery.events_stream_from_file(path, dimensions_fallback=(640, 480))
    same(events, stream.to_array())


def test_event_stream(shared_data: Path) -> None:
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    path = recording(shared_data, "faery/dvs.es")
    events, size = read_events(path)
    assert size == SensorSize(320, 240)
    same(events, faery.events_stream_from_file(path).to_array())


AEDAT4 = [
    "aestream/davis.aedat4",
    "negatives_dvs128/hands/dvSave-2024_06_13_16_16_25.aedat4",
    "negatives_dvs128/hands/dvSave-2024_06_20_16_13_00.aedat4",
]


@pytest.mark.parametrize("name", AEDAT4)
def test_aedat4(name: str, shared_data: Path) -> None:
    aedat = pytest.importorskip("aedat", reason="the second library, aedat, is not installed")
    pytest.importorskip("lz4", reason="the extra aedat is not installed")
    path = recording(shared_data, name)
    events, size = read_events(path)
    decoder = aedat.Decoder(path)
    stream = next(s for s in decoder.id_to_stream().values() if s["type"] == "events")
    assert size == SensorSize(stream["width"], stream["height"])
    same(events, np.concatenate([packet["events"] for packet in decoder if "events" in packet]))
    assert events["t"][0] > 1_600_000_000_000_000  # µs since 1970


AEDAT2 = ["objects/Lapiseira.aedat", "objects/Tesoura.aedat", "people/neal_walking.aedat"]


@pytest.mark.parametrize("name", AEDAT2)
def test_aedat2(name: str, shared_data: Path) -> None:
    path = recording(shared_data, f"negatives_dvs128/{name}")
    with open_events(path) as source:
        events = np.concatenate(list(source))
    assert source.size == SensorSize(128, 128)
    # As jAER's DVS128 extractor: record by record, in plain Python.
    data = path.read_bytes()
    body = data[data.rfind(b"\r\n#") + 2 :]
    body = body[body.index(b"\r\n") + 2 :]
    expected = []
    for start in range(0, 8 * 500, 8):
        address = int.from_bytes(body[start : start + 4], "big")
        t = int.from_bytes(body[start + 4 : start + 8], "big", signed=True)
        if address < 1 << 15:
            x, y = 127 - (address >> 1 & 127), 127 - (address >> 8 & 127)
            expected.append((t, x, y, 1 - (address & 1)))
    assert [tuple(map(int, event)) for event in events[: len(expected)]] == expected
    assert len(events) > 70_000


def test_evt3_from_a_camera_with_small_steps_back(shared_data: Path, tmp_path: Path) -> None:
    """The words that a ROS driver stored, joined to a RAW file; triggers are passed over."""
    path = recording(
        shared_data,
        "event_camera_codecs/test_data_evt3_trigger/test_data_evt3_trigger_0.db3",
    )
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as database:
        messages = [row[0] for row in database.execute("SELECT data FROM messages ORDER BY id")]
    database.close()
    body = b"".join(_event_bytes(message) for message in messages)
    header = b"% evt 3.0\n% geometry 1280x720\n% end\n"
    (tmp_path / "a.raw").write_bytes(header + body)
    events, _ = read_events(tmp_path / "a.raw")
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    theirs = faery.events_stream_from_file(tmp_path / "a.raw").to_array()
    for mine, other in (("x", "x"), ("y", "y"), ("p", "on")):
        np.testing.assert_array_equal(events[mine], theirs[other])
    assert np.abs(theirs["t"].astype(np.int64) - events["t"]).max(initial=0) <= 100


def _event_bytes(message: bytes) -> bytes:
    """The last field of an EventPacket message: a length of 4 bytes, then so many bytes."""
    for at in range(len(message) - 4, 0, -1):
        if at % 4 == 0 and int.from_bytes(message[at : at + 4], "little") == len(message) - at - 4:
            return message[at + 4 :]
    return b""
