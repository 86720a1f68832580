"""AEDAT 2, 3.1 and 4, Event Stream and HDF5, from bytes made by hand or by a second library."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evface_edge.errors import EventFormatError, EventFormatWarning
from evface_edge.events import EventArray, make_events, read_events
from evface_edge.geometry import SensorSize

EVENTS = make_events([10, 20, 20, 5000], [0, 127, 5, 9], [0, 95, 7, 3], [1, 0, 1, 1])
SIZE = SensorSize(128, 96)


def rows(events: EventArray) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in event) for event in events]


def test_aedat2_of_a_dvs128(tmp_path: Path) -> None:
    records = struct.pack(">Ii", 3 << 1 | 5 << 8, 7)  # raw x = 3, y = 5; bit 0 clear: brighter
    records += struct.pack(">Ii", 1 << 15, 8)  # external input
    records += struct.pack(">Ii", 0x7FFF, 2**31 - 1)
    records += struct.pack(">Ii", 0, -(2**31))  # one µs later
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n# x\r\n" + records[:16])
    assert rows(read_events(tmp_path / "a.aedat")[0]) == [(7, 124, 122, 1)]
    (tmp_path / "b.aedat").write_bytes(b"#!AER-DAT2.0\r\n# x\r\n" + records[16:])
    events, size = read_events(tmp_path / "b.aedat")
    assert size == SensorSize(128, 128)
    assert rows(events) == [(2**31 - 1, 0, 0, 0), (2**31, 127, 127, 1)]


def test_aedat2_of_a_davis(tmp_path: Path) -> None:
    header = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n"
    records = struct.pack(">Ii", 1 << 11 | 3 << 12 | 5 << 22, 7)
    records += struct.pack(">Ii", 1 << 31 | 1 << 12, 8)  # a sample of a frame
    records += struct.pack(">Ii", 1 << 10, 9)  # external input
    records += struct.pack(">Ii", 345 << 12 | 259 << 22, 10)
    (tmp_path / "a.aedat").write_bytes(header + records)
    events, size = read_events(tmp_path / "a.aedat")
    assert size == SensorSize(346, 260)
    assert rows(events) == [(7, 342, 254, 1), (10, 0, 0, 0)]


def test_aedat2_of_an_unknown_chip(tmp_path: Path) -> None:
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n# AEChip: org.Cochlea\r\n" + bytes(8))
    with pytest.raises(EventFormatError, match="'Cochlea'"):
        read_events(tmp_path / "a.aedat")


def aedat3_packet(kind: int, overflow: int, records: list[tuple[int, int]], size: int = 8) -> bytes:
    count = len(records)
    head = struct.pack("<hhiiiiii", kind, 1, size, 4, overflow, count, count, count)
    return head + b"".join(struct.pack("<Ii", data, t).ljust(size, b"\0") for data, t in records)


AEDAT3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS240C\r\n#!END-HEADER\r\n"


def test_aedat3(tmp_path: Path) -> None:
    body = aedat3_packet(1, 0, [(3 << 17 | 5 << 2 | 3, 7), (9 << 17 | 9 << 2, 8)])  # one invalid
    body += aedat3_packet(3, 0, [(0, 0)], size=36)  # motion
    body += aedat3_packet(1, 0, [(1, 2**31 - 1)])
    body += aedat3_packet(1, 1, [(239 << 17 | 179 << 2 | 1, 5)])
    (tmp_path / "a.aedat").write_bytes(AEDAT3 + body[: 28 + 16 + 28 + 36])
    events, size = read_events(tmp_path / "a.aedat")
    assert size == SensorSize(240, 180)
    assert rows(events) == [(7, 3, 5, 1)]
    (tmp_path / "b.aedat").write_bytes(AEDAT3 + body[28 + 16 :])
    events, _ = read_events(tmp_path / "b.aedat")
    assert rows(events) == [(2**31 - 1, 0, 0, 0), (2**31 + 5, 239, 179, 0)]


@pytest.mark.parametrize("cut", [1, 8, 9, 20])
def test_truncated_aedat3(cut: int, tmp_path: Path) -> None:
    body = aedat3_packet(1, 0, [(1, 1), (1, 2)]) + aedat3_packet(1, 0, [(1, 3)])
    (tmp_path / "a.aedat").write_bytes((AEDAT3 + body)[:-cut])
    with pytest.warns(EventFormatWarning, match=r"\(byte [0-9]+\).*\b2\b"):
        events, _ = read_events(tmp_path / "a.aedat", damage="salvage")
    assert events["t"].tolist() == [1, 2]


def test_aedat3_of_unknown_form(tmp_path: Path) -> None:
    (tmp_path / "a.aedat").write_bytes(AEDAT3.replace(b"RAW", b"Serial-TS,PNG-Frames") + bytes(9))
    with pytest.raises(EventFormatError, match="'Serial-TS,PNG-Frames'"):
        read_events(tmp_path / "a.aedat")


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_aedat4_by_faery(compression: str, tmp_path: Path) -> None:
    faery = pytest.importorskip("faery", reason="the second library, faery, is not installed")
    pytest.importorskip("lz4", reason="the extra aedat is not installed")
    rng = np.random.default_rng(3)
    count = 30_000
    columns = np.empty(count, faery.EVENTS_DTYPE)
    columns["t"] = 1_700_000_000_000_000 + np.cumsum(rng.integers(0, 20, count))
    columns["x"], columns["y"] = rng.integers(0, 346, count), rng.integers(0, 260, count)
    columns["on"] = rng.integers(0, 2, count)
    stream = faery.events_stream_from_array(columns, dimensions=(346, 260))
    stream.to_file(
        tmp_path / "a.aedat4", compression=None if compression == "none" else (compression, 1)
    )
    events, size = read_events(tmp_path / "a.aedat4")
    assert size == SensorSize(346, 260)
    for mine, other in zip("txyp", ("t", "x", "y", "on"), strict=True):
        np.testing.assert_array_equal(events[mine], columns[other].astype(np.int64))


def test_event_stream_version_2(tmp_path: Path) -> None:
    head = b"Event Stream\x02\x00\x00\x01" + struct.pack("<HH", 320, 240)
    body = bytes([3 << 1 | 1, 5, 0, 7, 0])  # t = 3, x = 5, 7th row from the bottom, brighter
    body += bytes([0xFE] * 5)  # resets
    body += bytes([0xFF, 0xFF, 1 << 1, 0x3F, 1, 0xEF, 0])  # 2 × 127 + 1 µs later
    (tmp_path / "a.es").write_bytes(head + body)
    events, size = read_events(tmp_path / "a.es")
    assert size == SensorSize(320, 240)
    assert rows(events) == [(3, 5, 232, 1), (258, 319, 0, 0)]


def test_event_stream_of_an_atis(tmp_path: Path) -> None:
    head = b"Event Stream\x02\x00\x00\x02" + struct.pack("<HH", 304, 240)
    body = bytes([3 << 2 | 0b10, 5, 0, 239, 0])  # brighter
    body += bytes([4 << 2 | 0b01, 9, 0, 9, 0])  # an exposure measurement, 4 µs later
    body += bytes([0xFF, 1 << 2, 5, 0, 239, 0])  # 3 × 63 + 1 µs later, darker
    (tmp_path / "a.es").write_bytes(head + body)
    assert rows(read_events(tmp_path / "a.es")[0]) == [(3, 5, 0, 1), (197, 5, 0, 0)]


def test_event_stream_version_1(tmp_path: Path) -> None:
    head = b"Event Stream\x01\x00\x00"  # DVS
    x, y = 300, 200
    body = bytes([3 | (x & 15) << 4, x >> 4 | (y & 3) << 6, y >> 2 | 128])
    body += bytes([15 | 2 << 4])  # 2 × 15 µs
    body += bytes([1, 0, 0])
    (tmp_path / "a.es").write_bytes(head + body)
    assert rows(read_events(tmp_path / "a.es")[0]) == [
        (3, 300, 39, 1),
        (34, 0, 239, 0),
    ]


def hdf5(path: Path, **contents: Any) -> Path:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(path, "w") as file:
        for name, value in contents.items():
            file[name.replace("__", "/")] = value
    return path


COLUMNS = {f"events__{field}": EVENTS[field] for field in "txyp"}


def test_hdf5_of_dsec(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", **COLUMNS, t_offset=1_000_000_000_000, ms_to_idx=[0])
    events, size = read_events(path)
    assert size == SensorSize(640, 480)
    assert events["t"].tolist() == (EVENTS["t"] + 1_000_000_000_000).tolist()
    np.testing.assert_array_equal(events["x"], EVENTS["x"])


def test_hdf5_of_tum_vie(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", **COLUMNS, ms_to_idx=[0])
    events, size = read_events(path)
    assert size == SensorSize(1280, 720)
    np.testing.assert_array_equal(events, EVENTS)


def test_hdf5_of_mvsec(tmp_path: Path) -> None:
    table = np.array([[1, 2, 1506117905.5, -1], [3, 4, 1506117905.500001, 1]])
    path = hdf5(tmp_path / "a.hdf5", davis__left__events=table, davis__right__events=table[:1])
    with pytest.raises(EventFormatError) as raised:
        read_events(path)
    assert raised.value.value == ("davis/left", "davis/right")
    events, size = read_events(f"{path}?group=davis/left")
    assert size == SensorSize(346, 260)
    assert rows(events) == [(1506117905500000, 1, 2, 0), (1506117905500001, 3, 4, 1)]
    assert len(read_events(f"{path}?group=davis/right")[0]) == 1


@pytest.mark.parametrize("names", ["t x y p", "ts xs ys ps"])
@pytest.mark.parametrize("group", ["", "events__", "left__"])
def test_hdf5_of_columns(group: str, names: str, tmp_path: Path) -> None:
    columns = {f"{group}{n}": EVENTS[f] for n, f in zip(names.split(), "txyp", strict=True)}
    path = hdf5(tmp_path / "a.h5", **columns)
    options = "&group=left" if group == "left__" else ""
    events, _ = read_events(f"{path}?width=128&height=96{options}")
    np.testing.assert_array_equal(events, EVENTS)
    with pytest.raises(EventFormatError, match=r"a\.h5\?width=|expected t"):
        read_events(path)


def test_hdf5_of_seconds_and_other_units(tmp_path: Path) -> None:
    columns = dict(COLUMNS)
    columns["events__t"] = EVENTS["t"] / 1e6
    path = hdf5(tmp_path / "a.h5", **columns)
    np.testing.assert_array_equal(read_events(path, size=SIZE)[0], EVENTS)
    columns["events__t"] = EVENTS["t"] * 1000
    path = hdf5(tmp_path / "b.h5", **columns)
    events, _ = read_events(f"{path}?width=128&height=96&time_unit=ns")
    np.testing.assert_array_equal(events, EVENTS)


def test_hdf5_with_columns_of_different_lengths(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", **{**COLUMNS, "events__p": EVENTS["p"][:2]})
    with pytest.warns(EventFormatWarning, match=r"\(2, 4\)"):
        events, _ = read_events(path, size=SIZE, damage="salvage")
    np.testing.assert_array_equal(events, EVENTS[:2])


def test_damaged_hdf5(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", **COLUMNS)
    (tmp_path / "b.h5").write_bytes(path.read_bytes()[:-10])
    with pytest.raises(EventFormatError) as raised:
        read_events(tmp_path / "b.h5", size=SIZE)
    assert raised.value.path == tmp_path / "b.h5"
    path = hdf5(tmp_path / "c.h5", **{**COLUMNS, "events__x": [b"a", b"b", b"c", b"d"]})
    with pytest.raises(EventFormatError, match=r"c\.h5.*\|S1|c\.h5.*object"):
        read_events(path, size=SIZE)
    path = hdf5(tmp_path / "d.h5", **{**COLUMNS, "events__t": [1.0, np.nan, 2.0, 3.0]})
    with pytest.warns(EventFormatWarning, match=f"-{2**62 + 1}"):
        assert len(read_events(path, size=SIZE, damage="salvage")[0]) == 1


METAVISION = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])


def metavision_table(events: EventArray) -> Any:
    table = np.empty(len(events), METAVISION)
    for field in "txyp":
        table[field] = events[field]
    return table


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_hdf5_of_metavision(compression: str | None, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("CD/events", data=metavision_table(EVENTS), compression=compression)
        file.attrs["geometry"] = "128x96"
    events, size = read_events(tmp_path / "a.hdf5")
    assert size == SIZE
    np.testing.assert_array_equal(events, EVENTS)


def ecf_chunk(events: EventArray, packing: int) -> bytes:
    """An ECF chunk, written from the description of the code and no faster than that."""
    out = struct.pack("<IQ", len(events) << 2 | packing, int(events["t"][0]))
    now = int(events["t"][0])
    for t, run in _runs(events["t"]):
        step = t - now
        if step >= 15:
            while step:
                out, step = out + bytes([0xF0 | step & 15]), step >> 4
        now = t
        out += bytes([step << 4 | run]) if run < 15 else struct.pack("<BH", step << 4 | 15, run)
    if packing == 2:
        values = [int(e["y"]) << 12 | int(e["x"]) << 1 | int(e["p"]) for e in events]
        values += [0] * (-len(values) % 4)
        for a, b, c, d in zip(*[iter(values)] * 4, strict=True):
            words = (a << 8 | b & 0xFF, (b >> 8) << 16 | c & 0xFFFF, (c >> 16) << 24 | d)
            out += struct.pack("<III", *words)
        return out
    for y, run in _runs(events["y"]):
        out += struct.pack("<H", y << 5 | run) if run < 31 else struct.pack("<HH", y << 5 | 31, run)
    if packing == 1:
        values = [int(e["x"]) << 1 | int(e["p"]) for e in events]
        values += [0] * (-len(values) % 4)
        for a, b, c, d in zip(*[iter(values)] * 4, strict=True):
            out += struct.pack("<HHH", a << 4 | b & 15, (b >> 4) << 8 | c & 255, (c >> 8) << 12 | d)
        return out
    i, xs = 0, events["x"].tolist()
    while i < len(xs):
        x, mask, i = xs[i], 0, i + 1
        for k in range(5):
            if i < len(xs) and xs[i] == x + k + 1:
                mask, i = mask | 1 << (4 - k), i + 1
        out += struct.pack("<H", x << 5 | mask)
    for p, run in _runs(events["p"]):
        out += bytes([p << 7 | run]) if run < 127 else struct.pack("<BH", p << 7 | 127, run)
    return out


def _runs(values: Any) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for value in values.tolist():
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    return runs


def with_ecf(path: Path, chunks: list[bytes], total: int) -> Path:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((16384,))
        # Optional, so that HDF5 makes the dataset without having the filter.
        properties.set_filter(0x8ECF, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((total,), (h5py.h5s.UNLIMITED,))
        kind = h5py.h5t.py_create(METAVISION, logical=True)
        group = file.create_group("CD")
        dataset = h5py.h5d.create(group.id, b"events", kind, space, properties)
        for index, chunk in enumerate(chunks):
            dataset.write_direct_chunk((index * 16384,), chunk)
        file.attrs["geometry"] = "1280x720"
    return path


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), packing=st.sampled_from([0, 1, 2]), long_runs=st.booleans())
def test_hdf5_with_ecf(seed: int, packing: int, long_runs: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 400))
    t = 1_000 + np.cumsum(rng.choice([0, 1, 3, 14, 15, 16, 300, 70_000], count))
    y, p = rng.integers(0, 720, count), rng.integers(0, 2, count)
    if long_runs:
        t, y, p = (np.sort(v) // 300 * 300 for v in (t, y, p * 600))
        p = (p > 0).astype(int)
    x = np.minimum(np.cumsum(rng.integers(0, 4, count)) % 1280, 1279)
    events = make_events(t, x, y, p)
    path = with_ecf(tmp_path / "a.hdf5", [ecf_chunk(events, packing)], count)
    found, size = read_events(path)
    assert size == SensorSize(1280, 720)
    np.testing.assert_array_equal(found, events)


def test_hdf5_with_two_chunks_of_ecf_and_a_damaged_one(tmp_path: Path) -> None:
    count = 20_000
    events = make_events(np.arange(count), np.arange(count) % 1280, [5] * count, [1] * count)
    chunks = [ecf_chunk(events[:16384], 0), ecf_chunk(events[16384:], 1)]
    path = with_ecf(tmp_path / "a.hdf5", chunks, count)
    np.testing.assert_array_equal(read_events(path)[0], events)
    path = with_ecf(tmp_path / "b.hdf5", [chunks[0], chunks[1][:40]], count)
    with pytest.warns(EventFormatWarning, match=r"ECF chunk 1 .*\(byte [0-9]+\)"):
        found, _ = read_events(path, damage="salvage")
    np.testing.assert_array_equal(found, events[:16384])
