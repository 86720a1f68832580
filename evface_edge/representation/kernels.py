"""The loops over the events of a whole sensor, compiled on first use and cached.

Every `fill_` clears the cells, one for each pixel (most of them only on request), puts one or more
events into them, and returns whether the events were sound: in order of time (where that matters:
not to a count), inside, polarities 0 or 1. It stops at the first that is not, or soon after;
nothing is ever written outside the cells. (A branch that is never taken costs next to nothing
here; a second pass over the events would cost as much as the first.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled, compiled_reordering

#: Events whose cells are worked out before the first of them is written to.
BLOCK = 128


@compiled
def clear_pixels(events: EventArray, cells: NDArray[np.float32]) -> None:
    """Set all channels of cells (C, h, w) to 0 wherever one of these sound events lies."""
    for channel in range(cells.shape[0]):
        plane = cells[channel]
        for event in events:
            plane[event.y, event.x] = 0


@compiled
def fill_voxels(events: EventArray, cells: NDArray[np.float32], clear: bool) -> bool:
    """Cells (2, bins, h, w): each event is shared between the two bins around its time.

    Pair of bins by pair: the planes of a bin are cleared just before they are written to, while
    they still are in a cache.
    """
    bins, height, width = cells.shape[1], cells.shape[2], cells.shape[3]
    flat = cells.reshape(-1)
    plane, on = height * width, bins * height * width
    start = last = events[0].t
    per_us = (bins - 1) / max(events[-1].t - start, 1)
    places = np.empty(BLOCK, np.uint64)
    fractions = np.empty(BLOCK, np.float32)
    if clear:
        flat[:plane] = 0
        flat[on : on + plane] = 0
    first = 0
    for pair in range(bins - 1):
        off = pair * plane
        if clear:
            flat[off + plane : off + 2 * plane] = 0
            flat[on + off + plane : on + off + 2 * plane] = 0
        end = len(events)
        if pair < bins - 2:
            end = first_at(events, first, start, per_us, pair + 1)
        while first < end:
            block = events[first : min(first + BLOCK, end)]
            sound = True
            for index in range(len(block)):
                event = block[index]
                # No short cuts: without branches, several events are under way at once.
                sound &= event.x < width and event.y < height
                sound &= event.p <= 1 and event.t >= last
                last = event.t
                pixel = np.uint64(event.y) * np.uint64(width) + np.uint64(event.x)
                places[index] = np.uint64(off) + np.uint64(event.p) * np.uint64(on) + pixel
                fractions[index] = (event.t - start) * per_us - pair
            if not sound:
                return False
            for index in range(len(block)):
                place, fraction = places[index], fractions[index]
                flat[place] += np.float32(1) - fraction
                flat[place + np.uint64(plane)] += fraction
            first += len(block)
    return True


@compiled
def first_at(events: EventArray, low: int, start: int, per_us: float, position: float) -> int:
    """Index of the first event from `low` on whose time is at that position or past it."""
    high = len(events)
    while low < high:
        middle = (low + high) // 2
        if (events[middle].t - start) * per_us >= position:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def powers(tau: float) -> NDArray[np.float64]:
    """exp(t / tau) for t = 0, 1, … µs, as many as there is a use for.

    With them an exponential is taken once in many µs. None is so large that its product with one
    that has become 0 would differ, in float32, from the true one.
    """
    return np.exp(np.arange(int(min(max(600.0 * tau, 1.0), 256.0))) / tau)


@compiled
def fill_exponential(
    events: EventArray, cells: NDArray[np.float32], now: int, tau: float, clear: bool
) -> bool:
    """exp(-age / tau) of the newest event of each cell (2, h, w): newer ones overwrite older."""
    if clear:
        cells[:] = 0
    height, width = cells.shape[1], cells.shape[2]
    table = powers(tau)
    last = base = events[0].t
    value = math.exp((base - now) / tau)
    for event in events:
        t = event.t
        if event.x >= width or event.y >= height or event.p > 1 or t < last:
            return False
        last = t
        if t - base >= len(table):
            base = t
            value = math.exp((base - now) / tau)
        cells[event.p, event.y, event.x] = value * table[t - base]
    return True


@compiled
def fill_linear(
    events: EventArray,
    cells: NDArray[np.float32],
    now: int,
    scales: NDArray[np.float64],
    clear: bool,
) -> bool:
    """max(0, 1 - age / scale) for rising scales: cells (2, scales, h, w); newer overwrite older."""
    if clear:
        cells[:] = 0
    height, width = cells.shape[2], cells.shape[3]
    longest = len(scales) - 1
    last = events[0].t
    for event in events:
        t = event.t
        if event.x >= width or event.y >= height or event.p > 1 or t < last:
            return False
        last = t
        age = np.float64(now - t)
        scale = longest
        while scale >= 0 and age < scales[scale]:
            cells[event.p, scale, event.y, event.x] = 1 - age / scales[scale]
            scale -= 1
    return True


@compiled
def fill_statistics(events: EventArray, cells: NDArray[np.float32]) -> bool:
    """Count, net polarity and deviation of the gaps in µs: cells (3, h, w)."""
    cells[:] = 0
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
        own = gaps[event.y, event.x]
        time = np.float64(t - start + 1)
        gap = time - own[0] if own[0] > 0 else 0.0
        own[0] = time
        own[1] += gap
        own[2] += gap * gap
    for event in events:
        own, number = gaps[event.y, event.x], cells[0, event.y, event.x] - 1
        cells[2, event.y, event.x] = deviation(number, own[1], own[2])
    return True


@compiled
def deviation(number: float, total: float, squares: float) -> float:
    """Of a population, from its sums; 0 for fewer than two."""
    if number < 2:
        return 0.0
    mean = total / number
    return math.sqrt(max(squares / number - mean * mean, 0.0))


@compiled
def enlarge(cells: NDArray[np.float32], larger: NDArray[np.float32]) -> None:
    """Bilinear, from (C, h, w) to (C, H, W), outer edges aligned, borders replicated.

    Along the rows first: there are fewer of them before they are spread downwards, and that half
    the compiler turns into wide instructions.
    """
    channels, rows, columns = cells.shape
    height, width = larger.shape[1], larger.shape[2]
    left, right = np.empty(width, np.uint32), np.empty(width, np.uint32)
    across = np.empty(width, np.float32)
    for x in range(width):
        first, after, fraction = neighbours(x, columns, width)
        left[x], right[x], across[x] = first, after, fraction
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
def neighbours(place: int, count: int, wanted: int) -> tuple[int, int, np.float32]:
    """The two of `count` cells, stretched over `wanted`, around `place`; weight of the second."""
    source = max((place + 0.5) * count / wanted - 0.5, 0.0)
    first = min(int(source), count - 1)
    return first, min(first + 1, count - 1), np.float32(source - first)


@compiled_reordering
def sum_of_filled(flat: NDArray[np.float32]) -> tuple[float, float]:
    """The sum of the absolute values, and how many are not 0."""
    total, filled = 0.0, 0.0
    for index in range(len(flat)):
        value = flat[index]
        total += abs(np.float64(value))
        filled += 1.0 if value != 0 else 0.0
    return total, filled


@compiled
def scale_and_clip(flat: NDArray[np.float32], scale: np.float32) -> None:
    """Multiply and clip to [-1, 1], in place."""
    for index in range(len(flat)):
        value = flat[index] * scale
        flat[index] = max(min(value, np.float32(1)), np.float32(-1))
