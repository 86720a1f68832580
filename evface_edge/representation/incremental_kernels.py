"""The loops of the incremental forms, compiled on first use and cached."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled

#: An event in its place: pixel of the box and cell of the tensor, both row by row; `gap` is the
#: time to the next event of the same pixel, -1 while there is none.
PLACED = np.dtype(
    [("t", "<i8"), ("gap", "<i8"), ("pixel", "<i4"), ("cell", "<i4"), ("p", "<i8")], align=True
)
PlacedArray = NDArray[np.void]
NEVER = np.iinfo(np.int64).min


@compiled
def place(
    events: EventArray,
    grid: tuple[int, int, NDArray[np.int32], NDArray[np.int32]],
    width: int,
    whole: bool,
    last: int,
    placed: PlacedArray,
) -> int:
    """Where each event inside the grid falls, in cells `width` wide.

    Returns:
        how many there are; -1: out of order, a polarity above 1, or outside when it is the whole.
    """
    left, top, columns, rows = grid
    found = 0
    for event in events:
        if event.p > 1 or event.t < last:
            return -1
        last = event.t
        x, y = np.int64(event.x) - left, np.int64(event.y) - top
        if 0 <= x < len(columns) and 0 <= y < len(rows):
            entry = placed[found]
            entry.t = event.t
            entry.gap = -1
            entry.pixel = y * len(columns) + x
            entry.cell = rows[y] * width + columns[x]
            entry.p = event.p
            found += 1
        elif whole:
            return -1
    return found


@compiled
def note_newest(placed: PlacedArray, newest: NDArray[np.int64]) -> None:
    """Time of the newest event of each cell: newest (2, cells)."""
    for entry in placed:
        newest[entry.p, entry.cell] = entry.t


@compiled
def add_counts(placed: PlacedArray, step: int, counts: NDArray[np.float32]) -> None:
    """Counts (2, cells); step is 1 for events that come and -1 for events that go."""
    for entry in placed:
        counts[entry.p, entry.cell] += np.float32(step)


@compiled
def add_to_pair(
    placed: PlacedArray,
    pair: int,
    step: int,
    origin: int,
    counts: NDArray[np.int32],
    sums: NDArray[np.int64],
) -> None:
    """Number and sum of times, between bins `pair` and `pair + 1`: (2, pairs, cells)."""
    for entry in placed:
        counts[entry.p, pair, entry.cell] += step
        sums[entry.p, pair, entry.cell] += step * (entry.t - origin)


@compiled
def distribute(
    counts: NDArray[np.int32],
    sums: NDArray[np.int64],
    start: int,
    per_us: float,
    volume: NDArray[np.float32],
) -> None:
    """Volume (2, bins, cells), all zero, from numbers and sums of times after the origin."""
    for p in range(counts.shape[0]):
        for pair in range(counts.shape[1]):
            for cell in range(counts.shape[2]):
                count = counts[p, pair, cell]
                if count:
                    # In float32 before the difference, as for single events: what is 0 stays 0.
                    since = sums[p, pair, cell] - count * start
                    later = np.float32(since * per_us - pair * count)
                    volume[p, pair, cell] += np.float32(count) - later
                    volume[p, pair + 1, cell] += later


@compiled
def enter_statistics(
    entries: PlacedArray,
    new: int,
    dropped: int,
    newest: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> None:
    """The last `new` of the entries come: sums (5, cells) of OFF, ON, gaps, gap, gap².

    `newest` holds, for each pixel, the running number of its newest event.
    """
    for index in range(len(entries) - new, len(entries)):
        entry = entries[index]
        before = newest[entry.pixel] - dropped
        if before >= 0:
            gap = entry.t - entries[before].t
            entries[before].gap = gap
            sums[2, entry.cell] += 1
            sums[3, entry.cell] += gap
            sums[4, entry.cell] += gap * gap
        newest[entry.pixel] = dropped + index
        sums[entry.p, entry.cell] += 1


@compiled
def leave_statistics(entries: PlacedArray, sums: NDArray[np.int64]) -> None:
    """Entries go, each with the gap to the next event of its pixel."""
    for entry in entries:
        sums[entry.p, entry.cell] -= 1
        if entry.gap >= 0:
            sums[2, entry.cell] -= 1
            sums[3, entry.cell] -= entry.gap
            sums[4, entry.cell] -= entry.gap * entry.gap
