"""What all representations fraction: cells, crops, the instant, normalisation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray, check_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation.memory import uncleared

if TYPE_CHECKING:
    from evface_edge.representation.canvas import Canvas
    from evface_edge.representation.crop_kernels import Edges
    from evface_edge.representation.incremental import Incremental

#: With normalisation "mean", cells reach 1 at this multiple of the mean of all filled cells.
SATURATION = 4.0

#: Of one tensor; indices fit into 32 bits.
MOST_CELLS = 1 << 29

NORMALISATIONS = ("none", "mean")

_LARGEST = SensorSize(65536, 65536)


class CropCells(NamedTuple):
    """What a crop is filled into.

    Attributes:
        box: x, y, width, height on the sensor.
        width: of the tensor.
        flat: (C, h, width) flattened and a spare cell, all zero.
    """

    box: Edges
    width: int
    flat: NDArray[np.float32]


class Representation(ABC):
    """Events of one window → (C, H, W) float32. Never writes into the caller's array.

    Subclasses are frozen dataclasses; they say how many `channels` they have and fill cells.
    Events must be in order of time, with polarities 0 and 1. `__call__` refuses what lies outside
    the sensor; `crop` leaves out what lies outside the box.

    `t_us` is the instant that ages are counted from: not before the last event, and at the last
    event where it is None. Only surfaces have ages; the rest does not depend on it.
    """

    #: `_fill` writes to the pixels of its events only, once `cells` are clear.
    sparse: ClassVar[bool] = False

    @property
    @abstractmethod
    def channels(self) -> int: ...

    @abstractmethod
    def _fill(
        self, events: EventArray, cells: NDArray[np.float32], t_us: int | None, clear: bool = True
    ) -> bool:
        """Clear `cells` (C, h, w), put one or more events into it; False: they are not sound.

        Where not asked to `clear`, the cells are all 0; a `sparse` one then saves the time.
        """

    @abstractmethod
    def _fill_crop(self, events: EventArray, crop: CropCells, t_us: int | None) -> bool:
        """For those in a box."""

    @abstractmethod
    def incremental(
        self,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None = None,
        *,
        duration_us: int | None = None,
    ) -> Incremental:
        """The same tensor kept up to date while events arrive: `push(events)`, `tensor(t_us)`.

        Args:
            area: the whole sensor, or a box.
            output_size: (width, height) of a box's tensor, as `crop` takes it.
            duration_us: events older than this at the instant asked for are forgotten; None:
                never. `tensor(t_us)` equals this representation of the events in
                (t_us - duration_us, t_us].

        Raises:
            ConfigError: an area without its output size or the reverse, or a duration that this
                representation cannot have.
        """

    def canvas(self, size: SensorSize) -> Canvas:
        """For windows of a whole sensor, one after the other: `canvas(events)` draws each into the
        same memory and clears what the one before had touched, rather than all of it."""
        from evface_edge.representation.canvas import Canvas

        return Canvas(self, size)

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise in place."""
        return cells

    def __call__(
        self, events: EventArray, size: SensorSize, *, t_us: int | None = None
    ) -> NDArray[np.float32]:
        """The whole sensor: (C, size.height, size.width).

        Raises:
            EventFormatError: events that are not of EVENT_DTYPE, outside, or out of order.
            ConfigError: an instant before the last event.
        """
        cells = uncleared(self.channels, size.height, size.width)
        if not has_events(events, size, t_us):
            cells[:] = 0
        elif not self._fill(events, cells, t_us):
            check_events(events, size)  # says what is wrong with them
        return self._finish(cells)

    def crop(
        self,
        events: EventArray,
        box: Box,
        output_size: tuple[int, int],
        *,
        t_us: int | None = None,
    ) -> NDArray[np.float32]:
        """The events inside `box`, scaled to (C, height, width) for output_size (width, height).

        A box with fewer pixels than the output is filled at its own resolution and enlarged
        bilinearly, so that small faces have no holes. The box may lie partly or wholly outside
        the sensor.

        Raises:
            EventFormatError: events that are not of EVENT_DTYPE or out of order.
            ConfigError: an output size below 1, or an instant before the last event.
        """
        width, height = inner_size(box, output_size)
        if self.channels * width * height >= MOST_CELLS:
            raise ConfigError("output_size", output_size, f"fewer than {MOST_CELLS} cells in all")
        flat = np.zeros(self.channels * height * width + 1, np.float32)
        if has_events(events, _LARGEST, t_us):
            edges = float(box.x), float(box.y), float(box.width), float(box.height)
            if not self._fill_crop(events, CropCells(edges, width, flat), t_us):
                check_events(events, _LARGEST)
        cells = flat[:-1].reshape(self.channels, height, width)
        return self._finish(enlarged(cells, output_size))


def has_events(events: EventArray, size: SensorSize, t_us: int | None) -> bool:
    """Whether there are events; what can be said of them at a glance is right."""
    if not isinstance(events, np.ndarray) or events.dtype != EVENT_DTYPE or events.ndim != 1:
        check_events(events, size)
    if not len(events):
        return False
    if t_us is not None and t_us < last_us(events):
        raise ConfigError(
            "t_us", t_us, f"an instant not before the last event, at {last_us(events)}"
        )
    return True


def last_us(events: EventArray) -> int:
    """Time of the last event."""
    return int(events["t"].item(-1))


def inner_size(box: Box, output_size: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows that a box is filled at: no more than its own pixels.

    Raises:
        ConfigError: an output size below 1.
    """
    width, height = output_size
    if width < 1 or height < 1:
        raise ConfigError("output_size", output_size, "width and height of 1 or more")
    return min(width, max(1, round(box.width))), min(height, max(1, round(box.height)))


def enlarged(cells: NDArray[np.float32], output_size: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinearly, outer edges aligned; as it is where it has that size already."""
    width, height = output_size
    if cells.shape[1:] == (height, width):
        return cells
    from evface_edge.representation.kernels import enlarge

    larger = np.empty((len(cells), height, width), np.float32)
    enlarge(cells, larger)
    return larger


def check_normalisation(value: str) -> None:
    if value not in NORMALISATIONS:
        raise ConfigError("normalisation", value, " or ".join(map(repr, NORMALISATIONS)))


def normalise(
    cells: NDArray[np.float32], normalisation: str, by: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Divide by SATURATION × the mean of the filled cells (of `by`) and clip, in place."""
    if normalisation == "mean":
        from evface_edge.representation.kernels import scale_and_clip, sum_of_filled

        total, filled = sum_of_filled((cells if by is None else by).reshape(-1))
        if filled:
            scale_and_clip(cells.reshape(-1), np.float32(filled / (SATURATION * total)))
    return cells
