"""Incremental forms over a sliding window: what comes is added, what leaves is taken off.

All sums are of whole numbers, so that nothing drifts however long it runs.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, raw
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation.incremental import Incremental

if TYPE_CHECKING:
    from evface_edge.representation.frame import EventFrame
    from evface_edge.representation.incremental_kernels import PlacedArray
    from evface_edge.representation.statistics import EventStatistics
    from evface_edge.representation.voxel import VoxelGrid

#: The longest window: sums of squared times stay within 64 bits.
LONGEST_US = 60_000_000

#: Of the box of sliding statistics, which keep a number for each, on the sensor or not.
MOST_PIXELS = 1 << 25


class _Queue:
    """First in, first out; one array that grows as needed and is compacted when it is full."""

    def __init__(self) -> None:
        from evface_edge.representation.incremental_kernels import PLACED

        self._buffer = np.empty(1 << 12, PLACED)
        self._start = self._end = 0
        self.dropped = 0  # entry i has the running number dropped + i

    @property
    def entries(self) -> PlacedArray:
        return self._buffer[self._start : self._end]

    def append(self, placed: PlacedArray) -> None:
        if self._end + len(placed) > len(self._buffer):
            kept = self.entries
            needed = len(kept) + len(placed)
            target = self._buffer
            if needed > len(self._buffer) // 2:
                target = np.empty(2 * needed, self._buffer.dtype)
            raw(target)[: len(kept)] = raw(kept).copy()
            self._buffer, self._start, self._end = target, 0, len(kept)
        raw(self._buffer)[self._end : self._end + len(placed)] = raw(placed)
        self._end += len(placed)

    def drop(self, count: int) -> None:
        self._start += count
        self.dropped += count


class _Sliding(Incremental):
    """Keeps the events of the window."""

    def __init__(
        self,
        representation: EventFrame | VoxelGrid | EventStatistics,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None,
        duration_us: int | None,
    ) -> None:
        super().__init__(representation, area, output_size, duration_us)
        if duration_us is None or duration_us > LONGEST_US:
            raise ConfigError(
                "duration_us",
                duration_us,
                f"1 to {LONGEST_US} µs: the events of the window are kept, to be taken off again",
            )
        self._window_us = duration_us
        self._queue = _Queue()

    def _add(self, placed: PlacedArray) -> None:
        self._queue.append(placed)
        self._enter(len(placed))
        if self._last_us is not None:
            self._expire(self._last_us)

    def _cells(self, now_us: int) -> NDArray[np.float32]:
        self._expire(now_us)
        return self._state(now_us)

    def _expire(self, now_us: int) -> None:
        entries = self._queue.entries
        count = int(np.searchsorted(entries["t"], now_us - self._window_us, "right"))
        if count:
            self._leave(entries[:count])
            self._queue.drop(count)

    @abstractmethod
    def _enter(self, new: int) -> None:
        """The last `new` entries of the queue have come."""

    @abstractmethod
    def _leave(self, old: PlacedArray) -> None:
        """These, the first of the queue, are about to go."""

    @abstractmethod
    def _state(self, now_us: int) -> NDArray[np.float32]:
        """A new array of cells."""


class SlidingFrame(_Sliding):
    """Counts of the events of the window."""

    def __init__(
        self,
        representation: EventFrame,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None,
        duration_us: int | None,
    ) -> None:
        super().__init__(representation, area, output_size, duration_us)
        self._counts = np.zeros((2, self._cell_count), np.float32)

    def _enter(self, new: int) -> None:
        from evface_edge.representation.incremental_kernels import add_counts

        entries = self._queue.entries
        add_counts(entries[len(entries) - new :], 1, self._counts)

    def _leave(self, old: PlacedArray) -> None:
        from evface_edge.representation.incremental_kernels import add_counts

        add_counts(old, -1, self._counts)

    def _state(self, now_us: int) -> NDArray[np.float32]:
        return self._counts.copy()


def _reach(border: int, per_us: float) -> int:
    """The first whole time whose position is at the border or past it, as floats have it."""
    time_us = math.ceil(border / per_us)
    while (time_us - 1) * per_us >= border:
        time_us -= 1
    while time_us * per_us < border:
        time_us += 1
    return time_us


class SlidingVoxels(_Sliding):
    """A voxel grid that spans the events of the window.

    Within a pair of neighbouring bins, the fraction of an event grows linearly with its time: for
    each cell, the number of events and the sum of their times give the sum of the fractions,
    wherever the grid starts and ends. As the window moves on, the borders between pairs only ever
    pass events towards the older pair, each event at most once a border.
    """

    def __init__(
        self,
        representation: VoxelGrid,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None,
        duration_us: int | None,
    ) -> None:
        super().__init__(representation, area, output_size, duration_us)
        self._bins = representation.bins
        shape = (2, self._bins - 1, self._cell_count)
        self._counts = np.zeros(shape, np.int32)
        self._sums_us = np.zeros(shape, np.int64)
        self._origin_us = 0
        self._borders = [0] * (self._bins - 2)  # running number of the first event of each pair
        self._times_us: deque[NDArray[np.int64]] = deque()  # of all events, in the box or not

    def push(self, events: EventArray) -> None:
        super().push(events)
        if len(events):
            self._times_us.append(events["t"].copy())

    def _start_us(self, now_us: int) -> int:
        """Of the first event of the window, in the box or not; there is one in the box."""
        oldest_us = now_us - self._window_us
        while self._times_us[0][-1] <= oldest_us:
            self._times_us.popleft()
        times = self._times_us[0]
        return int(times[np.searchsorted(times, oldest_us, "right")])

    def _move(self, entries: PlacedArray, pair: int, step: int) -> None:
        from evface_edge.representation.incremental_kernels import add_to_pair

        add_to_pair(entries, pair, step, self._origin_us, self._counts, self._sums_us)

    def _enter(self, new: int) -> None:
        entries = self._queue.entries
        if new and len(entries) == new:
            self._origin_us = int(entries[0]["t"])  # nothing is left that refers to the old one
        self._move(entries[len(entries) - new :], self._bins - 2, 1)

    def _leave(self, old: PlacedArray) -> None:
        numbers = [min(max(n - self._queue.dropped, 0), len(old)) for n in self._borders]
        for pair, (first, end) in enumerate(zip([0, *numbers], [*numbers, len(old)], strict=True)):
            self._move(old[first:end], pair, -1)
        gone = self._queue.dropped + len(old)
        self._borders = [max(number, gone) for number in self._borders]

    def _state(self, now_us: int) -> NDArray[np.float32]:
        from evface_edge.representation.incremental_kernels import distribute

        volume = np.zeros((2, self._bins, self._cell_count), np.float32)
        entries = self._queue.entries
        if len(entries) and self._last_us is not None:
            start_us = self._start_us(now_us)
            per_us = (self._bins - 1) / max(self._last_us - start_us, 1)
            for border in range(self._bins - 2, 0, -1):
                passed = np.searchsorted(entries["t"], start_us + _reach(border, per_us))
                old = self._borders[border - 1] - self._queue.dropped
                if passed > old:
                    self._move(entries[old:passed], border, -1)
                    self._move(entries[old:passed], border - 1, 1)
                    self._borders[border - 1] += int(passed) - old
            start = start_us - self._origin_us
            distribute(self._counts, self._sums_us, start, per_us, volume)
        return volume.reshape(2 * self._bins, self._cell_count)


class SlidingStatistics(_Sliding):
    """Counts, gaps and squared gaps: a gap goes with the older of its two events."""

    def __init__(
        self,
        representation: EventStatistics,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None,
        duration_us: int | None,
    ) -> None:
        super().__init__(representation, area, output_size, duration_us)
        if self._pixel_count > MOST_PIXELS:
            raise ConfigError("area", area, f"at most {MOST_PIXELS} pixels: each has its own gaps")
        self._newest = np.full(self._pixel_count, -1)
        self._sums = np.zeros((5, self._cell_count), np.int64)

    def _enter(self, new: int) -> None:
        from evface_edge.representation.incremental_kernels import enter_statistics

        queue = self._queue
        enter_statistics(queue.entries, new, queue.dropped, self._newest, self._sums)

    def _leave(self, old: PlacedArray) -> None:
        from evface_edge.representation.incremental_kernels import leave_statistics

        leave_statistics(old, self._sums)

    def _state(self, now_us: int) -> NDArray[np.float32]:
        from evface_edge.representation.statistics import channels_of_sums

        return channels_of_sums(self._sums)
