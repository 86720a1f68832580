"""Damaged files and files of another kind: the valid events and one warning, or one error."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events import EventArray, make_events, open_events, read_events, write_events
from evface_edge.geometry import SensorSize

SIZE = SensorSize(64, 48)
EVENTS = make_events(
    np.arange(100) * 100, np.arange(100) % 64, np.arange(100) % 48, np.arange(100) % 2
)
#: Format → bytes of the last event, and the size of the words that it is made of.
TAILS = {"a.raw": 2, "a.raw?format=evt2": 4, "a.dat": 8, "a.es": 5, "a.npy": 13}

NEWLINE = b"\n"


def written(folder: Path, target: str) -> Path:
    write_events(f"{folder}/{target}", EVENTS, SIZE)
    return folder / target.partition("?")[0]


@pytest.mark.parametrize("target", TAILS)
def test_truncated_files(target: str, tmp_path: Path) -> None:
    path = written(tmp_path, target)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    source = open_events(path, size=SIZE, damage="salvage")
    with pytest.warns(EventFormatWarning, match=r"\(byte [0-9]+\).*\b99\b") as issued:
        found = np.concatenate(list(source))
    np.testing.assert_array_equal(found, EVENTS[:99])
    assert len(issued) == 1
    offset = source.damage.offset  # type: ignore[attr-defined]
    assert len(data) - TAILS[target] <= offset <= len(data) - 1
    with pytest.raises(EventFormatError) as raised:
        read_events(path, size=SIZE)
    assert (raised.value.path, raised.value.offset) == (path, offset)


def test_strict_delivers_the_valid_events_before_the_error(tmp_path: Path) -> None:
    path = written(tmp_path, "a.dat")
    path.write_bytes(path.read_bytes()[:-1])
    packets: list[EventArray] = []
    with pytest.raises(EventFormatError) as raised:
        packets.extend(open_events(path))
    np.testing.assert_array_equal(np.concatenate(packets), EVENTS[:99])
    assert raised.value.offset == path.stat().st_size - 7


def test_text_truncated_within_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b",")])
    with pytest.warns(EventFormatWarning, match=rf"\(byte {data.rfind(NEWLINE, 0, -1) + 1}\)"):
        events, _ = read_events(path, damage="salvage")
    np.testing.assert_array_equal(events, EVENTS[:99])


@pytest.mark.parametrize("target", ["a.raw", "a.raw?format=evt2", "a.dat", "a.es", "a.npz"])
def test_an_event_outside_the_sensor_is_damage(target: str, tmp_path: Path) -> None:
    path = written(tmp_path, target)
    smaller = SensorSize(50, 48)  # event 50 has x = 50
    source = open_events(path, size=smaller, damage="salvage")
    with pytest.warns(EventFormatWarning, match=r"50×48"):
        events = np.concatenate(list(source))
    np.testing.assert_array_equal(events, EVENTS[:50])
    damage = source.damage  # type: ignore[attr-defined]
    assert (damage.field, damage.value) == ("x, y", (50, 2))


def test_the_byte_offset_is_that_of_the_event(tmp_path: Path) -> None:
    path = written(tmp_path, "a.dat")
    start = path.stat().st_size - 8 * len(EVENTS)
    with pytest.raises(EventFormatError) as raised:
        read_events(path, size=SensorSize(50, 48))
    assert raised.value.offset == start + 8 * 50


def test_damage_at_the_first_event_is_an_error(tmp_path: Path) -> None:
    events = make_events([1, 2], [60, 1], [1, 1], [0, 0])
    write_events(tmp_path / "a.raw", events, SIZE)
    with pytest.raises(EventFormatError) as raised:
        read_events(tmp_path / "a.raw", size=SensorSize(50, 48))
    assert raised.value.value == (60, 1)


def test_long_steps_of_the_timestamps_are_damage(tmp_path: Path) -> None:
    for t, message in (
        ([0, 10, 5_000_000_000], r"\b5000 s"),
        ([20_000, 30_000, 10_000], r"\b20000 µs"),
    ):
        np.save(tmp_path / "a.npy", make_events(t, [0] * 3, [0] * 3, [0] * 3))
        with pytest.warns(EventFormatWarning, match=message):
            events, _ = read_events(tmp_path / "a.npy", size=SIZE, damage="salvage")
        assert len(events) == 2


def test_short_steps_back_are_clamped(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", make_events([500, 400, 501], [0] * 3, [0] * 3, [0] * 3))
    source = open_events(tmp_path / "a.npy", size=SIZE)
    assert np.concatenate(list(source))["t"].tolist() == [500, 500, 501]
    assert source.counters.times_clamped == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.raw", b"", "empty"),
        ("empty.npz", b"", "empty"),
        ("prose.raw", b"Dear all,\nthis is a letter.\n", "Prophesee RAW"),
        ("prose.csv", b"Dear all,\nthis is a letter.\n", "t, x, y, p|Dear all"),
        ("prose.npz", b"Dear all,\nthis is a letter.\n", "archive"),
        ("prose.dat", b"Dear all,\nthis is a letter.\n", "Prophesee DAT"),
        ("prose.es", b"Dear all,\nthis is a letter.\n", "Event Stream"),
        ("prose.aedat4", b"Dear all,\nthis is a letter.\n", "AEDAT 4.0"),
        ("prose.h5", b"Dear all,\nthis is a letter.\n", "HDF5"),
        ("prose.npy", b"Dear all,\nthis is a letter.\n", "header of the array"),
        ("prose.xyz", b"Dear all,\nthis is a letter.\n", r"evt3.*\?format="),
        ("image.raw", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "Prophesee RAW"),
        ("numbers.raw", b"1 2 3 0\n2 2 3 1\n", r"numbers.raw\?width="),
        ("percent.raw", b"% evt 3.0\n" + b"% more\n" * 200_000 + b"%", "1 MiB"),
        ("old.aedat", b"#!AER-DAT3.0\r\n", "version 3.0"),
        ("es9.es", b"Event Stream\x09\x00\x00\x01\x10\x00\x10\x00", "version 9"),
        ("atis.es", b"Event Stream\x02\x00\x00\x04\x10\x00\x10\x00", "color"),
    ],
)
def test_files_that_are_something_else(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EventFormatError, match=message) as raised:
        read_events(path)
    assert raised.value.path == path
    assert "\n" not in str(raised.value)


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.raw", tmp_path, Path("/dev/null")):
        with pytest.raises(EventFormatError) as raised:
            open_events(path)
        assert raised.value.path == path


def test_the_content_has_priority_over_the_suffix(tmp_path: Path) -> None:
    write_events(tmp_path / "a.npz", EVENTS, SIZE)
    (tmp_path / "a.npz").rename(tmp_path / "a.raw")
    np.testing.assert_array_equal(read_events(tmp_path / "a.raw")[0], EVENTS)


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("loaded",))

    objects = np.array([Trap(), Trap()], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", t=objects, x=objects, y=objects, p=objects)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    for name in ("a.npy", "a.npz", "pickle.npy"):
        with pytest.raises(EventFormatError, match=r"Python objects|header of the array") as raised:
            open_events(tmp_path / name, size=SIZE)
        assert raised.value.path == tmp_path / name


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"t": [1], "x": [1], "y": [1]}, "height, t, width, x, y"),
        ({"t": [1.5], "x": [1], "y": [1], "p": [1]}, "t is of type float64"),
        ({"t": [1, 2], "x": [1], "y": [1], "p": [1]}, r"t \(2,\), x \(1,\)"),
        ({"t": [[1]], "x": [[1]], "y": [[1]], "p": [[1]]}, r"t \(1, 1\)"),
        ({"t": [1], "x": [-1], "y": [1], "p": [1]}, r"\(-1, 1\)"),
        ({"t": [1], "x": [1], "y": [1], "p": [5]}, "polarity"),
        ({"t": [2**63], "x": [1], "y": [1], "p": [1]}, str(2**63 - 1)),
        ({"events": [1, 2]}, r"an array \(2,\)"),
        ({"t": [1], "x": [1], "y": [1], "p": [1], "width": 0}, "0×48"),
        ({"t": [1], "x": [1], "y": [1], "p": [1], "width": 2**40}, "1099511627776×48"),
        ({"t": [1], "x": [1], "y": [1], "p": [1], "width": [1, 2]}, r"width is an array \(2,\)"),
    ],
)
def test_archives_with_other_arrays(
    arrays: dict[str, object], message: str, tmp_path: Path
) -> None:
    contents: dict[str, Any] = {"width": 64, "height": 48, **arrays}
    np.savez(tmp_path / "a.npz", **contents)
    with pytest.raises(EventFormatError, match=message):
        read_events(tmp_path / "a.npz")


def test_an_array_with_a_huge_length_in_its_header(tmp_path: Path) -> None:
    header = "{'descr': [('t', '<i8'), ('x', '<u2'), ('y', '<u2'), ('p', '|u1')], "
    header += "'fortran_order': False, 'shape': (1000000000000,), }"
    text = f"{header:<181}\n".encode()
    head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    (tmp_path / "a.npy").write_bytes(head + EVENTS.tobytes())
    with pytest.warns(EventFormatWarning, match="100 of 1000000000000"):
        events, _ = read_events(tmp_path / "a.npy", size=SIZE, damage="salvage")
    np.testing.assert_array_equal(events, EVENTS)


def test_a_damaged_archive_member_is_found(tmp_path: Path) -> None:
    count = 300_000
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.integers(0, 9, count))
    x, y, p = rng.integers(0, 64, count), rng.integers(0, 48, count), rng.integers(0, 2, count)
    events = make_events(t, x, y, p)
    write_events(tmp_path / "a.npz", events, SIZE)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        member = archive.getinfo("y.npy")
        middle = member.header_offset + int(0.8 * member.compress_size)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[middle] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.warns(EventFormatWarning, match=r"a\.npz.*\(byte [0-9]+\)"):
        found, _ = read_events(tmp_path / "a.npz", damage="salvage")
    assert 65536 <= len(found) < count
    np.testing.assert_array_equal(found[:65536], events[:65536])


def test_a_closed_recording_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "a.npz")
    with open_events(path) as source:
        pass
    with pytest.raises(ConfigError) as raised:
        list(source)
    assert (raised.value.field, raised.value.value) == ("source", str(path))


def test_a_valid_file_gives_no_warning(tmp_path: Path) -> None:
    path = written(tmp_path, "a.raw")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = open_events(path)
        assert sum(map(len, source)) == 100
    assert source.damage is None  # type: ignore[attr-defined]
