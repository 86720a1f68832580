"""The loops over the events of a box, compiled on first use and cached.

A box (x, y, width, height) is cut into equal cells, `width` of them in a row and `plane` in all.
The cells of a tensor lie flat, and one more at the end: whatever is outside the box goes there,
which is faster than to decide about each event. As for a whole sensor, each loop returns whether
the events were sound.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled
from evface_edge.representation.count_kernels import UNROLLED
from evface_edge.representation.kernels import deviation, powers

Edges = tuple[float, float, float, float]

_OUTSIDE = 1 << 29  # above every index; the sum of two fits into 32 bits


@compiled
def cells_of_pixels(start: float, length: float, cells: int) -> tuple[int, NDArray[np.int32]]:
    """How the pixels of [start, start + length) fall into equal cells: first pixel, cell of each.

    Pixels below 0 or above 65,535 do not exist.
    """
    per_pixel = cells / length
    first = math.ceil(min(max(start, 0.0), 65536.0))
    end = math.ceil(min(max(start + length, 0.0), 65536.0))
    while first > 0 and (first - 1 - start) * per_pixel >= 0:
        first -= 1
    while first < end and (first - start) * per_pixel < 0:
        first += 1
    while end < 65536 and (end - start) * per_pixel < cells:
        end += 1
    while end > first and (end - 1 - start) * per_pixel >= cells:
        end -= 1
    end = max(first, end)
    table = np.empty(end - first, np.int32)
    for pixel in range(first, end):
        table[pixel - first] = math.floor((pixel - start) * per_pixel)
    return first, table


@compiled
def steps_to_cells(start: float, length: float, cells: int, step: int) -> NDArray[np.int32]:
    """From pixel 0 on, step × its cell, or far outside; the last entry is for all beyond."""
    first, table = cells_of_pixels(start, length, cells)
    steps = np.full(first + len(table) + 1, np.int32(_OUTSIDE))
    for index in range(len(table)):
        steps[first + index] = step * table[index]
    return steps


@compiled
def crop_frame(
    events: EventArray, box: Edges, width: int, plane: int, flat: NDArray[np.float32]
) -> bool:
    """Count events: flat (2 × plane + 1), OFF then ON."""
    columns = steps_to_cells(box[0], box[2], width, 1)
    rows = steps_to_cells(box[1], box[3], plane // width, width)
    beyond_x, beyond_y = np.uint32(len(columns) - 1), np.uint32(len(rows) - 1)
    spare = np.int32(len(flat) - 1)
    on = np.int32(plane)
    whole = len(events) // UNROLLED * UNROLLED
    for first in range(0, whole, UNROLLED):
        for step in range(UNROLLED):
            event = events[first + step]
            if event.p > 1:
                return False
            column = columns[min(np.uint32(event.x), beyond_x)]
            cell = column + rows[min(np.uint32(event.y), beyond_y)] + on * np.int32(event.p)
            flat[np.uint32(min(cell, spare))] += np.float32(1)
    for event in events[whole:]:
        if event.p > 1:
            return False
        column = columns[min(np.uint32(event.x), beyond_x)]
        cell = column + rows[min(np.uint32(event.y), beyond_y)] + on * np.int32(event.p)
        flat[np.uint32(min(cell, spare))] += np.float32(1)
    return True


@compiled
def crop_voxels(
    events: EventArray, box: Edges, width: int, plane: int, bins: int, flat: NDArray[np.float32]
) -> bool:
    """Flat (2 × bins × plane + 1): each event is shared between the two bins around its time."""
    columns = steps_to_cells(box[0], box[2], width, 1)
    rows = steps_to_cells(box[1], box[3], plane // width, width)
    beyond_x, beyond_y = np.uint32(len(columns) - 1), np.uint32(len(rows) - 1)
    spare = np.int32(len(flat) - 1)
    start = last = events[0].t
    per_us = (bins - 1) / max(events[-1].t - start, 1)
    pair = 0
    bin_, on = np.int32(plane), np.int32(bins * plane)
    for event in events:
        t = event.t
        if event.p > 1 or t < last:
            return False
        last = t
        position = (t - start) * per_us
        while pair < bins - 2 and position >= pair + 1:
            pair += 1
        fraction = np.float32(position - pair)
        cell = columns[min(np.uint32(event.x), beyond_x)] + rows[min(np.uint32(event.y), beyond_y)]
        first = cell + np.int32(pair) * bin_ + on * np.int32(event.p)
        flat[np.uint32(min(first, spare))] += np.float32(1) - fraction
        flat[np.uint32(min(first + bin_, spare))] += fraction
    return True


@compiled
def crop_exponential(
    events: EventArray,
    box: Edges,
    width: int,
    plane: int,
    now: int,
    tau: float,
    flat: NDArray[np.float32],
) -> bool:
    """exp(-age / tau) of the newest event of each cell: flat (2 × plane + 1)."""
    columns = steps_to_cells(box[0], box[2], width, 1)
    rows = steps_to_cells(box[1], box[3], plane // width, width)
    beyond_x, beyond_y = np.uint32(len(columns) - 1), np.uint32(len(rows) - 1)
    spare = np.int32(len(flat) - 1)
    table, on = powers(tau), np.int32(plane)
    last = base = events[0].t
    value = math.exp((base - now) / tau)
    for event in events:
        t = event.t
        if event.p > 1 or t < last:
            return False
        last = t
        if t - base >= len(table):
            base = t
            value = math.exp((base - now) / tau)
        cell = columns[min(np.uint32(event.x), beyond_x)] + rows[min(np.uint32(event.y), beyond_y)]
        index = np.uint32(min(cell + on * np.int32(event.p), spare))
        flat[index] = value * table[t - base]
    return True


@compiled
def crop_linear(
    events: EventArray,
    box: Edges,
    width: int,
    plane: int,
    now: int,
    scales: NDArray[np.float64],
    flat: NDArray[np.float32],
) -> bool:
    """max(0, 1 - age / scale) for rising scales: flat (2 × scales × plane + 1)."""
    columns = steps_to_cells(box[0], box[2], width, 1)
    rows = steps_to_cells(box[1], box[3], plane // width, width)
    beyond_x, beyond_y = np.uint32(len(columns) - 1), np.uint32(len(rows) - 1)
    spare = np.int32(len(flat) - 1)
    count = len(scales)
    on = np.int32(count * plane)
    last = events[0].t
    for event in events:
        t = event.t
        if event.p > 1 or t < last:
            return False
        last = t
        cell = columns[min(np.uint32(event.x), beyond_x)] + rows[min(np.uint32(event.y), beyond_y)]
        first = cell + on * np.int32(event.p)
        age = np.float64(now - t)
        scale = count - 1
        while scale >= 0 and age < scales[scale]:
            flat[np.uint32(min(first + np.int32(scale * plane), spare))] = 1 - age / scales[scale]
            scale -= 1
    return True


@compiled
def crop_statistics(events: EventArray, box: Edges, cells: NDArray[np.float32]) -> bool:
    """Count, net polarity, deviation in µs of the gaps within single pixels: cells (3, h, w)."""
    left, columns = cells_of_pixels(box[0], box[2], cells.shape[2])
    top, rows = cells_of_pixels(box[1], box[3], cells.shape[1])
    last_x, last_y = np.int64(0), np.int64(0)  # a box may be far larger than the sensor
    for event in events:
        last_x, last_y = max(last_x, np.int64(event.x)), max(last_y, np.int64(event.y))
    columns, rows = columns[: max(0, last_x - left + 1)], rows[: max(0, last_y - top + 1)]
    newest = np.zeros((len(rows), len(columns)), np.int64)  # since the first event, + 1
    gaps = np.zeros((cells.shape[1], cells.shape[2], 3))  # number, sum, sum of squares
    start = last = events[0].t
    for event in events:
        t = event.t
        if event.p > 1 or t < last:
            return False
        last = t
        x, y = np.int64(event.x) - left, np.int64(event.y) - top
        if 0 <= x < len(columns) and 0 <= y < len(rows):
            row, column = rows[y], columns[x]
            cells[0, row, column] += np.float32(1)
            cells[1, row, column] += np.float32(2 * np.int64(event.p) - 1)
            time = t - start + 1
            if newest[y, x]:
                gap = np.float64(time - newest[y, x])
                gaps[row, column, 0] += 1
                gaps[row, column, 1] += gap
                gaps[row, column, 2] += gap * gap
            newest[y, x] = time
    for row in range(cells.shape[1]):
        for column in range(cells.shape[2]):
            own = gaps[row, column]
            cells[2, row, column] = deviation(own[0], own[1], own[2])
    return True
