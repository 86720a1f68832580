"""The loop that collects the events of a crop; compiled on first use and cached."""

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
    inside: int,
) -> tuple[int, int]:
    """Fill `window` from its end with the newest events inside a box, until it has `wanted`.

    Args:
        edges: left, top, right and bottom; events on the right or bottom edge are outside.
        window: `wanted` + 1 events; the last one is the newest event, inside or not.
        start: index of the first event in `window`.
        inside: number of events in `window` that lie inside.

    Returns:
        the new `start` and `inside`.
    """
    left, top = _pixel(edges[0]), _pixel(edges[1])
    across, down = np.uint32(_pixel(edges[2]) - left), np.uint32(_pixel(edges[3]) - top)
    index = len(events)
    if start == len(window) and index > 0 and events[index - 1].t >= oldest_us:
        index -= 1
        start -= 1
        newest = events[index]
        window[start] = newest
        inside += _is_inside(newest.x, left, across) & _is_inside(newest.y, top, down)
    first = _first(events, oldest_us)
    # Each event is written, and overwritten by the next one if it lies outside: the branch
    # predictor would fail at every other event.
    while index > first and inside < wanted:
        index -= 1
        event = events[index]
        here = _is_inside(event.x, left, across) & _is_inside(event.y, top, down)
        window[start - 1] = event
        start -= here
        inside += here
    return start, inside


@compiled
def _pixel(edge: float) -> np.uint32:
    """The first pixel at or after an edge."""
    return np.uint32(math.ceil(min(max(edge, 0.0), 65536.0)))


@compiled
def _is_inside(pixel: Any, first: Any, count: Any) -> Any:
    """1 or 0, with one comparison: unsigned, negative numbers are large."""
    return np.int64(np.uint32(np.uint32(pixel) - first) < count)


@compiled
def _first(events: EventArray, oldest_us: int) -> int:
    """Index of the first event at `oldest_us` or later."""
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
