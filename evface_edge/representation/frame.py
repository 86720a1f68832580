"""The event frame: the number of events of each polarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.representation.base import (
    Cells,
    Representation,
    check_normalisation,
    divide_by_mean,
)


@dataclass(frozen=True)
class EventFrame(Representation):
    """(2, H, W): counts of OFF events, then of ON events.

    Attributes:
        normalisation: "none": counts; "mean": in [0, 1], independent of the number of events.
    """

    normalisation: str = "none"

    def __post_init__(self) -> None:
        check_normalisation(self.normalisation)

    @property
    def channels(self) -> int:
        return 2

    def _fill(self, events: EventArray, cells: Cells, t_us: int | None) -> bool:
        from evface_edge.representation.event_kernels import fill_frame

        return fill_frame(events, *cells)

    def _finish(self, cells: NDArray[np.float32]) -> None:
        if self.normalisation == "mean":
            divide_by_mean(cells)
