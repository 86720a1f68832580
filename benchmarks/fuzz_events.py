#!/usr/bin/env python3
"""Fuzz test of the readers: recordings of every format with random damage.

    python -m benchmarks fuzz_events --mutants 2000 --format evt3

Reading a mutant must end within a time limit that depends on its size. It must raise
EventFormatError, or yield events within the sensor, in order of time and without long gaps. If it
stops early, there must be one warning with the byte offset, and strict reading must raise. Mutants
that violate this are kept and listed, and the exit code is 1. Memory is limited to 4 GiB. Native
libraries read HDF5 and ROS bags: after a crash, the last mutant is in the folder.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import re
import resource
import signal
import struct
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events import (
    EVENT_DTYPE,
    EventArray,
    EventWriter,
    make_events,
    open_events,
    write_events,
)
from evface_edge.events.damage import Damage
from evface_edge.events.limits import MAX_STEP_FORWARD_US
from evface_edge.geometry import SensorSize

#: CPU time per mutant and per byte, and wall-clock time per mutant.
LIMIT_S, LIMIT_S_PER_BYTE, LIMIT_WALL_S = 5.0, 2e-5, 120
LIMIT_MEMORY_BYTES = 4 << 30
SIZE = SensorSize(128, 96)


def sample_events(rng: np.random.Generator, count: int = 3000) -> EventArray:
    t = 1_000_000 + np.cumsum(rng.integers(0, 30, count))
    x, y = rng.integers(0, SIZE.width, count), rng.integers(0, SIZE.height, count)
    return make_events(t, x, y, rng.integers(0, 2, count))


def _written_as(name: str) -> Callable[[EventArray, Path], str]:
    def seed(events: EventArray, folder: Path) -> str:
        with EventWriter(f"{folder}/{name}", SIZE) as writer:
            for part in np.array_split(events, 7):
                writer.write(part)
        return writer.path.name

    return seed


def _evt21(events: EventArray, folder: Path) -> str:
    words, high = [], -1
    for event in events:
        t = int(event["t"])
        if t >> 6 != high:
            high = t >> 6
            words.append((0x8 << 60) | (high << 32))
        upper = int(event["p"]) << 28 | (t & 63) << 22 | int(event["x"]) << 11 | int(event["y"])
        words.append(upper << 32 | 1)
    header = f"% evt 2.1\n% format EVT21;height={SIZE.height};width={SIZE.width}\n% end\n"
    (folder / "evt21.raw").write_bytes(header.encode() + struct.pack(f"<{len(words)}Q", *words))
    return "evt21.raw"


def _aedat2(events: EventArray, folder: Path) -> str:
    records = np.empty(len(events), [("address", ">u4"), ("t", ">i4")])
    records["address"] = (127 - events["x"]) << 1 | (127 - events["y"]) << 8 | 1 - events["p"]
    records["t"] = events["t"]
    header = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
    (folder / "two.aedat").write_bytes(header + records.tobytes())
    return "two.aedat"


def _aedat3(events: EventArray, folder: Path) -> str:
    out = io.BytesIO()
    out.write(b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n")
    for part in np.array_split(events, 7):
        out.write(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(part), len(part), len(part)))
        records = np.empty(len(part), [("data", "<u4"), ("t", "<i4")])
        x, y, p = (part[field].astype(np.uint32) for field in "xyp")
        records["data"] = x << 17 | y << 2 | p << 1 | 1
        records["t"] = part["t"]
        out.write(records.tobytes())
    (folder / "three.aedat").write_bytes(out.getvalue())
    return "three.aedat"


def _hdf5(events: EventArray, folder: Path) -> str:
    import h5py

    with h5py.File(folder / "small.h5", "w") as file:
        file.attrs["width"], file.attrs["height"] = SIZE.width, SIZE.height
        for field in "txyp":
            file.create_dataset(f"events/{field}", data=events[field], chunks=(500,), compression=1)
    return "small.h5"


_EVENT = "uint16 x\nuint16 y\ntime ts\nbool polarity\n"
_LIST = "std_msgs/Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n"
_PACKET = """std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""


def _ros1(events: EventArray, folder: Path) -> str:
    """A ROS 1 bag with lists of events."""
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    kind = "dvs_msgs/msg/EventArray"
    store.register(get_types_from_msg(_EVENT, "dvs_msgs/msg/Event"))
    store.register(get_types_from_msg(_LIST, kind))
    types = store.types
    time = types["builtin_interfaces/msg/Time"]
    with Writer(folder / "one.bag") as writer:
        connection = writer.add_connection("/dvs/events", kind, typestore=store)
        for part in np.array_split(events[:1000], 5):
            listed = [
                types["dvs_msgs/msg/Event"](
                    x=int(event["x"]),
                    y=int(event["y"]),
                    ts=time(*divmod(int(event["t"]) * 1000, 10**9)),
                    polarity=bool(event["p"]),
                )
                for event in part
            ]
            header = types["std_msgs/msg/Header"](seq=1, stamp=time(1, 2), frame_id="dvs")
            message = types[kind](
                header=header, height=SIZE.height, width=SIZE.width, events=listed
            )
            writer.write(connection, int(part["t"][-1]), store.serialize_ros1(message, kind))
    return "one.bag"


def _ros2(suffix: str, encoding: str) -> Callable[[EventArray, Path], str]:
    """A ROS 2 bag with packets of EVT3 or mono."""

    def seed(events: EventArray, folder: Path) -> str:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore

        store = get_typestore(Stores.ROS2_HUMBLE)
        kind = "event_camera_msgs/msg/EventPacket"
        store.register(get_types_from_msg(_PACKET, kind))
        types = store.types
        plugin = StoragePlugin.MCAP if suffix == "mcap" else StoragePlugin.SQLITE3
        with Writer(folder / f"two-{suffix}", version=9, storage_plugin=plugin) as writer:
            connection = writer.add_connection("/events", kind, typestore=store)
            for number, part in enumerate(np.array_split(events[:1500], 6)):
                stamp = types["builtin_interfaces/msg/Time"](1, number)
                message = types[kind](
                    header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera"),
                    height=SIZE.height,
                    width=SIZE.width,
                    seq=number,
                    time_base=int(part["t"][0]) * 1000,
                    encoding=encoding,
                    is_bigendian=False,
                    events=np.frombuffer(_body(part, encoding, folder), np.uint8),
                )
                writer.write(connection, number, bytes(store.serialize_cdr(message, kind)))
        (folder / f"two-{suffix}" / f"two-{suffix}.{suffix}").rename(folder / f"two.{suffix}")
        return f"two.{suffix}"

    return seed


def _body(events: EventArray, encoding: str, folder: Path) -> bytes:
    if encoding == "mono":
        t, x, y, p = (events[field].astype(np.uint64) for field in "txyp")
        dt = (t - t[0]) * np.uint64(1000)
        words = p << np.uint64(63) | y << np.uint64(48) | x << np.uint64(32) | dt
        return bytes(words.tobytes())
    write_events(folder / "words.raw", events, SIZE)
    data: bytes = (folder / "words.raw").read_bytes().partition(b"% end\n")[2]
    return data


#: Format, perhaps with a variant → function that writes a valid file, and options to read it.
SEEDS: dict[str, tuple[Callable[[EventArray, Path], str], str]] = {
    "npz": (_written_as("a.npz"), ""),
    "npy": (_written_as("a.npy"), f"?width={SIZE.width}&height={SIZE.height}"),
    "evt2": (_written_as("two.raw?format=evt2"), ""),
    "evt21": (_evt21, ""),
    "evt3": (_written_as("three.raw"), ""),
    "dat": (_written_as("a.dat"), ""),
    "es": (_written_as("a.es"), ""),
    "csv": (_written_as("a.csv"), ""),
    "aedat2": (_aedat2, ""),
    "aedat3": (_aedat3, ""),
    "aedat4": (_written_as("lz4.aedat4"), ""),
    "aedat4-zstd": (_written_as("zstd.aedat4?compression=zstd"), ""),
    "hdf5": (_hdf5, ""),
    "hdf5-plain": (_written_as("plain.h5?compression=none"), ""),
    "hdf5-ecf": (_written_as("table.hdf5?layout=metavision"), ""),
    "bag": (_ros1, ""),
    "db3": (_ros2("db3", "evt3"), ""),
    "mcap": (_ros2("mcap", "mono"), ""),
}
#: Warnings about a message in SQLite have no byte offset, but the number of the message.
WITHOUT_OFFSET = ("db3",)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Makes one to four random changes: in 30 % of the cases near the start, or else anywhere."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not out:
            break
        limit = len(out) if rng.random() < 0.7 else min(len(out), 300)
        at = int(rng.integers(0, limit))
        length = int(rng.integers(1, 64))
        match rng.integers(0, 7):
            case 0 | 1:
                out[at] ^= 1 << int(rng.integers(0, 8))
            case 2:
                out[at : at + length] = rng.bytes(length)
            case 3:
                del out[at:]
            case 4:
                del out[at : at + length]
            case 5:
                out[at:at] = out[at : at + length]
            case _:
                fill = bytes([int(rng.choice([0, 0xFF]))])
                out[at : at + length] = fill * len(out[at : at + length])
    return bytes(out)


class Violation(Exception):
    """A reader did something that it must not do."""


@contextmanager
def time_limit(size_bytes: int) -> Iterator[None]:
    cpu_s = LIMIT_S + size_bytes * LIMIT_S_PER_BYTE

    def stop(number: int, frame: FrameType | None) -> None:
        raise Violation(f"took more than {cpu_s:.1f} s of a processor or {LIMIT_WALL_S} s")

    kinds = (signal.SIGPROF, signal.SIGALRM)
    before = [signal.signal(kind, stop) for kind in kinds]
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_WALL_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def check(path: Path, options: str = "", *, needs_offset: bool = False) -> str:
    """Reads one file with every policy; returns "whole", "prefix" or "refused".

    Args:
        needs_offset: whether a warning must have a byte offset.

    Raises:
        Violation: the reader did something else.
    """
    source = f"{path}{options}"
    skipped, _ = _try(source, path, "skip")
    events, issued = _try(source, path, "salvage")
    if events is None:
        return "refused"
    if not issued or not events:
        return "whole"
    if skipped is None:
        raise Violation("the policy skip refuses what salvage reads")
    if needs_offset and not re.search(r"\(byte [0-9]+\)", issued[0]):
        raise Violation(f"a warning without an offset: {issued[0]}")
    if _try(source, path, "strict")[0] is not None:
        raise Violation("strict reading did not raise")
    return "prefix"


def _try(source: str, path: Path, damage: Damage) -> tuple[int | None, list[str]]:
    """The number of events, None if the file is refused; and the warnings."""
    with warnings.catch_warnings(record=True) as issued, time_limit(path.stat().st_size):
        warnings.simplefilter("always")
        try:
            events: int | None = _read(source, damage)
        except EventFormatError as error:
            if "\n" in str(error):
                raise Violation(f"{damage}: a message of several lines: {error}") from None
            events = None
        except (ConfigError, Violation):
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Violation(f"{damage}: {type(error).__name__}: {error}") from error
    if any(warning.category is not EventFormatWarning for warning in issued):
        raise Violation(f"{damage}: another kind of warning: {issued[0].message}")
    if len(issued) > 1:
        raise Violation(f"{damage}: {len(issued)} warnings")
    return events, [str(warning.message) for warning in issued]


def _read(source: str, damage: Damage) -> int:
    last, total = None, 0
    with open_events(source, damage=damage) as opened:
        for packet in opened:
            if packet.dtype != EVENT_DTYPE or not 0 < len(packet) <= 65536:
                raise Violation(f"a packet of {len(packet)} events of {packet.dtype}")
            if (packet["x"] >= opened.size.width).any():
                raise Violation("x outside the sensor")
            if (packet["y"] >= opened.size.height).any():
                raise Violation("y outside the sensor")
            if (packet["p"] > 1).any():
                raise Violation("a polarity above 1")
            t = packet["t"] if last is None else np.append(last, packet["t"])
            if (np.diff(t) < 0).any():
                raise Violation("decreasing timestamps")
            if np.diff(t).max(initial=0) > MAX_STEP_FORWARD_US:
                raise Violation("a gap of more than one hour")
            last, total = packet["t"][-1:].copy(), total + len(packet)
        if opened.counters.events != total:
            raise Violation(f"counted {opened.counters.events} of {total} events")
        if damage != "skip" and opened.counters.damaged:
            raise Violation(f"{damage} leaves out {opened.counters.damaged}")
    return total


def fuzz(name: str, mutants: int, folder: Path, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Reads mutants of one format; returns the number of each outcome, and the violations."""
    rng = np.random.default_rng(seed)
    make, options = SEEDS[name]
    file_name = make(sample_events(rng), folder)
    data = (folder / file_name).read_bytes()
    if check(folder / file_name, options) != "whole":
        raise Violation(f"{name}: the valid file was not read")
    path = folder / f"mutant-{file_name}"
    needs_offset = name.partition("-")[0] not in WITHOUT_OFFSET
    outcomes: Counter[str] = Counter()
    violations = []
    for index in range(mutants):
        path.write_bytes(mutate(data, rng))
        try:
            outcomes[check(path, options, needs_offset=needs_offset)] += 1
        except Violation as error:
            kept = folder / f"violation-{index}-{file_name}"
            kept.write_bytes(path.read_bytes())
            violations.append(f"{kept}: {error}")
    path.unlink()
    return outcomes, violations


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=500, help="mutants per format")
    parser.add_argument(
        "--format",
        choices=SEEDS,
        action="append",
        help="format to damage; repeatable; default: all",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--folder", type=Path, help="folder for mutants; default: temporary")
    arguments = parser.parse_args()
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_MEMORY_BYTES, LIMIT_MEMORY_BYTES))
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fuzz-events-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in arguments.format or SEEDS:
        outcomes, violations = fuzz(name, arguments.mutants, folder, arguments.seed)
        counts = ", ".join(f"{outcomes[kind]} {kind}" for kind in ("whole", "prefix", "refused"))
        sys.stdout.write(f"{name:12} {counts}, {len(violations)} violations\n")
        for line in violations:
            sys.stdout.write(f"             {line}\n")
        sys.stdout.flush()
        failed |= bool(violations)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
