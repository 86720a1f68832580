"""The newest events of a sensor, in bounded memory and at next to no cost for each.

What arrives is kept as it came: large packets by reference, small ones copied together into pieces.
A window is looked for from the newest event backwards and ends as soon as the crop has its events,
so that a rate ten times as high costs no more, once windows are full.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

import numpy as np

from evface_edge.card import WindowPolicy
from evface_edge.events.array import EVENT_DTYPE, EventArray, joined, raw
from evface_edge.geometry import Box

#: A packet of so many events is kept as it is; smaller ones are copied into pieces of PIECE_EVENTS.
LARGE_PACKET = 4096
PIECE_EVENTS = 1 << 14


class EventBuffer:
    """All events not older than `max_duration_us` before the newest one.

    A packet handed over must not be written to afterwards: it may be kept without a copy, for
    `max_duration_us` and with the whole of the array that it is a part of.
    """

    def __init__(self, max_duration_us: int) -> None:
        self._max_duration_us = max_duration_us
        self._pieces: deque[EventArray] = deque()
        self._open = np.empty(0, EVENT_DTYPE)  # the last piece, where it has room for more
        self._filled = 0

    def append(self, events: EventArray) -> None:
        """Add events that are not older than those that are here."""
        count = len(events)
        if not count:
            return
        if count >= LARGE_PACKET:
            self._pieces.append(np.ascontiguousarray(events))
            self._open, self._filled = self._open[:0], 0
        else:
            self._copy(events)
        oldest = self._oldest_us()
        while _time(self._pieces[0], -1) < oldest:
            self._pieces.popleft()

    def _copy(self, events: EventArray) -> None:
        if self._filled + len(events) > len(self._open):
            self._open, self._filled = np.empty(PIECE_EVENTS, EVENT_DTYPE), 0
            self._pieces.append(self._open[:0])
        end = self._filled + len(events)
        raw(self._open)[self._filled : end] = raw(events)
        self._filled = end
        self._pieces[-1] = self._open[:end]

    def _oldest_us(self) -> int:
        return _time(self._pieces[-1], -1) - self._max_duration_us

    @property
    def events(self) -> EventArray:
        """All that is kept, in order of time: a copy, where it came in several pieces."""
        if not self._pieces:
            return np.empty(0, EVENT_DTYPE)
        first = self._pieces[0]
        start = bisect_left(first["t"], self._oldest_us())
        return _joined([first[start:], *list(self._pieces)[1:]])

    def newest(self, count: int) -> EventArray:
        """The last `count` of `events`, without a look at the others."""
        taken: list[EventArray] = []
        for piece in reversed(self._pieces):
            taken.append(piece[max(0, len(piece) - count) :])
            count -= len(taken[-1])
            if count <= 0:
                break
        else:
            return self.events
        taken.reverse()
        return _joined([taken[0][bisect_left(taken[0]["t"], self._oldest_us()) :], *taken[1:]])

    def window(self, crop: Box, policy: WindowPolicy, now_us: int) -> tuple[EventArray, int]:
        """The newest events that make one input for a square crop.

        Returns:
            the events inside the crop, none older than the policy allows, and with them the newest
            of all, which ends the window wherever it lies; none at all where none lies inside.
            And how many of them lie inside. The array is the caller's own.
        """
        from evface_edge.tracking.event_buffer_kernels import gather_inside

        wanted = policy.target_events(crop.width * crop.height)
        oldest = now_us - policy.max_duration_us
        edges = (
            float(crop.x),
            float(crop.y),
            float(crop.x + crop.width),
            float(crop.y + crop.height),
        )
        window = np.empty(wanted + 1, EVENT_DTYPE)
        start, found = wanted + 1, 0
        for piece in reversed(self._pieces):
            if found == wanted or _time(piece, -1) < oldest:
                break
            start, found = gather_inside(piece, edges, oldest, wanted, window, start, found)
        return window[start if found else wanted + 1 :], found


def _time(events: EventArray, index: int) -> int:
    time: int = events["t"].item(index)
    return time


def _joined(parts: list[EventArray]) -> EventArray:
    return parts[0] if len(parts) == 1 else joined(parts)
