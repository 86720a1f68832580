"""The events of a whole sensor on a coarse grid: what the face detector looks at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize

NAME = "detector_grid"
#: Windows of time that end now, as fractions of the whole: the latest is where things are, the
#: longest shows what moves slowly.
FRACTIONS = (1 / 16, 1 / 4, 1.0)
#: Events of one polarity per pixel at which a cell is full.
SATURATION = 2.0


@dataclass(frozen=True)
class GridShape:
    """Cells across and down, and how far back they look.

    Attributes:
        max_events: with more in that time, it is shortened to the newest so many.
    """

    width: int = 96
    height: int = 72
    lookback_us: int = 128_000
    max_events: int = 400_000

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if getattr(self, name) < 16 or getattr(self, name) % 8:
                raise ConfigError(f"GridShape.{name}", getattr(self, name), "8 × a number above 1")
        for name in ("lookback_us", "max_events"):
            if getattr(self, name) < 1:
                raise ConfigError(f"GridShape.{name}", getattr(self, name), "1 or more")

    @property
    def channels(self) -> int:
        """For each window, OFF events and ON events."""
        return 2 * len(FRACTIONS)

    def to_config(self) -> dict[str, Any]:
        """As it stands in a model card."""
        return {"name": NAME, **vars(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GridShape:
        """Raises: ConfigError: another representation, or a parameter that cannot be."""
        values = {key: value for key, value in config.items() if key != "name"}
        if config.get("name") != NAME or set(values) - set(vars(cls())):
            raise ConfigError("representation", config, f"{NAME} and its parameters")
        return cls(**values)


@dataclass(frozen=True)
class SensorGrid:
    """The grid of a sensor, or of a part of it: cells are square, and the part lies in the grid's
    upper left corner.

    Attributes:
        shape: of the grid.
        size: of the sensor.
        part: what of the sensor it shows, whole pixels; None: all.
    """

    shape: GridShape
    size: SensorSize
    part: Box | None = None

    @cached_property
    def shown(self) -> Box:
        """The part, or all of the sensor."""
        return self.part or Box(0, 0, self.size.width, self.size.height)

    @cached_property
    def pixels_per_cell(self) -> float:
        """Along one axis, 1 or more: a sensor finer than the grid is not enlarged."""
        shown, shape = self.shown, self.shape
        return max(shown.width / shape.width, shown.height / shape.height, 1.0)

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Of each column and of each row the cell, those outside the part in one beyond the grid;
        and 1 ÷ the events that make a cell full."""
        shown, shape = self.shown, self.shape
        across = self._along(self.size.width, shown.x, shown.width, shape.width)
        down = self._along(self.size.height, shown.y, shown.height, shape.height)
        columns = np.bincount(across, minlength=shape.width)[: shape.width]
        rows = np.bincount(down, minlength=shape.height)[: shape.height]
        pixels = np.maximum(rows[:, None] * columns[None], 1)
        return across, down, (1 / (SATURATION * pixels)).astype(np.float32)

    def _along(self, sensor: int, first: float, length: float, cells: int) -> NDArray[np.int32]:
        place = np.arange(sensor) - first
        cell = np.minimum(((place + 0.5) / self.pixels_per_cell).astype(np.int32), cells - 1)
        return np.where((place >= 0) & (place < length), cell, np.int32(cells))

    def __call__(self, events: EventArray, now_us: int) -> NDArray[np.float32]:
        """The newest events → (channels, height, width) in [0, 1].

        Each cell holds √(events per pixel ÷ SATURATION), at most 1: a root gives noise of counts
        the same size everywhere, and leaves bytes enough for the sparse.

        Args:
            events: in order of time, up to `now_us`; older ones may be among them.
        """
        from evface_edge.tracking.detector_kernels import count_cells

        shape = self.shape
        lookback_us = shape.lookback_us
        events = events[np.searchsorted(events["t"], now_us - lookback_us, side="right") :]
        if len(events) > shape.max_events:
            events = events[-shape.max_events :]
            lookback_us = max(now_us - int(events["t"][0]), 1)
        across, down, per_event = self._cells
        counts = np.zeros((len(FRACTIONS), 2, shape.height + 1, shape.width + 1), np.float32)
        end = len(events)
        for window, fraction in enumerate(FRACTIONS):
            oldest = now_us - round(fraction * lookback_us)
            start = int(np.searchsorted(events["t"], oldest, side="right")) if fraction < 1 else 0
            count_cells(events[start:end], across, down, counts[window])
            if window:
                counts[window] += counts[window - 1]
            end = start
        inside = counts[:, :, : shape.height, : shape.width]
        cells: NDArray[np.float32] = np.sqrt(np.minimum(inside * per_event, 1))
        return cells.reshape(shape.channels, shape.height, shape.width)
