"""What all representations share: cells, crops, normalisation."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, check_events
from evface_edge.geometry import Box, SensorSize

#: With normalisation "mean", cells reach 1 at this multiple of the mean of all filled cells.
SATURATION = 4.0

NORMALISATIONS = ("none", "mean")


class Representation(ABC):
    """Events of one window → (C, H, W) float32. Never writes into the caller's array.

    Subclasses are frozen dataclasses; they say how many `channels` they have and fill cells.
    Events must be in order of time and inside the sensor; `__call__` checks, `crop` trusts, and
    leaves out what lies outside the box.
    """

    @property
    @abstractmethod
    def channels(self) -> int: ...

    @abstractmethod
    def _fill(self, events: EventArray, box: Box, cells: NDArray[np.float32]) -> None:
        """Put the events inside `box` into `cells` (C, h, w), which is all zero."""

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        return cells

    def __call__(self, events: EventArray, size: SensorSize) -> NDArray[np.float32]:
        """The whole sensor: (C, size.height, size.width).

        Raises:
            EventFormatError: events that are not of EVENT_DTYPE, outside, or out of order.
        """
        events = check_events(events, size)
        cells = np.zeros((self.channels, size.height, size.width), np.float32)
        self._fill(events, Box(-0.5, -0.5, size.width, size.height), cells)
        return self._finish(cells)

    def crop(
        self, events: EventArray, box: Box, output_size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """The events inside `box`, scaled to (C, height, width) for output_size (width, height).

        A box with fewer pixels than the output is filled at its own resolution and enlarged
        bilinearly, so that small faces have no holes.

        Raises:
            ConfigError: an output size below 1.
        """
        width, height = output_size
        if width < 1 or height < 1:
            raise ConfigError("output_size", output_size, "width and height of 1 or more")
        inner_width = min(width, max(1, round(box.width)))
        inner_height = min(height, max(1, round(box.height)))
        cells = np.zeros((self.channels, inner_height, inner_width), np.float32)
        self._fill(events, box, cells)
        if (inner_width, inner_height) != (width, height):
            from evface_edge.representation.kernels import enlarge

            larger = np.empty((self.channels, height, width), np.float32)
            enlarge(cells, larger)
            cells = larger
        return self._finish(cells)


def check_normalisation(value: str) -> None:
    if value not in NORMALISATIONS:
        raise ConfigError("normalisation", value, " or ".join(map(repr, NORMALISATIONS)))


def normalise(cells: NDArray[np.float32], normalisation: str) -> NDArray[np.float32]:
    """Divide by SATURATION × the mean of the filled cells and clip to [0, 1], in place."""
    if normalisation == "mean":
        from evface_edge.representation.kernels import scale_by_mean

        scale_by_mean(cells, SATURATION)
    return cells
