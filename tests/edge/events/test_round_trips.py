"""Written recordings are read back, by this package and by a second library."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import (
    EVENT_DTYPE,
    EventArray,
    EventWriter,
    make_events,
    open_events,
    read_events,
    write_events,
)
from evface_edge.geometry import SensorSize

TARGETS = [
    "a.npz",
    "a.npy",
    "a.raw",
    "a.raw?format=evt2",
    "a.dat",
    "a.csv",
    "a.csv?time_unit=s",
    "a.txt?columns=xypt",
    "a.h5",
    "a.h5?compression=blosc",
    "a.hdf5?layout=metavision",
    "a.aedat4",
    "a.aedat4?compression=zstd",
]
NEEDS = {".h5": ("h5py", "hdf5plugin"), ".hdf5": ("h5py",), ".aedat4": ("dv_processing", "lz4")}
#: Times just below the rollovers of EVT3 (2^12, 2^24), DAT (2^32), EVT2 (2^34), and an epoch.
STARTS = [0, (1 << 12) - 5, (1 << 24) - 5, (1 << 32) - 5, (1 << 34) - 5, 1_760_000_000_000_000]


@pytest.fixture(autouse=True)
def packages(request: pytest.FixtureRequest) -> None:
    """Skips a target whose extra is not installed."""
    target = request.node.callspec.params.get("target") if hasattr(request.node, "callspec") else ""
    for package in NEEDS.get(Path(str(target).partition("?")[0]).suffix, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")


@st.composite
def recordings(draw: st.DrawFn) -> tuple[EventArray, SensorSize]:
    size = SensorSize(draw(st.integers(1, 2048)), draw(st.integers(1, 2048)))
    count = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = rng.choice([0, 0, 1, 7, 60, 4096, 70_000, 1 << 24, 1 << 31], count)
    t = draw(st.sampled_from([*STARTS, -12_345])) + np.cumsum(steps)
    x, y = rng.integers(0, size.width, count), rng.integers(0, size.height, count)
    return make_events(t, x, y, rng.integers(0, 2, count)), size


def read_back(folder: Path, target: str, size: SensorSize) -> tuple[EventArray, SensorSize]:
    name = target.partition("?")[0]
    # Every other format stores the size.
    options = f"width={size.width}&height={size.height}" if name.endswith(".npy") else ""
    return read_events(f"{folder / name}{'?' if options else ''}{options}")


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(recording=recordings())
def test_every_format_reads_what_it_wrote(
    target: str, recording: tuple[EventArray, SensorSize], tmp_path: Path
) -> None:
    events, size = recording
    if Path(target).suffix.startswith((".h5", ".hdf5")):
        events["t"] //= 1000  # they have an index with an entry for each millisecond
    if target.startswith("a.aedat4"):
        events["t"] -= min(0, int(events["t"].min(initial=0)))
    write_events(f"{tmp_path}/{target}", events, size)
    found, found_size = read_back(tmp_path, target, size)
    assert found_size == size
    np.testing.assert_array_equal(found, events)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(recording=recordings())
def test_event_stream_reads_what_it_wrote(
    recording: tuple[EventArray, SensorSize], tmp_path: Path
) -> None:
    events, size = recording
    events = events[:8]
    events["t"] = np.cumsum(np.arange(len(events)) * 131)
    write_events(tmp_path / "a.es", events, size)
    found, found_size = read_events(tmp_path / "a.es")
    assert found_size == size
    np.testing.assert_array_equal(found, events)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("target", TARGETS)
def test_timestamps_continue_across_rollovers(target: str, start: int, tmp_path: Path) -> None:
    t = start + np.arange(0, 200_000_000, 100_000)  # 200 s: twelve rollovers of EVT3
    events = make_events(t, np.arange(len(t)) % 300, np.zeros(len(t)), np.arange(len(t)) % 2)
    write_events(f"{tmp_path}/{target}", events, SensorSize(300, 200))
    found, _ = read_back(tmp_path, target, SensorSize(300, 200))
    np.testing.assert_array_equal(found, events)


@pytest.mark.parametrize("hours", [0.5, 0.999])
@pytest.mark.parametrize("target", [target for target in TARGETS if ".h" not in target])
def test_long_gaps_are_kept(target: str, hours: float, tmp_path: Path) -> None:
    gap = int(hours * 3.6e9)
    events = make_events(np.arange(6) * gap + 7, [0] * 6, [0] * 6, [1] * 6)
    write_events(f"{tmp_path}/{target}", events, SensorSize(4, 4))
    found, _ = read_back(tmp_path, target, SensorSize(4, 4))
    np.testing.assert_array_equal(found, events)


@pytest.mark.parametrize("target", ["a.raw", "a.raw?format=evt2", "a.dat", "a.dat?version=1"])
def test_raw_and_dat_agree_with_faery(target: str, tmp_path: Path) -> None:
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    rng = np.random.default_rng(1)
    count = 20_000
    t = 100 + np.cumsum(rng.integers(0, 3000, count))  # 30 s: over the rollover at 2^24 µs
    size = SensorSize(304, 240)
    x, y = rng.integers(0, size.width, count), rng.integers(0, size.height, count)
    events = make_events(t, x, y, rng.integers(0, 2, count))
    write_events(f"{tmp_path}/{target}", events, size)
    path = tmp_path / target.partition("?")[0]
    stream = faery.events_stream_from_file(
        path, dimensions_fallback=(size.width, size.height), version_fallback=None
    )
    theirs = stream.to_array()
    assert stream.dimensions() == (size.width, size.height)
    for mine, other in zip("txyp", ("t", "x", "y", "on"), strict=True):
        np.testing.assert_array_equal(theirs[other].astype(np.int64), events[mine])


@pytest.mark.parametrize(
    ("target", "start"),
    [
        ("a.raw?format=evt2", 1 << 24),
        ("a.raw?format=evt2", 1 << 32),
        ("a.raw?format=evt2", 1 << 34),
        ("a.dat", 1 << 32),
        ("a.es", 1 << 24),
        ("a.es", 1 << 32),
        ("a.aedat4", 1 << 34),
        ("a.aedat4", 1_760_000_000_000_000),
    ],
)
def test_timestamps_agree_with_faery_across_rollovers(
    target: str, start: int, tmp_path: Path
) -> None:
    """EVT3 is tested above: faery is wrong within 4 ms before its rollover."""
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    rng = np.random.default_rng(3)
    t = start - 500 + np.cumsum(rng.integers(0, 3, 2000))
    x, y, p = rng.integers(0, 304, 2000), rng.integers(0, 240, 2000), rng.integers(0, 2, 2000)
    events = make_events(t, x, y, p)
    write_events(f"{tmp_path}/{target}", events, SensorSize(304, 240))
    theirs = faery.events_stream_from_file(
        tmp_path / target.partition("?")[0], dimensions_fallback=(304, 240)
    ).to_array()
    for mine, other in zip("txyp", ("t", "x", "y", "on"), strict=True):
        np.testing.assert_array_equal(theirs[other].astype(np.int64), events[mine])


def test_event_stream_agrees_with_faery(tmp_path: Path) -> None:
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    rng = np.random.default_rng(2)
    t = np.cumsum(rng.integers(0, 500, 5000))
    x, y, p = rng.integers(0, 320, 5000), rng.integers(0, 240, 5000), rng.integers(0, 2, 5000)
    events = make_events(t, x, y, p)
    write_events(tmp_path / "a.es", events, SensorSize(320, 240))
    theirs = faery.events_stream_from_file(tmp_path / "a.es").to_array()
    for mine, other in zip("txyp", ("t", "x", "y", "on"), strict=True):
        np.testing.assert_array_equal(theirs[other].astype(np.int64), events[mine])


def test_npz_is_readable_by_numpy(tmp_path: Path) -> None:
    events = make_events([1, 2], [3, 4], [5, 6], [0, 1])
    write_events(tmp_path / "a.npz", events, SensorSize(10, 20))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert (int(arrays["width"]), int(arrays["height"])) == (10, 20)
        for field in "txyp":
            np.testing.assert_array_equal(arrays[field], events[field])
            assert arrays[field].dtype == EVENT_DTYPE[field]


def test_npy_is_readable_by_numpy(tmp_path: Path) -> None:
    events = make_events([1, 2], [3, 4], [5, 6], [0, 1])
    write_events(tmp_path / "a.npy", events, SensorSize(10, 20))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), events)


@pytest.mark.parametrize("compressed", [True, False])
def test_npz_made_by_numpy_is_read(compressed: bool, tmp_path: Path) -> None:
    save = np.savez_compressed if compressed else np.savez
    p = np.array([-1, 1, 1], np.int8)
    save(tmp_path / "a.npz", t=[1, 2, 3], x=[0, 1, 2], y=[3, 4, 5], p=p, width=6, height=7)
    events, size = read_events(tmp_path / "a.npz")
    assert size == SensorSize(6, 7)
    assert events["p"].tolist() == [0, 1, 1]
    assert events["t"].tolist() == [1, 2, 3]
    np.savez(tmp_path / "b.npz", events=events, width=6, height=7)
    np.testing.assert_array_equal(read_events(tmp_path / "b.npz")[0], events)


@pytest.mark.parametrize("structured", [True, False])
def test_npy_made_by_numpy_is_read(structured: bool, tmp_path: Path) -> None:
    rows = np.array([[10, 1, 2, 1], [20, 3, 4, 0]])
    np.save(tmp_path / "a.npy", make_events(*rows.T) if structured else rows)
    events, _ = read_events(tmp_path / "a.npy", size=SensorSize(5, 5))
    np.testing.assert_array_equal(events, make_events(*rows.T))


@pytest.mark.parametrize("target", [*TARGETS, "a.es"])
def test_packets_are_bounded_and_a_second_pass_is_the_same(target: str, tmp_path: Path) -> None:
    count = 150_000
    events = make_events(np.arange(count), np.arange(count) % 64, np.zeros(count), np.ones(count))
    size = SensorSize(64, 64)
    with EventWriter(f"{tmp_path}/{target}", size) as writer:
        for part in np.array_split(events, 7):
            writer.write(part)
    with open_events(tmp_path / target.partition("?")[0], size=size) as source:
        for _ in range(2):
            packets = list(source)
            assert max(map(len, packets)) <= 65536
            np.testing.assert_array_equal(np.concatenate(packets), events)
            assert source.counters.events == count


def test_a_failed_recording_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"what was there")
    events = make_events([1, 2], [0, 0], [0, 0], [0, 0])

    def fail() -> None:
        with EventWriter(tmp_path / "a.npz", SensorSize(2, 2)) as writer:
            writer.write(events)
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_bytes() == b"what was there"


SUFFIXES = ["a.npz", "a.raw", "a.csv", "a.dat", "a.es", "a.npy", "a.h5", "a.aedat4"]


@pytest.mark.parametrize("target", SUFFIXES)
def test_invalid_events_are_not_written(target: str, tmp_path: Path) -> None:
    size = SensorSize(10, 10)
    invalid = {
        r"event 0 at \(10, 0\).*10×10": make_events([1], [10], [0], [0]),
        "event 1 at 1 µs": make_events([2, 1], [0, 0], [0, 0], [0, 0]),
        "4000 s, .* 3600 s": make_events([0, 4_000_000_000], [0, 0], [0, 0], [0, 0]),
        "event 0 has polarity 2": np.array([(1, 0, 0, 2)], EVENT_DTYPE),
        str(1 << 62): make_events([1 << 62, (1 << 62) + 1], [0, 0], [0, 0], [0, 0]),
    }
    for message, events in invalid.items():
        with pytest.raises(EventFormatError, match=message):
            write_events(tmp_path / target, events, size)
    with EventWriter(tmp_path / target, size) as writer:
        writer.write(make_events([5], [0], [0], [0]))
        with pytest.raises(EventFormatError, match=r"4 µs, .* 5 µs"):
            writer.write(make_events([4], [0], [0], [0]))
    assert [path.name for path in tmp_path.iterdir()] == [target]


def test_impossible_targets(tmp_path: Path) -> None:
    events, size = make_events([1], [0], [0], [0]), SensorSize(3000, 10)
    for target, message in {
        "a.xyz": "'.xyz'.*'?.raw",
        "a.aedat": "'.aedat'",
        "a.raw?format=evt21": "EVT2.1",
        "a.raw": "2048×2048",
        "a.dat?version=1": "512×256",
        "none/a.npz": "No such file or directory",
    }.items():
        with pytest.raises(EventFormatError, match=message):
            write_events(f"{tmp_path}/{target}", events, size)
    for target in (
        "a.npz?level=9",
        "a.raw?format=evt9",
        "a.csv?time_unit=h",
        "a.h5?layout=mine",
        "a.aedat4?compression=zip",
        "synthetic:avatar",
    ):
        with pytest.raises(ConfigError):
            write_events(target if ":" in target else f"{tmp_path}/{target}", events, size)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(EventFormatError) as raised:
        write_events(tmp_path / "folder.npz", events, size)
    assert raised.value.path == tmp_path / "folder.npz"
    with pytest.raises(EventFormatError, match=r"-5 µs.*--from-zero"):
        write_events(tmp_path / "a.es", make_events([-5], [0], [0], [0]), size)
    if importlib.util.find_spec("dv_processing"):
        with pytest.raises(EventFormatError, match=r"-5 µs.*--from-zero"):
            write_events(tmp_path / "a.aedat4", make_events([-5], [0], [0], [0]), size)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


@pytest.mark.parametrize("target", [*SUFFIXES, "a.hdf5?layout=metavision"])
def test_recordings_without_events(target: str, tmp_path: Path) -> None:
    size = SensorSize(12, 34)
    write_events(f"{tmp_path}/{target}", np.empty(0, EVENT_DTYPE), size)
    path = tmp_path / target.partition("?")[0]
    found, found_size = read_events(path, size=size if ".npy" in target else None)
    assert len(found) == 0
    assert found_size == size
