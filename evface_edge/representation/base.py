"""The base class of all representations, and normalisation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray, check_events
from evface_edge.geometry import Box, SensorSize

#: With normalisation "mean", cells reach 1 at this multiple of the mean of all non-zero cells.
SATURATION = 4.0

#: Largest number of cells of one tensor: the loops use 32-bit indices.
MAX_CELLS = 1 << 29

NORMALISATIONS = ("none", "mean")

#: Larger than every coordinate of an event.
_LARGEST_SENSOR = SensorSize(65536, 65536)


class Cells(NamedTuple):
    """The cells that events are added to.

    Attributes:
        box: x, y, width and height in sensor pixels.
        width: number of columns.
        flat: (C × rows × width + 1,) float32 zeros. The last cell collects events outside the box.
    """

    box: tuple[float, float, float, float]
    width: int
    flat: NDArray[np.float32]


class Representation(ABC):
    """The events of one window → a tensor (C, H, W) float32.

    Subclasses are frozen dataclasses that define `channels` and fill the cells. Events must be in
    order of time with polarities 0 and 1. The caller's array is never written to.

    Surfaces depend on the age of events, counted from `t_us`: by default the time of the last
    event. The other representations ignore `t_us`.
    """

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of channels C."""

    @abstractmethod
    def _fill(self, events: EventArray, cells: Cells, t_us: int | None) -> bool:
        """Add one or more events to the cells; False if an event is invalid."""

    def _finish(self, cells: NDArray[np.float32]) -> None:
        """Normalise the cells (C, H, W) in place; unless overridden, leave them as they are."""
        return

    def __call__(
        self, events: EventArray, size: SensorSize, *, t_us: int | None = None
    ) -> NDArray[np.float32]:
        """Return the tensor of the whole sensor, (C, size.height, size.width).

        Raises:
            EventFormatError: events not of EVENT_DTYPE, outside the sensor or out of order.
            ConfigError: `t_us` before the last event, or too many cells.
        """
        from evface_edge.representation.event_kernels import are_inside

        if _check_window(events, size, t_us) and not are_inside(events, size.width, size.height):
            check_events(events, size)  # raises and names the event
        box = Box(0, 0, size.width, size.height)
        cells = self._filled(events, box, (size.width, size.height), t_us)
        self._finish(cells)
        return cells

    def crop(
        self,
        events: EventArray,
        box: Box,
        output_size: tuple[int, int],
        *,
        t_us: int | None = None,
    ) -> NDArray[np.float32]:
        """Return the tensor of a box, scaled to (C, height, width).

        Events outside the box are ignored; the box may reach beyond the sensor. A box with fewer
        pixels than the output is filled at its own resolution and enlarged bilinearly, so that
        small faces have no holes.

        Args:
            output_size: (width, height).

        Raises:
            EventFormatError: events not of EVENT_DTYPE or out of order.
            ConfigError: an output size below 1, or `t_us` before the last event.
        """
        _check_window(events, _LARGEST_SENSOR, t_us)
        cells = _enlarged(
            self._filled(events, box, _inner_size(box, output_size), t_us), output_size
        )
        self._finish(cells)
        return cells

    def _filled(
        self, events: EventArray, box: Box, size: tuple[int, int], t_us: int | None
    ) -> NDArray[np.float32]:
        """The cells of a box divided into `size` columns and rows, not normalised."""
        width, height = size
        if self.channels * width * height >= MAX_CELLS:
            raise ConfigError("output_size", size, f"fewer than {MAX_CELLS} cells in all")
        flat = np.zeros(self.channels * height * width + 1, np.float32)
        bounds = float(box.x), float(box.y), float(box.width), float(box.height)
        if len(events) and not self._fill(events, Cells(bounds, width, flat), t_us):
            check_events(events, _LARGEST_SENSOR)  # raises and names the event
        return flat[:-1].reshape(self.channels, height, width)


def _check_window(events: EventArray, size: SensorSize, t_us: int | None) -> bool:
    """Check type and instant; return whether there are events."""
    if not isinstance(events, np.ndarray) or events.dtype != EVENT_DTYPE or events.ndim != 1:
        check_events(events, size)
    if not len(events):
        return False
    if t_us is not None and t_us < (last_us := int(events["t"][-1])):
        raise ConfigError("t_us", t_us, f"{last_us} (the last event) or later")
    return True


def _inner_size(box: Box, output_size: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows that a box is filled at: no more than its own pixels."""
    width, height = output_size
    if width < 1 or height < 1:
        raise ConfigError("output_size", output_size, "width and height of 1 or more")
    return min(width, max(1, round(box.width))), min(height, max(1, round(box.height)))


def _enlarged(cells: NDArray[np.float32], output_size: tuple[int, int]) -> NDArray[np.float32]:
    """Enlarge (C, h, w) bilinearly, outer edges aligned; unchanged if it has the size already."""
    width, height = output_size
    if cells.shape[1:] == (height, width):
        return cells
    from evface_edge.representation.cell_kernels import enlarge

    larger = np.empty((len(cells), height, width), np.float32)
    enlarge(cells, larger)
    return larger


def check_normalisation(value: str) -> None:
    """Raise ConfigError unless the value is a normalisation."""
    if value not in NORMALISATIONS:
        raise ConfigError("normalisation", value, " or ".join(map(repr, NORMALISATIONS)))


def divide_by_mean(
    cells: NDArray[np.float32], reference: NDArray[np.float32] | None = None
) -> None:
    """Divide by SATURATION × the mean of the non-zero cells and clip to [-1, 1], in place.

    Args:
        reference: the array whose mean is taken; by default `cells`.
    """
    from evface_edge.representation.cell_kernels import scale_and_clip, sum_of_nonzero

    total, count = sum_of_nonzero((cells if reference is None else reference).reshape(-1))
    if count:
        scale_and_clip(cells.reshape(-1), np.float32(count / (SATURATION * total)))
