"""Recorded events with labels: FES, and any recording with landmarks beside it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.data.annotated import SkipList
from evface_training.data.schemes import USUAL_5

_FES_FIELDS = 19
_EVENT_FILES = (".h5", ".hdf5", ".raw", ".aedat4", ".npz", ".es", ".dat", ".csv")


@dataclass(frozen=True, eq=False)
class LabelledEvents:
    """A recording and where a face was at some instants of it.

    Attributes:
        path: the recording, for `open_events`.
        identity: of the person; splits go by it.
        t_us: (N,) int64, rising.
        points: (N, 98, 2) float32 sensor pixels; nan where the labels have no such point.
        weights: (N, 98) float32, 0 where points are nan.
        boxes: (N, 4) float32 x, y, width, height of the face; nan where not given.
    """

    path: Path
    identity: str
    t_us: NDArray[np.int64]
    points: NDArray[np.float32]
    weights: NDArray[np.float32]
    boxes: NDArray[np.float32]


def labelled_events(folder: Path, skipped: SkipList) -> Iterator[LabelledEvents]:
    """Every recording of a folder with labels beside it, as FES has them or as `simulate` does.

    `<name>.landmarks.npz` holds t_us (N,) and points98 (N, 98, 2); a text file `<name>.csv`,
    `.txt` or `.npy` of the same name holds the rows of FES. The folder that a file lies in counts
    as its identity, as FES has one for each person.

    Raises:
        ConfigError: no folder, or no recording with usable labels; the message says why.
    """
    if not folder.is_dir():
        raise ConfigError("events", str(folder), "a folder")
    count = 0
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in _EVENT_FILES):
        if path.name.endswith(".landmarks.npz"):
            continue
        own = path.with_name(path.stem + ".landmarks.npz")
        rows = next(
            (
                other
                for suffix in (".csv", ".txt", ".npy")
                if (other := path.with_suffix(suffix)).is_file() and other != path
            ),
            None,
        )
        if path.suffix == ".csv" and rows is None and not own.is_file():
            continue  # labels of another file
        skipped.seen += 1
        name = str(path.relative_to(folder))
        identity = f"{folder.name}:{path.parent.relative_to(folder).as_posix()}"
        try:
            if own.is_file():
                found = _ours(path, own, identity)
            elif rows is not None:
                found = fes_labels(path, rows, identity)
            else:
                skipped.add(name, "no labels beside it")
                continue
        except ConfigError as problem:
            skipped.add(name, str(problem))
            continue
        count += 1
        yield found
    if not count:
        why = f": {skipped.summary()}" if skipped else ""
        raise ConfigError("events", str(folder), f"a recording with labels{why}")


def fes_labels(recording: Path, rows: Path, identity: str) -> LabelledEvents:
    """Labels of FES: timestamp, object_id, command, class_id, x, y, w, h, x0, y0 … x4, y4,
    confidence; µs and pixels.

    Of several faces the one with the largest boxes is taken.

    Raises:
        ConfigError: rows of another length, or values that are no numbers.
    """
    table = _table(rows)
    if table.ndim != 2 or table.shape[1] != _FES_FIELDS or not len(table):
        found = table.shape if table.ndim == 2 else len(table)
        raise ConfigError(str(rows), found, f"rows of {_FES_FIELDS} values")
    if not np.isfinite(table).all():
        raise ConfigError(str(rows), "nan", "finite values")
    people = np.unique(table[:, 1])
    area = [
        np.mean(table[table[:, 1] == one][:, 6] * table[table[:, 1] == one][:, 7]) for one in people
    ]
    table = table[table[:, 1] == people[int(np.argmax(area))]]
    table = table[np.argsort(table[:, 0], kind="stable")]
    points = np.full((len(table), NUM_LANDMARKS, 2), np.nan, np.float32)
    weights = np.zeros((len(table), NUM_LANDMARKS), np.float32)
    points[:, USUAL_5] = table[:, 8:18].reshape(-1, 5, 2)
    weights[:, USUAL_5] = np.clip(table[:, 18:], 0, 1)
    return LabelledEvents(
        recording,
        identity,
        table[:, 0].astype(np.int64),
        points,
        weights,
        table[:, 4:8].astype(np.float32),
    )


def _table(path: Path) -> NDArray[np.float64]:
    if path.suffix == ".npy":
        stored = np.load(path, allow_pickle=False)
        if stored.dtype.names:
            columns = [np.asarray(stored[name], np.float64) for name in stored.dtype.names]
            return np.column_stack(columns)
        return np.asarray(stored, np.float64)
    text = path.read_text(errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    split = [next(csv.reader([line])) if "," in line else line.split() for line in lines]
    if split and not _is_number(split[0][0]):  # a line of names
        split = split[1:]
    lengths = {len(row) for row in split}
    if len(lengths) > 1:
        raise ConfigError(str(path), sorted(lengths), f"rows of {_FES_FIELDS} values each")
    try:
        return np.array(split, np.float64)
    except ValueError as error:
        raise ConfigError(str(path), str(error), "numbers") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _ours(recording: Path, labels: Path, identity: str) -> LabelledEvents:
    try:
        with np.load(labels, allow_pickle=False) as stored:
            t_us, points = stored["t_us"].astype(np.int64), stored["points98"].astype(np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(str(labels), str(error), "arrays t_us and points98") from None
    if points.shape != (len(t_us), NUM_LANDMARKS, 2):
        raise ConfigError(f"{labels}: points98", points.shape, f"shape ({len(t_us)}, 98, 2)")
    if (np.diff(t_us) < 0).any():
        raise ConfigError(f"{labels}: t_us", "times that fall", "times that rise")
    known = np.isfinite(points).all(-1)
    boxes = np.full((len(t_us), 4), np.nan, np.float32)
    for index in np.flatnonzero(known.any(1)):
        low, high = points[index][known[index]].min(0), points[index][known[index]].max(0)
        boxes[index] = *low, *(high - low)
    return LabelledEvents(recording, identity, t_us, points, known.astype(np.float32), boxes)
