"""Compiled loops of the adaptive surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.compiled import compiled


@compiled
def patch_means(image: NDArray[np.float32], patch: int) -> NDArray[np.float32]:
    """Means (down, across) of the square patches of (h, w); the last ones may be smaller."""
    height, width = image.shape
    down, across = -(-height // patch), -(-width // patch)
    sums = np.zeros((down, across), np.float32)
    for y in range(height):
        for i in range(across):
            total = np.float32(0)
            for x in range(i * patch, min(i * patch + patch, width)):
                total += image[y, x]
            sums[y // patch, i] += total
    for j in range(down):
        rows = min(patch, height - j * patch)
        for i in range(across):
            sums[j, i] /= rows * min(patch, width - i * patch)
    return sums


@compiled
def multiply_by_patch(
    surface: NDArray[np.float32], factors: NDArray[np.float32], patch: int
) -> None:
    """Multiply (h, w) by a factor for each patch (down, across), in place.

    Factors are interpolated bilinearly between patch centres and constant beyond the outermost.
    """
    height, width = surface.shape
    down, across = factors.shape
    before = np.empty(width, np.int32)
    fraction = np.empty(width, np.float32)
    for x in range(width):
        position = min(max((x + 0.5) / patch - 0.5, 0.0), across - 1.0)
        before[x] = min(int(position), max(across - 2, 0))
        fraction[x] = position - before[x]
    line = np.empty(across + 1, np.float32)
    for y in range(height):
        position = min(max((y + 0.5) / patch - 0.5, 0.0), down - 1.0)
        above = min(int(position), max(down - 2, 0))
        below = min(above + 1, down - 1)
        weight = np.float32(position - above)
        unchanged = True
        for i in range(across):
            line[i] = factors[above, i] + (factors[below, i] - factors[above, i]) * weight
            unchanged = unchanged and line[i] == 1
        if unchanged:
            continue
        line[across] = line[across - 1]
        for x in range(width):
            i = before[x]
            surface[y, x] *= line[i] + (line[i + 1] - line[i]) * fraction[x]


@compiled
def laplacian_magnitude(
    image: NDArray[np.float32], side: float, corner: float, centre: float
) -> NDArray[np.float32]:
    """Magnitude of (h, w) filtered by a symmetric 3 × 3 kernel, with zero padding."""
    height, width = image.shape
    padded = np.zeros((height + 2, width + 2), np.float32)
    padded[1:-1, 1:-1] = image
    result = np.empty_like(image)
    a, b, c = np.float32(side), np.float32(corner), np.float32(centre)
    for y in range(height):
        up, own, low = padded[y], padded[y + 1], padded[y + 2]
        for x in range(width):
            sides = own[x] + own[x + 2] + up[x + 1] + low[x + 1]
            corners = up[x] + up[x + 2] + low[x] + low[x + 2]
            result[y, x] = abs(a * sides + b * corners + c * own[x + 1])
    return result
