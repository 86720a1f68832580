"""The input of the face detector: events of the whole sensor on a coarse grid."""

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
#: Time windows that end now, as fractions of the longest: the shortest shows where objects are now,
#: the longest shows slow ones.
FRACTIONS = (1 / 16, 1 / 4, 1.0)
#: Events of one polarity per pixel at which a cell is full.
SATURATION = 2.0


@dataclass(frozen=True)
class GridShape:
    """Size of the grid and its time.

    Attributes:
        width, height: cells.
        lookback_us: the longest time window.
        max_events: with more events, the time is shortened to the newest ones.

    Raises:
        ConfigError: a value out of range.
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
        """OFF and ON events of each time window."""
        return 2 * len(FRACTIONS)

    def to_config(self) -> dict[str, Any]:
        """The entry of a model card."""
        return {"name": NAME, **vars(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GridShape:
        """From the entry of a model card.

        Raises:
            ConfigError: another representation, or an unknown parameter.
        """
        values = {key: value for key, value in config.items() if key != "name"}
        if config.get("name") != NAME or set(values) - set(vars(cls())):
            raise ConfigError("representation", config, f"{NAME} and its parameters")
        return cls(**values)


@dataclass(frozen=True)
class SensorGrid:
    """The grid of a sensor or of a part of it, with square cells from the upper left corner.

    Attributes:
        size: of the sensor.
        part: part of the sensor, whole pixels; None for all of it.
    """

    shape: GridShape
    size: SensorSize
    part: Box | None = None

    @cached_property
    def shown(self) -> Box:
        """The part of the sensor, or all of it."""
        return self.part or Box(0, 0, self.size.width, self.size.height)

    @cached_property
    def pixels_per_cell(self) -> float:
        """Side of a cell in pixels, 1 or more: small sensors are not enlarged."""
        shown, shape = self.shown, self.shape
        return max(shown.width / shape.width, shown.height / shape.height, 1.0)

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """The cell of each column and of each row, one beyond the grid for those outside the part;
        and 1 ÷ the events of a full cell."""
        shown, shape = self.shown, self.shape
        across = self._along(self.size.width, shown.x, shown.width, shape.width)
        down = self._along(self.size.height, shown.y, shown.height, shape.height)
        columns = np.bincount(across, minlength=shape.width)[: shape.width]
        rows = np.bincount(down, minlength=shape.height)[: shape.height]
        pixels = np.maximum(rows[:, None] * columns[None], 1)
        return across, down, (1 / (SATURATION * pixels)).astype(np.float32)

    def _along(self, sensor: int, first: float, length: float, cells: int) -> NDArray[np.int32]:
        pixel = np.arange(sensor) - first
        cell = np.minimum(((pixel + 0.5) / self.pixels_per_cell).astype(np.int32), cells - 1)
        return np.where((pixel >= 0) & (pixel < length), cell, np.int32(cells))

    def __call__(self, events: EventArray, now_us: int) -> NDArray[np.float32]:
        """The newest events → (channels, height, width) in [0, 1].

        A cell is √(events per pixel ÷ SATURATION), at most 1. The root gives counts of any size the
        same noise, and small counts enough steps in INT8.

        Args:
            events: in order of time, up to `now_us`; too old ones are ignored.
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
