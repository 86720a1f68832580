"""Compiled loops over the events of a box, or of the whole sensor as a box.

A box is divided into equal cells. The cells (C, rows, width) lie flat, followed by one spare cell:
events outside the box are added to it, which is faster than a branch for each event. Each `fill_…`
returns False for an invalid event: polarity above 1, or out of order (only where the order matters,
not for counts). Nothing is ever written outside the cells. The checks are in the loops because a
second pass over the events would take as long as the first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled

#: x, y, width and height of a box.
BoxTuple = tuple[float, float, float, float]

#: Larger than every index; the sum of two still fits into 32 bits.
_OUTSIDE = 1 << 29


@compiled
def are_inside(events: EventArray, width: int, height: int) -> bool:
    """Whether all events lie on the sensor."""
    inside = True
    for event in events:
        inside &= event.x < width and event.y < height
    return inside


@compiled
def cells_of_pixels(start: float, length: float, cells: int) -> tuple[int, NDArray[np.int32]]:
    """Divide the pixels in [start, start + length) into equal cells.

    Returns the first pixel inside, and the cell of each pixel from there on. Pixels below 0 or
    above 65,535 are left out.
    """
    per_pixel = cells / length
    first = math.ceil(min(max(start, 0.0), 65536.0))
    end = math.ceil(min(max(start + length, 0.0), 65536.0))
    # Rounding may have moved either limit by a pixel: the cell decides.
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
def offsets_of_pixels(start: float, length: float, cells: int, step: int) -> NDArray[np.int32]:
    """step × the cell of each pixel from 0 on, or _OUTSIDE; the last entry is for all beyond."""
    first, table = cells_of_pixels(start, length, cells)
    offsets = np.full(first + len(table) + 1, np.int32(_OUTSIDE))
    for index in range(len(table)):
        offsets[first + index] = step * table[index]
    return offsets


@compiled
def box_offsets(
    box: BoxTuple, width: int, plane: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tables of columns and rows whose sum is the cell in a plane of `plane` cells."""
    columns = offsets_of_pixels(box[0], box[2], width, 1)
    return columns, offsets_of_pixels(box[1], box[3], plane // width, width)


@compiled
def offset_of(x: int, y: int, columns: NDArray[np.int32], rows: NDArray[np.int32]) -> int:
    """The cell of a pixel in its plane; very large if it is outside the box."""
    last_x, last_y = np.uint32(len(columns) - 1), np.uint32(len(rows) - 1)
    offset: int = columns[min(np.uint32(x), last_x)] + rows[min(np.uint32(y), last_y)]
    return offset


@compiled
def exp_table(tau_us: float) -> NDArray[np.float64]:
    """exp(t / tau) for t = 0, 1, … µs, 256 or fewer.

    With it, the surfaces call `exp` once in up to 256 µs instead of once for each event. For a
    small tau the table ends at 600 tau, where a factor would overflow float64.
    """
    return np.exp(np.arange(int(min(max(600.0 * tau_us, 1.0), 256.0))) / tau_us)


@compiled
def deviation(count: float, total: float, squares: float) -> float:
    """Standard deviation of a population from its sums; 0 for fewer than two values."""
    if count < 2:
        return 0.0
    mean = total / count
    return math.sqrt(max(squares / count - mean * mean, 0.0))


@compiled
def fill_frame(events: EventArray, box: BoxTuple, width: int, flat: NDArray[np.float32]) -> bool:
    """Count events: flat (2 × plane + 1), OFF then ON."""
    plane = len(flat) // 2
    columns, rows = box_offsets(box, width, plane)
    spare, on = np.int32(len(flat) - 1), np.int32(plane)
    for event in events:
        cell = offset_of(event.x, event.y, columns, rows)
        if event.p > 1:
            return False
        flat[np.uint32(min(cell + on * np.int32(event.p), spare))] += np.float32(1)
    return True


@compiled
def fill_voxels(
    events: EventArray,
    box: BoxTuple,
    width: int,
    flat: NDArray[np.float32],
    bins: int,
) -> bool:
    """Distribute each event over the two bins around its time: flat (2 × bins × plane + 1)."""
    plane = len(flat) // (2 * bins)
    columns, rows = box_offsets(box, width, plane)
    spare, bin_, on = np.int32(len(flat) - 1), np.int32(plane), np.int32(bins * plane)
    start = last = events[0].t
    per_us = (bins - 1) / max(events[-1].t - start, 1)
    pair = 0
    for event in events:
        t = event.t
        cell = offset_of(event.x, event.y, columns, rows)
        if event.p > 1 or t < last:
            return False
        last = t
        position = (t - start) * per_us
        while pair < bins - 2 and position >= pair + 1:
            pair += 1
        fraction = np.float32(position - pair)
        first = cell + np.int32(pair) * bin_ + on * np.int32(event.p)
        flat[np.uint32(min(first, spare))] += np.float32(1) - fraction
        flat[np.uint32(min(first + bin_, spare))] += fraction
    return True


@compiled
def fill_exponential(
    events: EventArray,
    box: BoxTuple,
    width: int,
    flat: NDArray[np.float32],
    now_us: int,
    tau_us: float,
) -> bool:
    """exp(-age / tau) of the newest event of each cell: flat (2 × plane + 1)."""
    plane = len(flat) // 2
    columns, rows = box_offsets(box, width, plane)
    spare, on = np.int32(len(flat) - 1), np.int32(plane)
    table = exp_table(tau_us)
    last = base = events[0].t
    value = math.exp((base - now_us) / tau_us)
    for event in events:
        t = event.t
        cell = offset_of(event.x, event.y, columns, rows)
        if event.p > 1 or t < last:
            return False
        last = t
        if t - base >= len(table):
            base = t
            value = math.exp((base - now_us) / tau_us)
        flat[np.uint32(min(cell + on * np.int32(event.p), spare))] = value * table[t - base]
    return True


@compiled
def fill_linear(
    events: EventArray,
    box: BoxTuple,
    width: int,
    flat: NDArray[np.float32],
    now_us: int,
    scales_us: NDArray[np.float64],
) -> bool:
    """max(0, 1 - age / scale), for ascending scales: flat (2 × scales × plane + 1)."""
    count = len(scales_us)
    plane = len(flat) // (2 * count)
    columns, rows = box_offsets(box, width, plane)
    spare, on = np.int32(len(flat) - 1), np.int32(count * plane)
    last = events[0].t
    for event in events:
        t = event.t
        if event.p > 1 or t < last:
            return False
        last = t
        cell = offset_of(event.x, event.y, columns, rows) + on * np.int32(event.p)
        age = np.float64(now_us - t)
        scale = count - 1
        while scale >= 0 and age < scales_us[scale]:
            index = np.uint32(min(cell + np.int32(scale * plane), spare))
            flat[index] = 1 - age / scales_us[scale]
            scale -= 1
    return True


@compiled
def fill_statistics(
    events: EventArray, box: BoxTuple, width: int, flat: NDArray[np.float32]
) -> bool:
    """Count, net polarity, deviation in µs of the gaps within single pixels: flat (3 × plane)."""
    cells = flat[:-1].reshape(3, len(flat) // (3 * width), width)
    left, columns = cells_of_pixels(box[0], box[2], cells.shape[2])
    top, rows = cells_of_pixels(box[1], box[3], cells.shape[1])
    last_x, last_y = np.int64(0), np.int64(0)  # a box may be far larger than the sensor
    for event in events:
        last_x, last_y = max(last_x, np.int64(event.x)), max(last_y, np.int64(event.y))
    columns, rows = columns[: max(0, last_x - left + 1)], rows[: max(0, last_y - top + 1)]
    newest = np.zeros((len(rows), len(columns)), np.int64)  # time since the first event, + 1
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
    for event in events:
        x, y = np.int64(event.x) - left, np.int64(event.y) - top
        if 0 <= x < len(columns) and 0 <= y < len(rows):
            sums = gaps[rows[y], columns[x]]
            cells[2, rows[y], columns[x]] = deviation(sums[0], sums[1], sums[2])
    return True
