"""Representations kept up to date while events arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.array import EVENT_DTYPE, EventArray, check_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation.base import Representation, enlarged, inner_size

if TYPE_CHECKING:
    from evface_edge.representation.incremental_kernels import PlacedArray


class Incremental(ABC):
    """`push` events as they come, ask for the `tensor` at any instant.

    Costs what the new events cost, not what the window holds. `Representation.incremental` makes
    one. Not to be shared between threads.
    """

    def __init__(
        self,
        representation: Representation,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None,
        duration_us: int | None,
    ) -> None:
        from evface_edge.representation.crop_kernels import cells_of_pixels

        if isinstance(area, SensorSize):
            if output_size is not None:
                raise ConfigError("output_size", output_size, "None for a whole sensor")
            self._width, self._height = self._output_size = area.width, area.height
            box = Box(-0.5, -0.5, area.width, area.height)
        else:
            if output_size is None:
                raise ConfigError("output_size", None, "(width, height) for a box")
            self._width, self._height = inner_size(area, output_size)
            self._output_size = output_size
            box = area
        if duration_us is not None and duration_us < 1:
            raise ConfigError("duration_us", duration_us, "1 µs or longer, or None")
        self._representation = representation
        self._size = area if isinstance(area, SensorSize) else SensorSize(65536, 65536)
        self._whole = isinstance(area, SensorSize)
        left, columns = cells_of_pixels(float(box.x), float(box.width), self._width)
        top, rows = cells_of_pixels(float(box.y), float(box.height), self._height)
        self._grid = left, top, columns, rows
        self._duration_us = duration_us
        self._first_us = 0  # of the first event, inside the area or not
        self._last_us: int | None = None
        self._asked_us: int | None = None

    @property
    def _cell_count(self) -> int:
        return self._width * self._height

    @property
    def _pixel_count(self) -> int:
        return len(self._grid[2]) * len(self._grid[3])

    def push(self, events: EventArray) -> None:
        """Take in events, none older than those before.

        Raises:
            EventFormatError: as the representation itself does; nothing was taken in.
        """
        from evface_edge.representation.incremental_kernels import NEVER, PLACED, place

        if not isinstance(events, np.ndarray) or events.dtype != EVENT_DTYPE or events.ndim != 1:
            check_events(events, self._size)
        if not len(events):
            return
        last_us = NEVER if self._last_us is None else self._last_us
        placed = np.empty(len(events), PLACED)
        found = place(events, self._grid, self._width, self._whole, last_us, placed)
        if found < 0:
            check_events(events, self._size)
            raise EventFormatError(
                f"event 0 is at {events[0]['t']} µs, before the last one pushed at {last_us} µs; "
                "push events in order of time"
            )
        if self._last_us is None:
            self._first_us = int(events[0]["t"])
        self._last_us = int(events[-1]["t"])
        self._add(placed[:found])

    def tensor(self, t_us: int | None = None) -> NDArray[np.float32]:
        """(C, H, W) at an instant: by default that of the last event.

        Raises:
            ConfigError: an instant before the last event, or before one that was asked for.
        """
        earliest = max((t for t in (self._last_us, self._asked_us) if t is not None), default=None)
        if t_us is None:
            t_us = 0 if earliest is None else earliest
        elif earliest is not None and t_us < earliest:
            raise ConfigError("t_us", t_us, f"an instant not before {earliest}")
        if self._last_us is None:
            shape = (self._representation.channels, self._height, self._width)
            cells = np.zeros(shape, np.float32)
        else:
            self._asked_us = t_us
            cells = self._cells(t_us).reshape(-1, self._height, self._width)
        return self._representation._finish(enlarged(cells, self._output_size))

    @abstractmethod
    def _add(self, placed: PlacedArray) -> None:
        """Take in events inside the area."""

    @abstractmethod
    def _cells(self, now_us: int) -> NDArray[np.float32]:
        """A new array (C × cells) of the state at an instant."""


class NewestEvents(Incremental):
    """The time of the newest event of each pixel and polarity: all that a surface needs."""

    def __init__(
        self,
        representation: Representation,
        of_ages: Callable[[NDArray[np.float64]], NDArray[np.float32]],
        area: SensorSize | Box,
        output_size: tuple[int, int] | None,
        duration_us: int | None,
    ) -> None:
        from evface_edge.representation.incremental_kernels import NEVER

        super().__init__(representation, area, output_size, duration_us)
        self._of_ages = of_ages
        self._newest = np.full((2, self._cell_count), NEVER)

    def _add(self, placed: PlacedArray) -> None:
        from evface_edge.representation.incremental_kernels import note_newest

        note_newest(placed, self._newest)

    def _cells(self, now_us: int) -> NDArray[np.float32]:
        from evface_edge.representation.incremental_kernels import NEVER

        present = self._newest != NEVER
        if self._duration_us is not None:
            present &= self._newest > now_us - self._duration_us
        ages = np.full(self._newest.shape, np.inf)
        ages[present] = now_us - self._newest[present]
        return self._of_ages(ages.reshape(2, self._height, self._width))
