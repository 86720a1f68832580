"""What is written in HDF5 and AEDAT 4, as other libraries find it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import ConfigError, EventFormatError, RuntimeUnavailable
from evface_edge.events import EventArray, EventWriter, make_events, read_events, write_events
from evface_edge.geometry import SensorSize

SIZE = SensorSize(346, 260)


def sample(count: int = 150_000) -> EventArray:
    """An epoch, bursts, and times without events of up to 50 ms."""
    rng = np.random.default_rng(11)
    steps = rng.choice(
        [0, 0, 0, 1, 4, 700, 50_000], count, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.04, 0.01]
    )
    t = 1_700_000_000_123_456 + np.cumsum(steps)
    x, y = rng.integers(0, SIZE.width, count), rng.integers(0, SIZE.height, count)
    return make_events(t, x, y, rng.integers(0, 2, count))


def write_in_parts(path: str, events: EventArray) -> None:
    with EventWriter(path, SIZE) as writer:
        for part in np.array_split(events, 7):
            writer.write(part)


@pytest.mark.parametrize("compression", ["gzip", "blosc", "none"])
def test_hdf5_in_the_layout_of_dsec(compression: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    pytest.importorskip("hdf5plugin", reason="the extra hdf5 is not installed")
    events = sample()
    write_in_parts(f"{tmp_path}/a.h5?compression={compression}", events)
    with h5py.File(tmp_path / "a.h5") as file:
        offset = int(file["t_offset"][()])
        t = file["events/t"][:]
        np.testing.assert_array_equal(t + offset, events["t"])
        for name in "xyp":
            np.testing.assert_array_equal(file[f"events/{name}"][:], events[name])
        assert file["events/x"].chunks
        # As the DSEC tools use it: the first event at or after each millisecond.
        starts = file["ms_to_idx"][:]
        np.testing.assert_array_equal(starts, np.searchsorted(t, 1000 * np.arange(len(starts))))
        assert len(starts) == t[-1] // 1000 + 1


def test_hdf5_in_the_layout_of_metavision(tmp_path: Path) -> None:
    """The index, by the rule of HDF5EventFileWriter in OpenEB (Apache-2.0), event by event."""
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    events = sample(40_000)
    write_in_parts(f"{tmp_path}/a.hdf5?layout=metavision", events)
    t = (events["t"] - events["t"][0]).tolist()
    expected: list[tuple[int, int]] = []
    last, current = (0, -1), (0, -1)
    for i, now in enumerate(t):
        while now // 2000 + 1 > len(expected):
            if i != current[0]:
                last = current
            expected.append(last)
            current = (i, now)
    expected.append(current)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert [tuple(entry) for entry in file["CD/indexes"][:].tolist()] == expected
        assert int(file["CD/indexes"].attrs["offset"]) == -int(events["t"][0])
        assert file["CD/events"].shape == (40_000,)
        assert file["CD/events"].chunks == (16384,)
        assert len(file["EXT_TRIGGER/events"]) == len(file["EXT_TRIGGER/indexes"]) == 0
        assert file.attrs["geometry"] == "346x260"
        # Its reader expects text attributes of variable length.
        assert all(isinstance(value, str) for value in file.attrs.values())
    with pytest.raises(EventFormatError, match="2048×2048"):
        write_events(f"{tmp_path}/b.hdf5?layout=metavision", events, SensorSize(3000, 300))


def aedat_events(path: Path) -> Any:
    aedat = pytest.importorskip("aedat", reason="the second library, aedat, is not installed")
    packets = [packet["events"] for packet in aedat.Decoder(path) if "events" in packet]
    return np.concatenate(packets)


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
def test_aedat4_read_by_other_libraries(compression: str, tmp_path: Path) -> None:
    dv = pytest.importorskip("dv_processing", reason="the extra inivation is not installed")
    events = sample()
    path = tmp_path / "a.aedat4"
    write_in_parts(f"{path}?compression={compression}", events)
    theirs = aedat_events(path)
    for mine, other in zip("txyp", ("t", "x", "y", "on"), strict=True):
        np.testing.assert_array_equal(theirs[other].astype(np.int64), events[mine])
    recording = dv.io.MonoCameraRecording(str(path))
    assert recording.getEventResolution() == (SIZE.width, SIZE.height)
    stores = []
    while (store := recording.getNextEventBatch()) is not None:
        stores.append(store.numpy())
    found = np.concatenate(stores)
    for mine, other in zip("txyp", ("timestamp", "x", "y", "polarity"), strict=True):
        np.testing.assert_array_equal(found[other].astype(np.int64), events[mine])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.aedat4"]


def test_a_failed_aedat4_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("dv_processing", reason="the extra inivation is not installed")

    def fail() -> None:
        with EventWriter(tmp_path / "a.aedat4", SIZE) as writer:
            writer.write(sample(10))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EventFormatError, match="32768×32768"):
        write_events(tmp_path / "a.aedat4", sample(10), SensorSize(40_000, 300))


@pytest.mark.parametrize(
    ("target", "package", "extra"),
    [
        ("a.h5", "h5py", "hdf5"),
        ("a.h5?compression=blosc", "hdf5plugin", "hdf5"),
        ("a.aedat4", "dv_processing", "inivation"),
    ],
)
def test_a_missing_package_is_named(
    target: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RuntimeUnavailable, match=rf"pip install 'evface-edge\[{extra}\]'"):
        write_events(f"{tmp_path}/{target}", sample(10), SIZE)
    assert list(tmp_path.iterdir()) == []


def test_options_of_writing_are_not_of_reading(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    write_events(tmp_path / "a.h5", sample(10), SIZE)
    with pytest.raises(ConfigError) as raised:
        read_events(f"{tmp_path}/a.h5?layout=dsec")
    assert raised.value.value == "layout"
