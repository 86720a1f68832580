"""The newest events of a sensor, in bounded memory."""

from __future__ import annotations

import numpy as np

from evface_edge.card import WindowPolicy
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.geometry import Box


class RecentEvents:
    """All events not older than `max_duration_us` before the newest one.

    Kept in one array that grows as needed and is compacted when it is full, so that a window is a
    view, not a copy.
    """

    def __init__(self, max_duration_us: int) -> None:
        self._max_duration_us = max_duration_us
        self._buffer = np.empty(1 << 16, EVENT_DTYPE)
        self._start = self._end = 0

    def append(self, events: EventArray) -> None:
        """Add events that are not older than those that are here."""
        if not len(events):
            return
        oldest = events["t"][-1] - self._max_duration_us
        kept = self.events
        self._start += int(np.searchsorted(kept["t"], oldest))
        events = events[np.searchsorted(events["t"], oldest) :]
        if self._end + len(events) > len(self._buffer):
            kept = self.events
            needed = len(kept) + len(events)
            target = self._buffer
            if needed > len(self._buffer) // 2:
                target = np.empty(2 * needed, EVENT_DTYPE)
            target[: len(kept)] = kept.copy()
            self._buffer, self._start, self._end = target, 0, len(kept)
        self._buffer[self._end : self._end + len(events)] = events
        self._end += len(events)

    @property
    def events(self) -> EventArray:
        """A view of all that is kept, in order of time."""
        return self._buffer[self._start : self._end]

    def window(self, crop: Box, policy: WindowPolicy, now_us: int) -> tuple[EventArray, int]:
        """The newest events that make one input for a square crop.

        Returns:
            a view that begins and ends with an event inside the crop's time span (events outside
            the crop are among them), and how many events inside the crop it holds.
        """
        from evface_edge.representation.kernels import window_start

        events = self.events
        wanted = policy.target_events(crop.width * crop.height)
        oldest = now_us - policy.max_duration_us
        start, found = window_start(events, crop.x, crop.y, crop.width, crop.height, wanted, oldest)
        return events[start:], found
