"""Compiled loops over the events of a whole sensor, and over finished cells.

Every `fill_…` adds one or more events to cells that are 0, one for each pixel. It returns False for
an invalid event: outside the sensor, polarity above 1, or out of order (only where the order
matters, not for counts). Nothing is ever written outside the cells. The checks are in the loops
because a second pass over the events would take as long as the first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled, compiled_reordering


@compiled
def fill_frame(events: EventArray, cells: NDArray[np.float32]) -> bool:
    """Count events: cells (2, h, w), OFF then ON."""
    height, width = cells.shape[1], cells.shape[2]
    for event in events:
        if event.x >= width or event.y >= height or event.p > 1:
            return False
        cells[event.p, event.y, event.x] += np.float32(1)
    return True


@compiled
def fill_voxels(events: EventArray, cells: NDArray[np.float32]) -> bool:
    """Distribute each event over the two bins around its time: cells (2, bins, h, w)."""
    bins, height, width = cells.shape[1], cells.shape[2], cells.shape[3]
    start = last = events[0].t
    per_us = (bins - 1) / max(events[-1].t - start, 1)
    pair = 0
    for event in events:
        t = event.t
        if event.x >= width or event.y >= height or event.p > 1 or t < last:
            return False
        last = t
        position = (t - start) * per_us
        while pair < bins - 2 and position >= pair + 1:
            pair += 1
        fraction = np.float32(position - pair)
        cells[event.p, pair, event.y, event.x] += np.float32(1) - fraction
        cells[event.p, pair + 1, event.y, event.x] += fraction
    return True


@compiled
def exp_table(tau_us: float) -> NDArray[np.float64]:
    """exp(t / tau) for t = 0, 1, … µs, 256 or fewer.

    With it, the surfaces call `exp` once in up to 256 µs instead of once for each event. For a
    small tau the table ends at 600 tau, where a factor would overflow float64.
    """
    return np.exp(np.arange(int(min(max(600.0 * tau_us, 1.0), 256.0))) / tau_us)


@compiled
def fill_exponential(
    events: EventArray, cells: NDArray[np.float32], now_us: int, tau_us: float
) -> bool:
    """exp(-age / tau) of the newest event of each cell (2, h, w)."""
    height, width = cells.shape[1], cells.shape[2]
    table = exp_table(tau_us)
    last = base = events[0].t
    value = math.exp((base - now_us) / tau_us)
    for event in events:
        t = event.t
        if event.x >= width or event.y >= height or event.p > 1 or t < last:
            return False
        last = t
        if t - base >= len(table):
            base = t
            value = math.exp((base - now_us) / tau_us)
        cells[event.p, event.y, event.x] = value * table[t - base]
    return True


@compiled
def fill_linear(
    events: EventArray, cells: NDArray[np.float32], now_us: int, scales_us: NDArray[np.float64]
) -> bool:
    """max(0, 1 - age / scale) of the newest event, for ascending scales: (2, scales, h, w)."""
    height, width = cells.shape[2], cells.shape[3]
    last = events[0].t
    for event in events:
        t = event.t
        if event.x >= width or event.y >= height or event.p > 1 or t < last:
            return False
        last = t
        age = np.float64(now_us - t)
        scale = len(scales_us) - 1
        while scale >= 0 and age < scales_us[scale]:
            cells[event.p, scale, event.y, event.x] = 1 - age / scales_us[scale]
            scale -= 1
    return True


@compiled
def fill_statistics(events: EventArray, cells: NDArray[np.float32]) -> bool:
    """Count, net polarity and standard deviation of the gaps in µs: cells (3, h, w)."""
    height, width = cells.shape[1], cells.shape[2]
    gaps = np.zeros((height, width, 3))  # time of the newest event + 1, sum, sum of squares
    start = last = events[0].t
    for event in events:
        t = event.t
        if event.x >= width or event.y >= height or event.p > 1 or t < last:
            return False
        last = t
        cells[0, event.y, event.x] += np.float32(1)
        cells[1, event.y, event.x] += np.float32(2 * np.int64(event.p) - 1)
        pixel = gaps[event.y, event.x]
        time = np.float64(t - start + 1)
        gap = time - pixel[0] if pixel[0] > 0 else 0.0
        pixel[0] = time
        pixel[1] += gap
        pixel[2] += gap * gap
    for event in events:
        pixel, count = gaps[event.y, event.x], cells[0, event.y, event.x] - 1
        cells[2, event.y, event.x] = deviation(count, pixel[1], pixel[2])
    return True


@compiled
def deviation(count: float, total: float, squares: float) -> float:
    """Standard deviation of a population from its sums; 0 for fewer than two values."""
    if count < 2:
        return 0.0
    mean = total / count
    return math.sqrt(max(squares / count - mean * mean, 0.0))


@compiled
def enlarge(cells: NDArray[np.float32], larger: NDArray[np.float32]) -> None:
    """Enlarge (C, h, w) to (C, H, W) bilinearly, outer edges aligned, borders replicated.

    Rows are widened before they are spread downwards: there are fewer of them then, and the
    second step is vectorised.
    """
    channels, rows, columns = cells.shape
    height, width = larger.shape[1], larger.shape[2]
    left, right = np.empty(width, np.uint32), np.empty(width, np.uint32)
    across = np.empty(width, np.float32)
    for x in range(width):
        first, second, weight = neighbours(x, columns, width)
        left[x], right[x], across[x] = first, second, weight
    wide = np.empty((rows, width), np.float32)
    for channel in range(channels):
        for y in range(rows):
            narrow, row = cells[channel, y], wide[y]
            for x in range(width):
                before = narrow[left[x]]
                row[x] = before + (narrow[right[x]] - before) * across[x]
        for y in range(height):
            top, bottom, down = neighbours(y, rows, height)
            upper, lower, row = wide[top], wide[bottom], larger[channel, y]
            for x in range(width):
                row[x] = upper[x] + (lower[x] - upper[x]) * down


@compiled
def neighbours(index: int, count: int, enlarged_count: int) -> tuple[int, int, np.float32]:
    """The two of `count` cells around an enlarged cell, and the weight of the second."""
    source = max((index + 0.5) * count / enlarged_count - 0.5, 0.0)
    first = min(int(source), count - 1)
    return first, min(first + 1, count - 1), np.float32(source - first)


@compiled_reordering
def sum_of_nonzero(flat: NDArray[np.float32]) -> tuple[float, float]:
    """Sum of the absolute values, and how many values are not 0."""
    total, count = 0.0, 0.0
    for index in range(len(flat)):
        value = flat[index]
        total += abs(np.float64(value))
        count += 1.0 if value != 0 else 0.0
    return total, count


@compiled
def scale_and_clip(flat: NDArray[np.float32], scale: np.float32) -> None:
    """Multiply and clip to [-1, 1], in place."""
    for index in range(len(flat)):
        value = flat[index] * scale
        flat[index] = max(min(value, np.float32(1)), np.float32(-1))
