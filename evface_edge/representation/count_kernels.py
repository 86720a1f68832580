"""The loops of a count over a whole sensor; see `kernels` for what all such loops promise."""

from __future__ import annotations

import os

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.compiled import compiled
from evface_edge.representation.vectors import TOGETHER, place

#: Events in a turn of the inner loop, which the compiler unrolls: a sixth is saved.
UNROLLED = 16

#: Events whose cells are worked out before the first of them is written to. With fewer, what was
#: just written as one vector is read back by piece while it is still on its way.
BLOCK = 128

_EVENT_BYTES = EVENT_DTYPE.itemsize


def _shuffles() -> bool:
    """Whether the code is for a processor that shuffles all bytes of a vector at once.

    With AVX-512 VBMI, counting sixteen at a time takes a fifth less time than one by one; without,
    more. Somebody who names another processor to compile for is not asked what that one has.
    """
    if "NUMBA_CPU_NAME" in os.environ:
        return False
    try:
        return bool(llvm.get_host_cpu_features().get("avx512vbmi"))
    except RuntimeError:  # LLVM knows nothing of this processor
        return False


@compiled
def count_one_by_one(events: EventArray, cells: NDArray[np.float32]) -> bool:
    """Count events into cells (2, h, w) as they are.

    An index into all cells, without a sign, is sooner worked out than three that might be negative.
    """
    height, width = cells.shape[1], cells.shape[2]
    flat, row, plane = cells.reshape(-1), np.uint64(width), np.uint64(height * width)
    whole = len(events) // UNROLLED * UNROLLED
    for first in range(0, whole, UNROLLED):
        for step in range(UNROLLED):
            event = events[first + step]
            if event.x >= width or event.y >= height or event.p > 1:
                return False
            pixel = np.uint64(event.y) * row + np.uint64(event.x)
            flat[np.uint64(event.p) * plane + pixel] += np.float32(1)
    for event in events[whole:]:
        if event.x >= width or event.y >= height or event.p > 1:
            return False
        cells[event.p, event.y, event.x] += np.float32(1)
    return True


@compiled
def count_together(events: EventArray, cells: NDArray[np.float32]) -> bool:
    """The same, sixteen at a time."""
    if not len(events) or events.strides[0] != _EVENT_BYTES or cells.size >= 1 << 32:
        return count_one_by_one(events, cells)
    height, width = np.uint32(cells.shape[1]), np.uint32(cells.shape[2])
    flat, places = cells.reshape(-1), np.empty(BLOCK, np.uint32)
    whole = (len(events) - 1) // BLOCK * BLOCK
    for first in range(0, whole, BLOCK):
        outside = False
        for at in range(0, BLOCK, TOGETHER):
            outside |= place(events, np.uint64(first + at), width, height, places, np.uint64(at))
        if outside:
            return False
        for cell in places:
            flat[np.uint64(cell)] += np.float32(1)
    return count_one_by_one(events[whole:], cells)


count_events = count_together if _shuffles() else count_one_by_one


@compiled
def fill_frame(events: EventArray, cells: NDArray[np.float32]) -> bool:
    """Clear cells (2, h, w), OFF then ON, and count. (Asked in one loop whether to clear, it ran a
    fifteenth slower.)"""
    cells.reshape(-1)[:] = 0  # at once, not row by row
    return count_events(events, cells)
