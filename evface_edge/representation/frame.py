"""The event frame: how many events of each polarity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation.base import (
    CropCells,
    Representation,
    check_normalisation,
    normalise,
)

if TYPE_CHECKING:
    from evface_edge.representation.sliding import SlidingFrame


@dataclass(frozen=True)
class EventFrame(Representation):
    """(2, H, W): counts of OFF events, then of ON events.

    Attributes:
        normalisation: "none": counts; "mean": in [0, 1], independent of how many events there are.
    """

    normalisation: str = "none"

    sparse = True

    def __post_init__(self) -> None:
        check_normalisation(self.normalisation)

    @property
    def channels(self) -> int:
        return 2

    def _fill(
        self, events: EventArray, cells: NDArray[np.float32], t_us: int | None, clear: bool = True
    ) -> bool:
        return _loops()[0 if clear else 1](events, cells)

    def _fill_crop(self, events: EventArray, crop: CropCells, t_us: int | None) -> bool:
        return _loops()[2](events, crop.box, crop.width, len(crop.flat) // 2, crop.flat)

    def incremental(
        self,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None = None,
        *,
        duration_us: int | None = None,
    ) -> SlidingFrame:
        """Exact: an event is counted when it comes and discounted when it leaves the window."""
        from evface_edge.representation.sliding import SlidingFrame

        return SlidingFrame(self, area, output_size, duration_us)

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalise(cells, self.normalisation)


@cache
def _loops() -> tuple[Callable[..., bool], ...]:
    """Found once: for 20,000 events an import statement takes a tenth of the whole."""
    from evface_edge.representation.count_kernels import count_events, fill_frame
    from evface_edge.representation.crop_kernels import crop_frame

    return fill_frame, count_events, crop_frame
