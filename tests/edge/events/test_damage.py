"""Damaged and mistaken files: the sound part and one warning, or one clear sentence."""

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


def written(folder: Path, target: str) -> Path:
    write_events(f"{folder}/{target}", EVENTS, SIZE)
    return folder / target.partition("?")[0]


@pytest.mark.parametrize("target", TAILS)
def test_a_truncated_file_gives_its_sound_part_and_says_where(target: str, tmp_path: Path) -> None:
    path = written(tmp_path, target)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    source = open_events(path, size=SIZE)
    with pytest.warns(
        EventFormatWarning, match=r"truncated.*\(byte ([0-9]+)\); the 99 events"
    ) as w:
        found = np.concatenate(list(source))
    np.testing.assert_array_equal(found, EVENTS[:99])
    assert len(w) == 1
    offset = source.damage.offset  # type: ignore[attr-defined]
    assert len(data) - TAILS[target] <= offset <= len(data) - 1
    with pytest.raises(EventFormatError, match="truncated"):
        read_events(path, size=SIZE, strict=True)


def test_strict_gives_the_sound_part_before_the_error(tmp_path: Path) -> None:
    path = written(tmp_path, "a.dat")
    path.write_bytes(path.read_bytes()[:-1])
    got: list[EventArray] = []
    with pytest.raises(EventFormatError, match="truncated"):
        got.extend(open_events(path, strict=True))
    np.testing.assert_array_equal(np.concatenate(got), EVENTS[:99])


def test_text_that_is_cut_within_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b",")])
    with pytest.warns(EventFormatWarning, match="four numbers"):
        events, _ = read_events(path)
    np.testing.assert_array_equal(events, EVENTS[:99])


@pytest.mark.parametrize("target", ["a.raw", "a.raw?format=evt2", "a.dat", "a.es", "a.npz"])
def test_an_event_outside_the_sensor_ends_it(target: str, tmp_path: Path) -> None:
    path = written(tmp_path, target)
    smaller = SensorSize(50, 48)  # event 50 has x = 50
    with pytest.warns(EventFormatWarning, match=r"\(50, 2\) lies outside the 50×48 sensor"):
        events, _ = read_events(path, size=smaller)
    np.testing.assert_array_equal(events, EVENTS[:50])


def test_the_byte_offset_is_that_of_the_event(tmp_path: Path) -> None:
    path = written(tmp_path, "a.dat")
    start = path.stat().st_size - 8 * len(EVENTS)
    with pytest.raises(EventFormatError, match=rf"\(byte {start + 8 * 50}\)"):
        read_events(path, size=SensorSize(50, 48), strict=True)


def test_a_header_that_lies_from_the_first_event_on_is_an_error(tmp_path: Path) -> None:
    events = make_events([1, 2], [60, 1], [1, 1], [0, 0])
    write_events(tmp_path / "a.raw", events, SIZE)
    with pytest.raises(EventFormatError, match="or is not what its name or header says"):
        read_events(tmp_path / "a.raw", size=SensorSize(50, 48))


def test_a_time_that_jumps_or_goes_back_ends_it(tmp_path: Path) -> None:
    for t, message in (
        ([0, 10, 5_000_000_000], "jumps by 5000 s"),
        ([20_000, 30_000, 10_000], "goes back by 20000 µs"),
    ):
        np.save(tmp_path / "a.npy", make_events(t, [0] * 3, [0] * 3, [0] * 3))
        with pytest.warns(EventFormatWarning, match=message):
            events, _ = read_events(tmp_path / "a.npy", size=SIZE)
        assert len(events) == 2


def test_small_steps_back_are_clamped_in_every_format(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", make_events([500, 400, 501], [0] * 3, [0] * 3, [0] * 3))
    source = open_events(tmp_path / "a.npy", size=SIZE)
    assert np.concatenate(list(source))["t"].tolist() == [500, 500, 501]
    assert source.counters.times_clamped == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.raw", b"", "the file is empty"),
        ("empty.npz", b"", "the file is empty"),
        ("prose.raw", b"Dear all,\nthis is a letter.\n", "no Prophesee RAW file"),
        ("prose.csv", b"Dear all,\nthis is a letter.\n", "no column|columns are|expected numbers"),
        ("prose.npz", b"Dear all,\nthis is a letter.\n", "archive is damaged"),
        ("prose.dat", b"Dear all,\nthis is a letter.\n", "no Prophesee DAT file"),
        ("prose.es", b"Dear all,\nthis is a letter.\n", "Event Stream file is missing"),
        ("prose.aedat4", b"Dear all,\nthis is a letter.\n", "AEDAT 4.0 file is missing"),
        ("prose.h5", b"Dear all,\nthis is a letter.\n", "HDF5 file is damaged"),
        ("prose.npy", b"Dear all,\nthis is a letter.\n", "header of the array is damaged"),
        ("prose.xyz", b"Dear all,\nthis is a letter.\n", "neither its content nor its suffix"),
        ("image.raw", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "no Prophesee RAW file"),
        ("numbers.raw", b"1 2 3 0\n2 2 3 1\n", "how large its sensor is"),
        ("percent.raw", b"% evt 3.0\n" + b"% more\n" * 200_000 + b"%", "does not end within"),
        ("old.aedat", b"#!AER-DAT3.0\r\n", "version 3.0"),
        ("es9.es", b"Event Stream\x09\x00\x00\x01\x10\x00\x10\x00", "version 9"),
        ("atis.es", b"Event Stream\x02\x00\x00\x04\x10\x00\x10\x00", "kind color"),
    ],
)
def test_files_that_are_something_else(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EventFormatError, match=message) as caught:
        read_events(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(EventFormatError, match="no such file"):
        open_events(tmp_path / "none.raw")
    with pytest.raises(EventFormatError, match="directory"):
        open_events(tmp_path)
    with pytest.raises(EventFormatError, match="no regular file"):
        open_events("/dev/null")


def test_the_content_goes_before_the_suffix(tmp_path: Path) -> None:
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
        with pytest.raises(EventFormatError, match=r"never loaded|damaged"):
            open_events(tmp_path / name, size=SIZE)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"t": [1], "x": [1], "y": [1]}, "holds height, t, width, x, y; expected"),
        ({"t": [1.5], "x": [1], "y": [1], "p": [1]}, "t is of type float64.*microseconds"),
        ({"t": [1, 2], "x": [1], "y": [1], "p": [1]}, "the arrays differ"),
        ({"t": [[1]], "x": [[1]], "y": [[1]], "p": [[1]]}, "the arrays differ"),
        ({"t": [1], "x": [-1], "y": [1], "p": [1]}, r"\(-1, 1\) lies outside"),
        ({"t": [1], "x": [1], "y": [1], "p": [5]}, "polarity that is neither"),
        ({"t": [2**63], "x": [1], "y": [1], "p": [1]}, "which no clock shows"),
        ({"events": [1, 2]}, "expected .N,. with fields"),
        ({"t": [1], "x": [1], "y": [1], "p": [1], "width": 0}, "0×48"),
        ({"t": [1], "x": [1], "y": [1], "p": [1], "width": 2**40}, "×48 pixels"),
        ({"t": [1], "x": [1], "y": [1], "p": [1], "width": [1, 2]}, "expected one integer"),
    ],
)
def test_archives_that_hold_something_else(
    arrays: dict[str, object], message: str, tmp_path: Path
) -> None:
    contents: dict[str, Any] = {"width": 64, "height": 48, **arrays}
    np.savez(tmp_path / "a.npz", **contents)
    with pytest.raises(EventFormatError, match=message):
        read_events(tmp_path / "a.npz")


def test_an_array_that_claims_to_be_huge_ends_soon(tmp_path: Path) -> None:
    header = "{'descr': [('t', '<i8'), ('x', '<u2'), ('y', '<u2'), ('p', '|u1')], "
    header += "'fortran_order': False, 'shape': (1000000000000,), }"
    text = f"{header:<181}\n".encode()
    head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    (tmp_path / "a.npy").write_bytes(head + EVENTS.tobytes())
    with pytest.warns(EventFormatWarning, match="ends after 100 of 1000000000000 events"):
        events, _ = read_events(tmp_path / "a.npy", size=SIZE)
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
    with pytest.warns(EventFormatWarning, match="damaged"):
        found, _ = read_events(tmp_path / "a.npz")
    assert 65536 <= len(found) < count
    np.testing.assert_array_equal(found[:65536], events[:65536])


def test_a_closed_recording_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, "a.npz")
    with open_events(path) as source:
        pass
    with pytest.raises(ConfigError, match="not closed"):
        list(source)


def test_a_sound_file_gives_no_warning(tmp_path: Path) -> None:
    path = written(tmp_path, "a.raw")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = open_events(path)
        assert sum(map(len, source)) == 100
    assert source.damage is None  # type: ignore[attr-defined]
