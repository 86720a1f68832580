"""The loop that looks for the events of a crop, compiled on first use and cached."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled


@compiled
def gather_inside(
    events: EventArray,
    edges: tuple[float, float, float, float],
    oldest_us: int,
    wanted: int,
    window: EventArray,
    start: int,
    found: int,
) -> tuple[int, int]:
    """Fill `window` from its end with the newest events inside a box, until it has `wanted`.

    Args:
        edges: left, top, right and bottom; an event on the right or bottom edge is outside.
        window: of `wanted` + 1 events. The newest event of all takes its last place, inside or not.
        start: where it is filled from on; found: how many of these lie inside.

    Returns:
        the new `start` and `found`.
    """
    left, top = _pixel(edges[0]), _pixel(edges[1])
    across, down = np.uint32(_pixel(edges[2]) - left), np.uint32(_pixel(edges[3]) - top)
    index = len(events)
    if start == len(window) and index > 0 and events[index - 1].t >= oldest_us:
        index -= 1
        start -= 1
        newest = events[index]
        window[start] = newest
        found += _inside(newest.x, left, across) & _inside(newest.y, top, down)
    first = _first(events, oldest_us)
    # Each event is written, and the place is taken if it lies inside: a branch on where it lies
    # would be guessed wrong every other time.
    while index > first and found < wanted:
        index -= 1
        event = events[index]
        inside = _inside(event.x, left, across) & _inside(event.y, top, down)
        window[start - 1] = event
        start -= inside
        found += inside
    return start, found


@compiled
def _pixel(edge: float) -> np.uint32:
    """The first pixel that does not lie before an edge."""
    return np.uint32(math.ceil(min(max(edge, 0.0), 65536.0)))


@compiled
def _inside(pixel: Any, first: Any, count: Any) -> Any:
    """1 or 0; one comparison is enough, since a negative number is large as an unsigned one."""
    return np.int64(np.uint32(np.uint32(pixel) - first) < count)


@compiled
def _first(events: EventArray, oldest_us: int) -> int:
    """The index of the first event not older than that."""
    low, high = 0, len(events)
    if high and events[0].t >= oldest_us:
        return 0
    while low < high:
        middle = (low + high) // 2
        if events[middle].t < oldest_us:
            low = middle + 1
        else:
            high = middle
    return low
