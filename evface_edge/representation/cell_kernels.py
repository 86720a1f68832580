"""Compiled loops over finished cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.compiled import compiled, compiled_reordering


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
