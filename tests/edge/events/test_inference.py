"""What files leave open, in the layouts of the programs that write them: read right, or refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import (
    ConfigError,
    EventFormatError,
    EventFormatWarning,
    InputTypeError,
)
from evface_edge.events import EventArray, make_events, open_events, read_events, write_events
from evface_edge.events.formats.inference import TimeSample, column_order, time_unit
from evface_edge.events.formats.options import ReadOptions
from evface_edge.geometry import SensorSize

SIZE = SensorSize(346, 260)
NAMED = "width=346&height=260"


def sample(size: SensorSize = SIZE, count: int = 5000, step_us: int = 30) -> EventArray:
    """Events with every corner of the sensor."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, size.width, count), rng.integers(0, size.height, count)
    x[:2], y[:2] = (0, size.width - 1), (size.height - 1, 0)
    t = 1000 + np.cumsum(rng.integers(0, step_us, count))
    return make_events(t, x, y, rng.integers(0, 2, count))


EVENTS = sample()


def facts(uri: str | Path) -> dict[str, tuple[str, str]]:
    return {fact.name: (str(fact.value), fact.source) for fact in open_events(uri).facts}  # type: ignore[attr-defined]


def hdf5(path: Path, **contents: Any) -> Path:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(path, "w") as file:
        for name, value in contents.items():
            file[name.replace("__", "/")] = value
    return path


def table(order: str, dtype: str = "u4") -> Any:
    return np.stack([EVENTS[field].astype(dtype) for field in order], axis=1)


# Order of columns


def test_hdf5_of_v2e(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", events=table("txyp"))
    np.testing.assert_array_equal(read_events(f"{path}?{NAMED}")[0], EVENTS)
    found = facts(f"{path}?{NAMED}")
    assert found["columns"] == ("txyp", "inferred")
    assert found["time unit"] == ("us", "stated")
    assert found["sensor size"] == ("346×260", "given")


@pytest.mark.parametrize("order", ["txyp", "xytp", "xypt", "txpy"])
def test_tables_without_names(order: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", table(order, "i8"))
    np.savez(tmp_path / "a.npz", events=table(order, "i8"))
    np.savetxt(tmp_path / "a.txt", table(order, "i8"), "%d")
    for name in ("a.npy", "a.npz", "a.txt"):
        np.testing.assert_array_equal(read_events(f"{tmp_path}/{name}?{NAMED}")[0], EVENTS)


def test_a_table_whose_order_is_open_is_refused(tmp_path: Path) -> None:
    rows = np.array([[1, 2, 3, 0], [4, 5, 6, 1]])
    path = hdf5(tmp_path / "a.h5", events=rows)
    with pytest.raises(EventFormatError) as raised:
        open_events(f"{path}?{NAMED}")
    assert raised.value.field == "columns"
    assert {"txyp", "xytp"} <= set(raised.value.value)  # type: ignore[call-overload]
    events, _ = read_events(f"{path}?{NAMED}&columns=xytp")
    assert events.tolist() == [(3, 1, 2, 0), (6, 4, 5, 1)]


def test_a_few_damaged_rows_do_not_change_the_order() -> None:
    rows = table("xytp", "i8")
    rows[::200] = 5000, -7, 10**12, 9
    assert column_order(Path("a"), rows, ReadOptions(size=SIZE)).value == "xytp"


def test_y_before_x_only_if_nothing_else_fits() -> None:
    assert column_order(Path("a"), table("tyxp"), ReadOptions(size=SIZE)).value == "tyxp"


# Unit of time


def test_npz_of_esim(tmp_path: Path) -> None:
    """t in ns, p of -1 and 1: µs are as likely, so the user decides."""
    events = sample(step_us=1000)
    x, y, p = (events[field].astype("i8") for field in "xyp")
    np.savez(tmp_path / "a.npz", t=events["t"], x=x, y=y, p=2 * p - 1)
    with pytest.raises(EventFormatError) as raised:
        open_events(f"{tmp_path}/a.npz?{NAMED}")
    assert (raised.value.field, raised.value.value) == ("time_unit", ("us", "ns"))
    found, _ = read_events(f"{tmp_path}/a.npz?{NAMED}&time_unit=ns")
    assert found["t"].tolist() == [(t + 500) // 1000 for t in events["t"].tolist()]
    found, _ = read_events(f"{tmp_path}/a.npz?{NAMED}&time_unit=us")
    np.testing.assert_array_equal(found, events)


def test_nanoseconds_of_today_are_exact(tmp_path: Path) -> None:
    t = 1_796_000_000_123_456_000 + 1000 * np.arange(5) + 1
    np.savez(tmp_path / "a.npz", t=t, x=[1] * 5, y=[1] * 5, p=[1] * 5)
    found, _ = read_events(f"{tmp_path}/a.npz?{NAMED}&time_unit=ns")
    assert found["t"].tolist() == (t // 1000).tolist()


@pytest.mark.parametrize(("scale", "unit"), [(1.0, "us"), (1e-6, "s")])
@pytest.mark.parametrize("start_us", [0, 1_796_000_000_000_000])
def test_hdf5_with_times_as_floating_point_numbers(
    scale: float, unit: str, start_us: int, tmp_path: Path
) -> None:
    columns = {f"events__{field}": EVENTS[field] for field in "xyp"}
    t = EVENTS["t"] + start_us
    path = hdf5(tmp_path / "a.h5", events__t=t * scale, **columns)
    assert read_events(f"{path}?{NAMED}")[0]["t"].tolist() == t.tolist()
    assert facts(f"{path}?{NAMED}")["time unit"] == (unit, "inferred")


def test_text_in_seconds_whose_first_ones_are_whole(tmp_path: Path) -> None:
    """Events of images come in clumps: those of the first second have the times 0 and 1."""
    t = np.concatenate([np.zeros(9000), np.ones(9000), 1 + np.arange(1, 2001) / 1000])
    rows = [f"{now:g} {k % 346} {k % 260} {k % 2}\n" for k, now in enumerate(t)]
    (tmp_path / "a.txt").write_text("".join(rows))
    found, _ = read_events(f"{tmp_path}/a.txt?{NAMED}")
    assert found["t"].tolist() == np.rint(t * 1e6).astype(int).tolist()


def test_a_fraction_after_whole_times_is_never_rounded_away(tmp_path: Path) -> None:
    """Neither the first nor the last 64 KiB show that the unit is not µs."""
    rows = [f"{k} 1 1 0\n" for k in range(20_000)]
    rows[10_000] = "9999.5 1 1 0\n"
    (tmp_path / "a.txt").write_text("".join(rows))
    with pytest.raises(EventFormatError) as raised:
        read_events(f"{tmp_path}/a.txt?{NAMED}")
    assert (raised.value.field, raised.value.offset) == ("line", (sum(map(len, rows[:10_000]))))
    assert len(read_events(f"{tmp_path}/a.txt?{NAMED}&time_unit=us")[0]) == 20_000


@pytest.mark.parametrize(
    ("t", "unit"),
    [
        (np.arange(5000) * 15, "us"),
        (np.arange(5000) * 15 / 1e6, "s"),
        (np.arange(5000) // 2000 * 1.0, "s"),
        (np.arange(5000) * 10**10, "ns"),
    ],
)
def test_units_that_only_one_reading_allows(t: Any, unit: str) -> None:
    fact = time_unit(Path("a"), TimeSample.of(t, t[-33:], len(t)), ReadOptions())
    assert fact.value == unit
    t = t.copy()
    t[[70, 2000]] = t[[70, 2000]] * 10**6 + 10**12  # two damaged ones change nothing
    fact = time_unit(Path("a"), TimeSample.of(t, t[-33:], len(t)), ReadOptions())
    assert fact.value == unit


def test_units_that_two_readings_allow_are_refused() -> None:
    t = np.arange(5000) * 700
    with pytest.raises(EventFormatError) as raised:
        time_unit(Path("a"), TimeSample.of(t, t[-33:], len(t)), ReadOptions())
    assert raised.value.value == ("us", "ns")


# Chip, word order, stream

V2E = (
    b"#!AER-DAT2.0\r\n# This is a raw AE data file created by AEDat2Output in v2e (see "
    b"https://github.com/SensorsINI/v2e) as specified at https://inivation.com\r\n"
    b"# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event\r\n"
    b"# Timestamps tick is 1 us\r\n# User name: a\r\n"
)


def v2e(path: Path, size: SensorSize, events: EventArray) -> Path:
    """As v2e's output/aedat2_output.py writes it."""
    shifts = (1, 11, 0) if size == SensorSize(640, 480) else (12, 22, 11)
    x, y = (
        side - 1 - events[f].astype("u4") for side, f in ((size.width, "x"), (size.height, "y"))
    )
    records = np.empty(len(events), [("address", ">u4"), ("t", ">i4")])
    records["address"] = x << shifts[0] | y << shifts[1] | events["p"].astype("u4") << shifts[2]
    records["t"] = events["t"]
    path.write_bytes(V2E + records.tobytes())
    return path


@pytest.mark.parametrize("size", [SensorSize(346, 260), SensorSize(640, 480)])
def test_aedat2_of_v2e(size: SensorSize, tmp_path: Path) -> None:
    events = sample(size)
    path = v2e(tmp_path / "a.aedat", size, events)
    found, sensor = read_events(path)
    assert sensor == size
    np.testing.assert_array_equal(found, events)
    assert facts(path)["chip"][1] == "inferred"


def test_aedat2_whose_chip_is_open_is_refused(tmp_path: Path) -> None:
    small = sample(SensorSize(240, 180))
    path = v2e(tmp_path / "a.aedat", SensorSize(240, 180), small)
    with pytest.raises(EventFormatError) as raised:
        open_events(path)
    assert (raised.value.field, raised.value.value) == ("chip", ("davis240", "davis346"))
    np.testing.assert_array_equal(read_events(f"{path}?chip=davis240")[0], small)
    with pytest.raises(ConfigError) as wrong:
        open_events(f"{path}?chip=cochlea")
    assert wrong.value.field == "chip"


def evt21(path: Path, header: str, *, legacy: bool) -> Path:
    words, high = [], -1
    for t, x, y, p in EVENTS.tolist():
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 60 | high << 32)
        words.append((p << 28 | (t & 63) << 22 | x << 11 | y) << 32 | 1)
    if legacy:
        words = [word >> 32 | (word & 0xFFFFFFFF) << 32 for word in words]
    lines = f"% evt 2.1\n% geometry 346x260\n{header}% end\n".encode()
    path.write_bytes(lines + struct.pack(f"<{len(words)}Q", *words))
    return path


@pytest.mark.parametrize(
    ("header", "legacy", "source"),
    [
        ("% endianness legacy\n", True, "stated"),
        ("% endianness little\n", False, "stated"),
        ("% integrator_name Prophesee\n% system_ID 48\n", True, "inferred"),
        ("", True, "inferred"),
        ("", False, "inferred"),
    ],
)
def test_evt21_in_both_word_orders(header: str, legacy: bool, source: str, tmp_path: Path) -> None:
    path = evt21(tmp_path / "a.raw", header, legacy=legacy)
    np.testing.assert_array_equal(read_events(path)[0], EVENTS)
    assert facts(path)["word order"] == ("legacy" if legacy else "little", source)


def test_words_that_give_no_event_warn(tmp_path: Path) -> None:
    path = evt21(tmp_path / "a.raw", "", legacy=True)
    with pytest.warns(EventFormatWarning):
        assert len(read_events(f"{path}?endianness=little")[0]) == 0


@pytest.mark.parametrize("first", [0x0025, 0x2025])
def test_a_header_without_end_before_a_percent_sign(first: int, tmp_path: Path) -> None:
    write_events(tmp_path / "a.raw", EVENTS, SIZE)
    header, _, words = (tmp_path / "a.raw").read_bytes().partition(b"% end\n")
    (tmp_path / "a.raw").write_bytes(header + struct.pack("<H", first) + words)
    np.testing.assert_array_equal(read_events(tmp_path / "a.raw")[0], EVENTS)


def test_aedat4_of_two_cameras(aedat4: Any, tmp_path: Path) -> None:
    right = sample(SensorSize(128, 96))
    streams = [("left", SIZE, EVENTS), ("right", SensorSize(128, 96), right)]
    (tmp_path / "a.aedat4").write_bytes(aedat4(streams))
    with pytest.raises(EventFormatError) as raised:
        open_events(tmp_path / "a.aedat4")
    assert (raised.value.field, raised.value.value) == ("stream", ("0", "1"))
    for number, (_, size, events) in enumerate(streams):
        found, sensor = read_events(f"{tmp_path}/a.aedat4?stream={number}")
        assert sensor == size
        np.testing.assert_array_equal(found, events)
    for wrong in ("2", "left"):
        with pytest.raises(ConfigError) as refused:
            open_events(f"{tmp_path}/a.aedat4?stream={wrong}")
        assert refused.value.field == "stream"
    (tmp_path / "b.aedat4").write_bytes(aedat4(streams[1:]))
    np.testing.assert_array_equal(read_events(tmp_path / "b.aedat4")[0], right)


def test_hdf5_of_two_cameras(tmp_path: Path) -> None:
    columns = {f"prophesee__{s}__{f}": EVENTS[f] for s in ("left", "right") for f in "txyp"}
    columns["prophesee__right__t"] = EVENTS["t"] + 7
    path = hdf5(tmp_path / "a.h5", **columns)
    with pytest.raises(EventFormatError) as raised:
        open_events(f"{path}?{NAMED}")
    assert raised.value.value == ("prophesee/left", "prophesee/right")
    found, _ = read_events(f"{path}?{NAMED}&group=prophesee/right")
    assert found["t"].tolist() == (EVENTS["t"] + 7).tolist()


def test_hdf5_with_columns_of_one_column(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", **{f"events__{f}": EVENTS[f][:, None] for f in "txyp"})
    np.testing.assert_array_equal(read_events(f"{path}?{NAMED}")[0], EVENTS)


# Options, and columns in memory


@pytest.mark.parametrize(
    "option", ["columns=txy", "time_unit=hours", "endianness=big", "version=3", "stream=x"]
)
def test_options_are_checked_where_they_are_made(option: str) -> None:
    name, _, value = option.partition("=")
    with pytest.raises(ConfigError) as raised:
        ReadOptions.parse({name: value}, None, "a", (name,))
    assert raised.value.field == name


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_and_durations_state_their_unit(unit: str) -> None:
    us = np.array([1_796_000_000_000_000, 1_796_000_003_000_000])
    for kind in "mM":
        t = us.astype(f"{kind}8[us]").astype(f"{kind}8[{unit}]")
        assert make_events(t, [1, 1], [1, 1], [0, 1])["t"].tolist() == us.tolist()


@pytest.mark.parametrize(
    ("t", "x"),
    [
        ([0.1, 0.2], [1, 1]),
        ([1.0, np.nan], [1, 1]),
        ([1, 2], [1, 65541]),
        ([1, 2], [-1, 1]),
        ([1, 2], [3.9, 1]),
        (np.array([1, 2**63 + 5], np.uint64), [1, 1]),
        (np.array([5, "NaT"], "m8[us]"), [1, 1]),
    ],
)
def test_numbers_that_an_event_cannot_hold_are_refused(t: Any, x: Any) -> None:
    with pytest.raises(EventFormatError) as raised:
        make_events(t, x, [1, 1], [0, 1])
    assert raised.value.field in "tx"


def test_words_are_no_columns() -> None:
    with pytest.raises(InputTypeError):
        make_events(["a"], [1], [1], [1])
