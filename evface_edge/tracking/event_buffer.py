"""The newest events of a sensor, in bounded memory.

Large packets are kept by reference, small ones are copied together. A window is collected from the
newest event backwards and ends when the crop has its events, so that its time does not grow with
the event rate once windows are full.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

import numpy as np

from evface_edge.card import WindowPolicy
from evface_edge.events.array import EVENT_DTYPE, EventArray, joined, raw
from evface_edge.geometry import Box

#: Packets of at least this many events are kept by reference; smaller ones are copied into pieces
#: of PIECE_EVENTS.
LARGE_PACKET = 4096
PIECE_EVENTS = 1 << 14


class EventBuffer:
    """The events of the last `max_duration_us` before the newest one.

    Packets must not be written to after `append`: they may be kept without a copy, together with
    the whole array that they are a view of.
    """

    def __init__(self, max_duration_us: int) -> None:
        self._max_duration_us = max_duration_us
        self._pieces: deque[EventArray] = deque()
        self._open = np.empty(0, EVENT_DTYPE)  # memory of the last piece, which may have room
        self._filled = 0

    def append(self, events: EventArray) -> None:
        """Add events (N,), none older than the newest one here."""
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
        """All events (N,) in order of time; a copy if there are several pieces."""
        if not self._pieces:
            return np.empty(0, EVENT_DTYPE)
        first = self._pieces[0]
        start = bisect_left(first["t"], self._oldest_us())
        return _joined([first[start:], *list(self._pieces)[1:]])

    def newest(self, count: int) -> EventArray:
        """The last `count` events, without reading the others."""
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
            the events inside the crop, none older than the policy allows, followed by the newest
            event of the sensor, which sets the end of the window; empty if none lies inside. And
            the number of events inside. The array is a copy.
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
        start, inside = wanted + 1, 0
        for piece in reversed(self._pieces):
            if inside == wanted or _time(piece, -1) < oldest:
                break
            start, inside = gather_inside(piece, edges, oldest, wanted, window, start, inside)
        return window[start if inside else wanted + 1 :], inside


def _time(events: EventArray, index: int) -> int:
    time: int = events["t"].item(index)
    return time


def _joined(parts: list[EventArray]) -> EventArray:
    return parts[0] if len(parts) == 1 else joined(parts)
