"""The loops over events, compiled on first use and cached.

Events have integer pixels; cell (column, row) of a box covers an equal share of its area. An event
outside the box is left out: its cell is compared with the bounds before any write.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    return cast(_Function, numba.njit(cache=True, nogil=True)(function))


@_compiled
def fill_frame(
    events: EventArray,
    x0: float,
    y0: float,
    width: float,
    height: float,
    cells: NDArray[np.float32],
) -> None:
    """Count events: cells (2, h, w), OFF then ON."""
    rows, columns = cells.shape[1], cells.shape[2]
    per_x, per_y = columns / width, rows / height
    for event in events:
        column = math.floor((event.x - x0) * per_x)
        row = math.floor((event.y - y0) * per_y)
        if 0 <= column < columns and 0 <= row < rows:
            cells[event.p, row, column] += 1


@_compiled
def fill_voxels(
    events: EventArray,
    x0: float,
    y0: float,
    width: float,
    height: float,
    cells: NDArray[np.float32],
) -> None:
    """Cells (2, bins, h, w): each event is shared between the two bins around its time."""
    bins, rows, columns = cells.shape[1], cells.shape[2], cells.shape[3]
    if len(events) == 0:
        return
    per_x, per_y = columns / width, rows / height
    start = events[0].t
    per_us = (bins - 1) / max(events[-1].t - start, 1)
    for event in events:
        column = math.floor((event.x - x0) * per_x)
        row = math.floor((event.y - y0) * per_y)
        if 0 <= column < columns and 0 <= row < rows:
            position = (event.t - start) * per_us
            first = min(int(position), bins - 2)
            share = np.float32(position - first)
            cells[event.p, first, row, column] += np.float32(1) - share
            cells[event.p, first + 1, row, column] += share


@_compiled
def fill_newest(
    events: EventArray, x0: float, y0: float, width: float, height: float, newest: NDArray[np.int64]
) -> None:
    """Time of the newest event of each cell (2, h, w), µs; untouched where there is none."""
    rows, columns = newest.shape[1], newest.shape[2]
    per_x, per_y = columns / width, rows / height
    for event in events:
        column = math.floor((event.x - x0) * per_x)
        row = math.floor((event.y - y0) * per_y)
        if 0 <= column < columns and 0 <= row < rows:
            newest[event.p, row, column] = event.t


@_compiled
def window_start(
    events: EventArray,
    x0: float,
    y0: float,
    width: float,
    height: float,
    wanted: int,
    oldest_us: int,
) -> tuple[int, int]:
    """Where the newest `wanted` events inside a box begin, none older than `oldest_us`.

    Returns:
        index of the oldest event of the window, and how many inside the box there are from it on.
    """
    x1, y1 = x0 + width, y0 + height
    found, index, start = 0, len(events), len(events)
    while index > 0 and found < wanted and events[index - 1].t >= oldest_us:
        index -= 1
        event = events[index]
        if x0 <= event.x < x1 and y0 <= event.y < y1:
            found += 1
            start = index
    return start, found


@_compiled
def enlarge(cells: NDArray[np.float32], larger: NDArray[np.float32]) -> None:
    """Bilinear, from (C, h, w) to (C, H, W), outer edges aligned, borders replicated."""
    channels, rows, columns = cells.shape
    height, width = larger.shape[1], larger.shape[2]
    left = np.empty(width, np.int64)
    across = np.empty(width, np.float32)
    for x in range(width):
        source = max((x + 0.5) * columns / width - 0.5, 0.0)
        left[x] = min(int(source), columns - 2) if columns > 1 else 0
        across[x] = min(source - left[x], 1.0)
    right = min(1, columns - 1)
    row = np.empty(columns, np.float32)
    for channel in range(channels):
        for y in range(height):
            source = max((y + 0.5) * rows / height - 0.5, 0.0)
            top = min(int(source), rows - 1)
            bottom = min(top + 1, rows - 1)
            down = np.float32(source - top)
            for x in range(columns):
                upper = cells[channel, top, x]
                row[x] = upper + (cells[channel, bottom, x] - upper) * down
            for x in range(width):
                before = row[left[x]]
                larger[channel, y, x] = before + (row[left[x] + right] - before) * across[x]


@_compiled
def scale_by_mean(cells: NDArray[np.float32], saturation: float) -> None:
    """Divide by saturation × the mean of cells above 0 and clip at 1, in place."""
    flat = cells.reshape(-1)
    total, filled = 0.0, 0
    for value in flat:
        total += float(value)
        filled += int(value > 0)
    if filled == 0:
        return
    scale = np.float32(filled / (saturation * total))
    for index in range(len(flat)):
        flat[index] = min(flat[index] * scale, np.float32(1))
