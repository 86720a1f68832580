#!/usr/bin/env python3
"""Damages recordings at random, and holds the readers to their promise.

    python scripts/fuzz_events.py --mutants 2000 --format evt3

For every mutant, reading ends within the time limit, and either raises EventFormatError, or
yields events inside the sensor and in order of time, with one warning where it stopped early.
A mutant that breaks this is kept and named; the exit code is then 1. The formats h5py and aedat
read run native code: should that crash, the last mutant is in the folder.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
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
    make_events,
    open_events,
    write_events,
)
from evface_edge.geometry import SensorSize

LIMIT_S = 20
SIZE = SensorSize(128, 96)


def sample_events(rng: np.random.Generator, count: int = 3000) -> EventArray:
    t = 1_000_000 + np.cumsum(rng.integers(0, 30, count))
    x, y = rng.integers(0, SIZE.width, count), rng.integers(0, SIZE.height, count)
    return make_events(t, x, y, rng.integers(0, 2, count))


def _written(name: str) -> Callable[[EventArray, Path], str]:
    def seed(events: EventArray, folder: Path) -> str:
        path, _, options = name.partition("?")
        write_events(f"{folder / path}{'?' if options else ''}{options}", events, SIZE)
        return path

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

    with h5py.File(folder / "columns.h5", "w") as file:
        file.attrs["width"], file.attrs["height"] = SIZE.width, SIZE.height
        for field in "txyp":
            file.create_dataset(f"events/{field}", data=events[field], chunks=(500,), compression=1)
    return "columns.h5"


def _aedat4(events: EventArray, folder: Path) -> str:
    import faery

    columns = np.empty(len(events), faery.EVENTS_DTYPE)
    for mine, theirs in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")):
        columns[theirs] = events[mine]
    stream = faery.events_stream_from_array(columns, dimensions=(SIZE.width, SIZE.height))
    stream.to_file(folder / "four.aedat4")
    return "four.aedat4"


#: Format → what makes a sound file of it, and the options to read it with.
SEEDS: dict[str, tuple[Callable[[EventArray, Path], str], str]] = {
    "npz": (_written("a.npz"), ""),
    "npy": (_written("a.npy"), f"?width={SIZE.width}&height={SIZE.height}"),
    "evt2": (_written("two.raw?format=evt2"), ""),
    "evt21": (_evt21, ""),
    "evt3": (_written("three.raw"), ""),
    "dat": (_written("a.dat"), ""),
    "es": (_written("a.es"), ""),
    "csv": (_written("a.csv"), ""),
    "aedat2": (_aedat2, ""),
    "aedat3": (_aedat3, ""),
    "aedat4": (_aedat4, ""),
    "hdf5": (_hdf5, ""),
}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes; most files have their damage anywhere, some in the header."""
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


class Broken(Exception):
    """A promise that a reader broke."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Broken(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(source: str) -> str:
    """Reads one file; "whole", "prefix" or "refused".

    Raises:
        Broken: the reader did something else.
    """
    last, total = None, 0
    with warnings.catch_warnings(record=True) as issued, time_limit(LIMIT_S):
        warnings.simplefilter("always")
        try:
            with open_events(source) as opened:
                for packet in opened:
                    if packet.dtype != EVENT_DTYPE or not 0 < len(packet) <= 65536:
                        raise Broken(f"a packet of {len(packet)} events of {packet.dtype}")
                    if (packet["x"] >= opened.size.width).any():
                        raise Broken("x outside the sensor")
                    if (packet["y"] >= opened.size.height).any():
                        raise Broken("y outside the sensor")
                    if (packet["p"] > 1).any():
                        raise Broken("a polarity above 1")
                    t = packet["t"] if last is None else np.append(last, packet["t"])
                    if (np.diff(t) < 0).any():
                        raise Broken("times that go back")
                    last, total = packet["t"][-1:].copy(), total + len(packet)
                if opened.counters.events != total:
                    raise Broken(f"counted {opened.counters.events} of {total} events")
        except EventFormatError as error:
            if "\n" in str(error):
                raise Broken(f"a message of several lines: {error}") from None
            return "refused"
        except (ConfigError, Broken):
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Broken(f"{type(error).__name__}: {error}") from error
    if any(warning.category is not EventFormatWarning for warning in issued):
        raise Broken(f"a warning of another kind: {issued[0].message}")
    if len(issued) > 1:
        raise Broken(f"{len(issued)} warnings")
    return "prefix" if issued else "whole"


def fuzz(name: str, mutants: int, folder: Path, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Reads so many mutants of one format; returns how each ended, and what broke."""
    rng = np.random.default_rng(seed)
    make, options = SEEDS[name]
    file_name = make(sample_events(rng), folder)
    data = (folder / file_name).read_bytes()
    if check(f"{folder / file_name}{options}") != "whole":
        raise Broken(f"{name}: the sound file was not read")
    path = folder / f"mutant-{file_name}"
    outcomes: Counter[str] = Counter()
    broken = []
    for index in range(mutants):
        path.write_bytes(mutate(data, rng))
        try:
            outcomes[check(f"{path}{options}")] += 1
        except Broken as error:
            kept = folder / f"broken-{index}-{file_name}"
            kept.write_bytes(path.read_bytes())
            broken.append(f"{kept}: {error}")
    path.unlink()
    return outcomes, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=500, help="for each format")
    parser.add_argument("--format", choices=SEEDS, help="by default all of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where mutants are; by default temporary")
    arguments = parser.parse_args()
    faulthandler.enable()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fuzz-events-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in [arguments.format] if arguments.format else SEEDS:
        outcomes, broken = fuzz(name, arguments.mutants, folder, arguments.seed)
        counts = ", ".join(f"{outcomes[kind]} {kind}" for kind in ("whole", "prefix", "refused"))
        sys.stdout.write(f"{name:8} {counts}, {len(broken)} broken\n")
        for line in broken:
            sys.stdout.write(f"         {line}\n")
        failed |= bool(broken)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
