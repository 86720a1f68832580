"""The event frame: how many events of each polarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_edge.representation.base import Representation, check_normalisation, normalise


@dataclass(frozen=True)
class EventFrame(Representation):
    """(2, H, W): counts of OFF events, then of ON events.

    Attributes:
        normalisation: "none": counts; "mean": in [0, 1], independent of how many events there are.
    """

    normalisation: str = "none"

    def __post_init__(self) -> None:
        check_normalisation(self.normalisation)

    @property
    def channels(self) -> int:
        return 2

    def _fill(self, events: EventArray, box: Box, cells: NDArray[np.float32]) -> None:
        from evface_edge.representation.kernels import fill_frame

        fill_frame(events, box.x, box.y, box.width, box.height, cells)

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalise(cells, self.normalisation)
