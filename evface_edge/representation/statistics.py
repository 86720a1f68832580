"""Event statistics: count, net polarity and regularity in time."""

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
class EventStatistics(Representation):
    """(3, H, W): event count, net polarity (ON minus OFF), standard deviation of time gaps.

    These are the hand-made channels of EvRepSL (Qu et al., IEEE TIP 2024), without its learned
    generator. A gap is the time between two consecutive events of one *sensor pixel*, of either
    polarity. Where a crop merges several pixels into a cell, the gaps of all of them are taken
    together; no gap is between two pixels. The deviation is that of the population (divided by the
    number of gaps), and 0 with fewer than two gaps.

    Attributes:
        normalisation: "none": counts, counts and µs; "mean" (our choice, the paper states none):
            count and net polarity relative to the mean count, deviation relative to its own mean,
            in [0, 1], [-1, 1] and [0, 1].
    """

    normalisation: str = "none"

    def __post_init__(self) -> None:
        check_normalisation(self.normalisation)

    @property
    def channels(self) -> int:
        return 3

    def _fill(self, events: EventArray, cells: Cells, t_us: int | None) -> bool:
        from evface_edge.representation.event_kernels import fill_statistics

        return fill_statistics(events, *cells)

    def _finish(self, cells: NDArray[np.float32]) -> None:
        if self.normalisation == "mean":
            divide_by_mean(cells[1], reference=cells[0])  # before the counts are normalised
            divide_by_mean(cells[0])
            divide_by_mean(cells[2])
