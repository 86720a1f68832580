"""Byte strings made by hand from the specifications of EVT2, EVT2.1, EVT3 and DAT."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from evface_edge.errors import EventFormatError
from evface_edge.events import EventArray, open_events, read_events
from evface_edge.events.formats import reading
from evface_edge.geometry import SensorSize


def raw(path: Path, header: str, words: list[int], code: str) -> Path:
    lines = "".join(f"% {line}\n" for line in header.split("|"))
    path.write_bytes(lines.encode() + struct.pack(f"<{len(words)}{code}", *words))
    return path


def rows(events: EventArray) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in event) for event in events]


def test_evt2(tmp_path: Path) -> None:
    words = [
        0x0000_0001,  # an event before the first time: skipped
        0x8000_0010,  # time high 16: 16 × 64 = 1024 µs
        0x10C0_1803,  # on, + 3 µs, x = 3, y = 3
        0x0FFF_FFFF & (5 << 22 | 639 << 11 | 479),  # off, + 5 µs
        0xA000_0001,  # trigger
        0xE000_0000,  # vendor's own
        0x8FFF_FFFF,  # the last time before the rollover: a step the guard finds too long
    ]
    path = raw(tmp_path / "a.raw", "evt 2.0|geometry 640x480|end", words[:-1], "I")
    events, size = read_events(path)
    assert size == SensorSize(640, 480)
    assert rows(events) == [(1027, 3, 3, 1), (1029, 639, 479, 0)]


def test_evt2_rolls_over_at_2_34(tmp_path: Path) -> None:
    words = [0x8FFF_FFFF, 0x0FC0_0000, 0x8000_0000, 0x1000_0000]
    path = raw(tmp_path / "a.raw", "evt 2.0|geometry 640x480", words, "I")
    assert rows(read_events(path)[0]) == [(2**34 - 1, 0, 0, 0), (2**34, 0, 0, 1)]


@pytest.mark.parametrize("legacy", [False, True])
def test_evt21(legacy: bool, tmp_path: Path) -> None:
    words = [
        0x8000_0010_0000_0000,  # time high 16
        0x10C0_1803_0000_0005,  # on, + 3 µs, x from 3, y = 3, pixels 0 and 2
        0x0000_0000_8000_0000,  # off, + 0 µs, x = 31: 3 µs back, within what is clamped
        0xA000_0000_0000_0000,
    ]
    header = "evt 2.1|format EVT21;height=320;width=320|end"
    if legacy:
        words = [word >> 32 | (word & 0xFFFF_FFFF) << 32 for word in words]
        header = "evt 2.1|format EVT21;endianness=legacy;height=320;width=320|end"
    path = raw(tmp_path / "a.raw", header, words, "Q")
    source = open_events(path)
    assert source.size == SensorSize(320, 320)
    events = np.concatenate(list(source))
    assert rows(events) == [(1027, 3, 3, 1), (1027, 5, 3, 1), (1027, 31, 0, 0)]
    assert source.counters.times_clamped == 1


def test_evt3(tmp_path: Path) -> None:
    words = [
        0x2005,  # an event before time and row: skipped
        0x8001,  # time high 1: 4096 µs
        0x2005,  # still no row: skipped
        0x6002,  # time low 2
        0x0007,  # row 7
        0x2805,  # x = 5, on
        0x3800 | 16,  # base x = 16, on
        0x4000 | 0b1000_0000_0001,  # 12 pixels: 16 and 27
        0x5000 | 0b0000_0010,  # 8 pixels from 28: 29
        0x3000 | 100,  # base x = 100, off
        0x5001,  # 100
        0xA000,  # trigger
        0x7000,  # continued
        0x1009,  # the row of an exposure measurement
        0x2001,  # is no change of light
        0x0009,  # row 9
        0x8002,  # time high 2: the low half is 0 until it comes
        0x2009,
        0x6001,
        0x2809,
    ]
    path = raw(tmp_path / "a.raw", "evt 3.0|format EVT3;height=720;width=1280|end", words, "H")
    events, size = read_events(path)
    assert size == SensorSize(1280, 720)
    assert rows(events) == [
        (4098, 5, 7, 1),
        (4098, 16, 7, 1),
        (4098, 27, 7, 1),
        (4098, 29, 7, 1),
        (4098, 100, 7, 0),
        (8192, 9, 9, 0),
        (8193, 9, 9, 1),
    ]


def test_evt3_rolls_over_at_2_12_and_2_24(tmp_path: Path) -> None:
    words = [0x0000, 0x8FFE, 0x6FFF, 0x2000, 0x8FFF, 0x6000, 0x2000]
    words += [0x6FFF, 0x2000, 0x8000, 0x6000, 0x2000]
    path = raw(tmp_path / "a.raw", "evt 3.0|geometry 640x480", words, "H")
    times = read_events(path)[0]["t"].tolist()
    assert times == [0xFFEFFF, 0xFFF000, 0xFFFFFF, 0x1000000]


def test_evt3_steps_back_are_clamped_or_damage(tmp_path: Path) -> None:
    header = "evt 3.0|geometry 640x480|end"
    words = [0x0000, 0x8001, 0x6020, 0x2000, 0x6010, 0x2001, 0x6030, 0x2002]
    source = open_events(raw(tmp_path / "a.raw", header, words, "H"))
    assert np.concatenate(list(source))["t"].tolist() == [4128, 4128, 4144]
    assert source.counters.times_clamped == 1
    words = [0x0000, 0x8009, 0x6020, 0x2000, 0x8008, 0x2001]
    path = raw(tmp_path / "b.raw", header, words, "H")
    with pytest.raises(EventFormatError, match="4128 µs") as raised:
        read_events(path)
    assert raised.value.offset == path.stat().st_size - 2


def test_words_of_unknown_kind_are_counted(tmp_path: Path) -> None:
    words = [0x0000, 0x8001, 0x9000, 0xB000, 0x2000]
    source = open_events(raw(tmp_path / "a.raw", "evt 3.0|geometry 640x480", words, "H"))
    assert sum(map(len, source)) == 1
    assert source.counters.bytes_skipped == 4


@pytest.mark.parametrize("chunk_bytes", [2, 6, 16, 1 << 20])
def test_the_decoder_state_continues_across_chunks(
    chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", chunk_bytes)
    words = [0x8001, 0x6002, 0x0007, 0x3810, 0x4001, 0x4001, 0x5001, 0x2805]
    path = raw(tmp_path / "a.raw", "evt 3.0|geometry 640x480|end", words, "H")
    assert [(x, y) for _, x, y, _ in rows(read_events(path)[0])] == [
        (16, 7),
        (28, 7),
        (40, 7),
        (5, 7),
    ]


def test_packets_of_full_vectors_are_bounded(tmp_path: Path) -> None:
    words = [0x8001, 0x6002, 0x0007] + [0x3800, 0x4FFF] * 20_000  # 240,000 events
    path = raw(tmp_path / "a.raw", "evt 3.0|geometry 640x480|end", words, "H")
    packets = list(open_events(path))
    assert max(map(len, packets)) <= 65536
    assert sum(map(len, packets)) == 240_000


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("evt 3.0|geometry 640x480|end", (640, 480)),
        ("format EVT3;height=11;width=22|end", (22, 11)),
        ("evt 3.0|plugin_name hal_plugin_gen41_evk3", (1280, 720)),
        ("evt 3.0|plugin_name hal_plugin_gen3_fx3", (640, 480)),
        ("evt 3.0|sensor_name IMX636", (1280, 720)),
        ("evt 3.0|generation 4.2|sensor_generation 4.2", (1280, 720)),
        ("evt 3.0|sensor_name GenX320", (320, 320)),
    ],
)
def test_the_size_comes_from_the_header(header: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = raw(tmp_path / "a.raw", header, [0x8001], "H")
    assert open_events(path).size == SensorSize(*size)


def test_a_given_size_has_priority(tmp_path: Path) -> None:
    path = raw(tmp_path / "a.raw", "evt 3.0|geometry 640x480", [0x8001], "H")
    assert open_events(f"{path}?width=1280&height=720").size == SensorSize(1280, 720)
    assert open_events(path, size=SensorSize(9, 9)).size == SensorSize(9, 9)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("evt 4.0|geometry 640x480", "EVT 4.0"),
        ("format EVT4;height=1;width=1", "EVT4"),
        ("geometry 640x480", "encoding None"),
        ("evt 3.0|geometry 0x480", "0×480"),
        ("evt 3.0|geometry 99999x480", "99999×480"),
        ("evt 3.0", r"a.raw\?width="),
        ("format EVT21;endianness=middle;height=1;width=1", "'middle'"),
    ],
)
def test_impossible_headers(header: str, message: str, tmp_path: Path) -> None:
    path = raw(tmp_path / "a.raw", header, [0x8001], "Q")
    with pytest.raises(EventFormatError, match=message):
        open_events(path)


def dat(path: Path, header: str, kind: bytes, records: list[tuple[int, int]]) -> Path:
    lines = "".join(f"% {line}\n" for line in header.split("|"))
    body = b"".join(struct.pack("<II", t, address) for t, address in records)
    path.write_bytes(lines.encode() + kind + body)
    return path


def test_dat_version_2(tmp_path: Path) -> None:
    records = [(5, 3 | 7 << 14 | 1 << 28), (2**32 - 1, 1279 | 719 << 14), (0, 0)]
    path = dat(tmp_path / "a.dat", "Version 2|Width 1280|Height 720", b"\x0c\x08", [records[0]])
    assert rows(read_events(path)[0]) == [(5, 3, 7, 1)]
    path = dat(tmp_path / "b.dat", "Version 2|Width 1280|Height 720", b"\x00\x08", records[1:])
    assert rows(read_events(path)[0]) == [(2**32 - 1, 1279, 719, 0), (2**32, 0, 0, 0)]


def test_dat_version_1(tmp_path: Path) -> None:
    path = dat(tmp_path / "a.dat", "Version 1", b"\x00\x08", [(5, 303 | 239 << 9 | 1 << 17)])
    events, _ = read_events(f"{path}?width=304&height=240")
    assert rows(events) == [(5, 303, 239, 1)]


def test_dat_of_other_kinds(tmp_path: Path) -> None:
    path = dat(tmp_path / "a.dat", "Version 2|Width 9|Height 9", b"\x0e\x08", [(0, 0)])
    with pytest.raises(EventFormatError, match="type 14 with 8 bytes"):
        open_events(path)
    path = dat(tmp_path / "b.dat", "Version 3|Width 9|Height 9", b"\x0c\x08", [(0, 0)])
    with pytest.raises(EventFormatError, match="'3'"):
        open_events(path)
