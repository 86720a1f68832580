"""The policy `skip`: what cannot be true is left out, all else is delivered, in order."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events import EventArray, make_events, open_events, read_events, write_events
from evface_edge.geometry import SensorSize

SIZE = SensorSize(64, 48)


def sample(count: int, rng: np.random.Generator) -> EventArray:
    t = 2_000_000 + np.cumsum(rng.integers(0, 1000, count))
    x, y = rng.integers(0, SIZE.width, count), rng.integers(0, SIZE.height, count)
    return make_events(t, x, y, rng.integers(0, 2, count))


def damage(events: EventArray, rng: np.random.Generator) -> tuple[EventArray, EventArray]:
    """Events of which 1 % cannot be true, and the others."""
    damaged = events.copy()
    sound = np.ones(len(events), np.bool_)
    # The last ones may be true: nothing follows that contradicts them.
    for block in range(20, len(events) - 20, 100):
        index = block + int(rng.integers(0, 60))
        if index >= len(events) - 20:
            break
        sound[index] = False
        match rng.integers(0, 4):
            case 0:
                damaged["x"][index] = rng.integers(SIZE.width, 2000)
            case 1:
                damaged["y"][index] = rng.integers(SIZE.height, 2000)
            case 2:
                damaged["t"][index] += rng.choice([30_000, 10**6, 10**7, 10**9, 3 * 10**9])
            case _:
                damaged["t"][index] -= rng.choice([30_000, 10**6, 2_000_000])
    return damaged, events[sound]


def as_npy(folder: Path, events: EventArray) -> str:
    np.save(folder / "a.npy", events)
    return f"{folder}/a.npy?width={SIZE.width}&height={SIZE.height}&"


def as_text(folder: Path, events: EventArray) -> str:
    lines = (f"{t} {x} {y} {p}\n" for t, x, y, p in events.tolist())
    (folder / "a.txt").write_text("".join(lines))
    return f"{folder}/a.txt?width={SIZE.width}&height={SIZE.height}&time_unit=us&"


def as_dat(folder: Path, events: EventArray) -> str:
    records = np.empty(len(events), [("t", "<u4"), ("address", "<u4")])
    records["t"] = events["t"] % 2**32
    x, y, p = (events[field].astype(np.uint32) for field in "xyp")
    records["address"] = x | y << 14 | p << 28
    header = f"% Version 2\n% Width {SIZE.width}\n% Height {SIZE.height}\n% end\n".encode()
    (folder / "a.dat").write_bytes(header + b"\x0c\x08" + records.tobytes())
    return f"{folder}/a.dat?"


def as_evt2(folder: Path, events: EventArray) -> str:
    words = []
    for t, x, y, p in events.tolist():
        words += [8 << 28 | (t >> 6) & 0xFFFFFFF, p << 28 | (t & 63) << 22 | x << 11 | y]
    header = f"% evt 2.0\n% geometry {SIZE.width}x{SIZE.height}\n% end\n".encode()
    (folder / "a.raw").write_bytes(header + struct.pack(f"<{len(words)}I", *words))
    return f"{folder}/a.raw?"


def as_evt3(folder: Path, events: EventArray) -> str:
    words = []
    for t, x, y, p in events.tolist():
        time = [8 << 12 | (t >> 12) & 0xFFF, 6 << 12 | t & 0xFFF]
        words += [*time, y, 2 << 12 | p << 11 | x]
    header = f"% evt 3.0\n% geometry {SIZE.width}x{SIZE.height}\n% end\n".encode()
    (folder / "a.raw").write_bytes(header + struct.pack(f"<{len(words)}H", *words))
    return f"{folder}/a.raw?"


@pytest.mark.parametrize("make", [as_npy, as_text, as_dat, as_evt2, as_evt3])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(200, 3000))
@example(seed=1, count=20_000)
def test_all_sound_events_are_delivered(
    make: object, seed: int, count: int, tmp_path: Path
) -> None:
    assert callable(make)
    damaged, sound = damage(sample(count, rng := np.random.default_rng(seed)), rng)
    uri = make(tmp_path, damaged) + "damage=skip"
    with open_events(uri) as source:
        found = np.concatenate(list(source))
    # EVT3 repeats every 16.8 s, EVT2 every 4.8 h: a time wrong by so much may seem sound.
    if make is as_evt3:
        assert len(found) >= len(sound)
        found = found[np.isin(found, sound)]
    np.testing.assert_array_equal(found, sound)
    if make is not as_evt3:
        assert sum(source.counters.damaged.values()) == len(damaged) - len(sound)


def test_stale_times_at_the_start(tmp_path: Path) -> None:
    events = sample(5000, np.random.default_rng(0))
    for shift_us, kind in ((16_000_000, "time"), (-(10**13), "time")):
        stale = events.copy()
        stale["t"][:100] += shift_us
        with open_events(as_npy(tmp_path, stale) + "damage=skip") as source:
            np.testing.assert_array_equal(np.concatenate(list(source)), events[100:])
        assert source.counters.damaged == {kind: 100}


def test_a_late_packet(tmp_path: Path) -> None:
    events = sample(20_000, np.random.default_rng(0))
    order = np.concatenate([np.arange(12_000), np.arange(9000, 9300), np.arange(12_000, 20_000)])
    with open_events(as_npy(tmp_path, events[order]) + "damage=skip") as source:
        np.testing.assert_array_equal(np.concatenate(list(source)), events)
    assert source.counters.damaged == {"late": 300}


def test_short_steps_back_are_kept(tmp_path: Path) -> None:
    events = sample(30_000, np.random.default_rng(0))
    events["t"] = 1000 * np.arange(30_000) // 50
    jitter = np.random.default_rng(1).integers(-900, 1, 30_000)
    events["t"] += np.where(np.arange(30_000) % 10 == 0, jitter, 0)
    broken = events.copy()
    broken["t"][15_000] += 10**7
    with open_events(as_npy(tmp_path, broken) + "damage=skip") as source:
        found = np.concatenate(list(source))
    expected = np.maximum.accumulate(np.delete(events["t"], 15_000))
    np.testing.assert_array_equal(found["t"], expected)
    assert source.counters.damaged == {"time": 1}
    assert source.counters.times_clamped == int((np.delete(events["t"], 15_000) < expected).sum())


def test_lines_that_are_no_event(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n1,2,3,0\n2,x,3,0\n3,2\n4,2,3,7\n5,2,3,1\n")
    with open_events(f"{tmp_path}/a.csv?width=9&height=9&damage=skip") as source:
        assert np.concatenate(list(source))["t"].tolist() == [1, 5]
    assert source.counters.damaged == {"line": 3}


def test_a_file_of_nothing_but_damage_is_an_error(tmp_path: Path) -> None:
    events = sample(100, np.random.default_rng(0))
    np.save(tmp_path / "a.npy", events)
    with pytest.raises(EventFormatError) as raised:
        read_events(f"{tmp_path}/a.npy?width=1&height=1&damage=skip")
    assert raised.value.path == tmp_path / "a.npy"


def test_the_end_of_a_truncated_file(tmp_path: Path) -> None:
    events = sample(5000, np.random.default_rng(0))
    write_events(tmp_path / "a.npz", events, SIZE)
    path = Path(as_dat(tmp_path, events).rstrip("?"))
    path.write_bytes(path.read_bytes()[:-3])
    source = open_events(path, damage="skip")
    with pytest.warns(EventFormatWarning):
        found = np.concatenate(list(source))
    np.testing.assert_array_equal(found, events[:-1])
    assert source.damage is not None  # type: ignore[attr-defined]


def test_the_policy_has_a_name(tmp_path: Path) -> None:
    write_events(tmp_path / "a.npz", sample(10, np.random.default_rng(0)), SIZE)
    for uri, policy in ((f"{tmp_path}/a.npz?damage=none", None), (f"{tmp_path}/a.npz", "none")):
        with pytest.raises(ConfigError) as raised:
            open_events(uri, damage=policy)  # type: ignore[arg-type]
        assert (raised.value.field, raised.value.value) == ("damage", "none")
