"""Speed of reading: every format that can be written, with every library that reads it.

Each candidate reads the whole file packet by packet, except where a library only offers all events
at once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.events import recordings
from benchmarks.events.report import OURS, Candidate, Requirement, Row, log, measure
from evface_edge.events import open_events

REQUIREMENTS = (
    Requirement("EVT2", "faery", 1.3),
    Requirement("EVT3", "faery", 1.2),
    Requirement("AEDAT4", "aedat", 0.95),
)

#: Subject, setting, target to write, fraction of --events.
FILES: tuple[tuple[str, str, str, float], ...] = (
    ("EVT2", "", "evt2.raw?format=evt2", 1),
    ("EVT2.1", "", "evt21.raw", 1),
    ("EVT3", "", "evt3.raw", 1),
    ("DAT", "", "a.dat", 1),
    ("AEDAT4", "LZ4", "lz4.aedat4", 0.5),
    ("AEDAT4", "none", "none.aedat4?compression=none", 0.5),
    ("AEDAT4", "Zstandard", "zstd.aedat4?compression=zstd", 0.5),
    ("Event Stream", "", "a.es", 1),
    ("CSV", "", "a.csv", 0.25),
    ("NPZ", "compressed", "a.npz", 0.5),
    ("HDF5", "DSEC, gzip", "gzip.h5", 0.5),
    ("HDF5", "DSEC, Blosc", "blosc.h5?compression=blosc", 0.5),
    ("HDF5", "Metavision, ECF", "ecf.hdf5?layout=metavision", 0.5),
)

Reader = Callable[[Path], int]


def ours(path: Path) -> int:
    with open_events(path, size=recordings.SIZE) as source:
        return sum(len(packet) for packet in source)


def faery(path: Path) -> int:
    import faery as library

    return sum(len(packet) for packet in library.events_stream_from_file(path))


def faery_csv(path: Path) -> int:
    import faery as library

    columns = library.CsvProperties(
        has_header=True,
        separator=b",",
        t_index=0,
        x_index=1,
        y_index=2,
        on_index=3,
        t_scale=0.0,
        on_value=b"1",
        off_value=b"0",
        skip_errors=False,
    )
    size = (recordings.SIZE.width, recordings.SIZE.height)
    stream = library.events_stream_from_file(path, dimensions_fallback=size, csv_properties=columns)
    return sum(len(packet) for packet in stream)


def aedat(path: Path) -> int:
    import aedat as library

    return sum(len(packet["events"]) for packet in library.Decoder(path) if "events" in packet)


def dv(path: Path) -> int:
    import dv_processing as library

    recording, count = library.io.MonoCameraRecording(str(path)), 0
    while (store := recording.getNextEventBatch()) is not None:
        count += store.size()
    return count


def numpy(path: Path) -> int:
    import numpy as np

    with np.load(path) as arrays:
        return min(len(arrays[name]) for name in "txyp")


def h5py(path: Path) -> int:
    """Only the columns, in blocks."""
    import h5py as library

    with contextlib.suppress(ModuleNotFoundError):
        import hdf5plugin  # noqa: F401
    count = 0
    with library.File(path) as file:
        columns = [file[f"events/{name}"] for name in "txyp"]
        for start in range(0, len(columns[0]), 65536):
            blocks = [column[start : start + 65536] for column in columns]
            count += len(blocks[0])
    return count


PEERS: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "faery": (faery, ("EVT2", "EVT3", "DAT", "AEDAT4", "Event Stream", "CSV")),
    "aedat": (aedat, ("AEDAT4",)),
    "dv_processing": (dv, ("AEDAT4",)),
    "numpy": (numpy, ("NPZ",)),
    "h5py": (h5py, ("HDF5",)),
}


def _candidates(subject: str, setting: str, path: Path) -> dict[str, Candidate]:
    def bound(read: Callable[[Path], Any]) -> Candidate:
        return lambda: read(path)

    candidates: dict[str, Candidate] = {OURS: bound(ours)}
    for package, (read, subjects) in PEERS.items():
        if subject not in subjects or "ECF" in setting:
            continue
        if importlib.util.find_spec(package) is None:
            log(f"{package} is not installed")
            continue
        reader = faery_csv if (package, subject) == ("faery", "CSV") else read
        candidates[package.replace("_", "-")] = bound(reader)
    return candidates


def rows(
    repeats: int, events: int = 20_000_000, chosen: tuple[str, ...] = (), folder: Path | None = None
) -> list[Row]:
    """Measures all formats, or those in `chosen`.

    Args:
        events: number in the largest file; slower formats get fewer.
        folder: for the recordings, one at a time; by default a temporary one.
    """
    found: list[Row] = []
    for subject, setting, target, fraction in FILES:
        if chosen and subject not in chosen:
            continue
        count = max(1000, int(events * fraction))
        with _written(target, count, folder) as path:
            named = f"{count / 1e6:g} M events" + (f", {setting}" if setting else "")
            log(f"{subject}, {named}: {path.stat().st_size / 1e6:.0f} MB")
            found += measure(subject, named, _candidates(subject, setting, path), repeats)
    return found


@contextlib.contextmanager
def _written(target: str, count: int, folder: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-events-", dir=folder) as name:
        own = {"evt21.raw": recordings.write_evt21, "a.csv": recordings.write_text}.get(target)
        place = f"{name}/{target}"
        yield own(Path(place), count) if own else recordings.write(place, count)
