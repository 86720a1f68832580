"""The voxel grid: events distributed over bins of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.representation.base import (
    Cells,
    Representation,
    check_normalisation,
    divide_by_mean,
)


@dataclass(frozen=True)
class VoxelGrid(Representation):
    """(2 × bins, H, W): the OFF bins from old to new, then the ON bins.

    An event is distributed bilinearly over the two bins around its time. The first event of the
    window is in bin 0, the last in bin B-1 (Zhu et al., CVPR 2019, eq. 1–2, one grid for each
    polarity). If all events have the same time, all are in bin 0.

    Attributes:
        bins: number of bins, 2 or more.
        normalisation: "none": counts; "mean": in [0, 1], independent of the number of events.
    """

    bins: int = 5
    normalisation: str = "none"

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ConfigError("VoxelGrid.bins", self.bins, "2 or more")
        check_normalisation(self.normalisation)

    @property
    def channels(self) -> int:
        return 2 * self.bins

    def _fill(self, events: EventArray, cells: Cells, t_us: int | None) -> bool:
        from evface_edge.representation.event_kernels import fill_voxels

        return fill_voxels(events, *cells, self.bins)

    def _finish(self, cells: NDArray[np.float32]) -> None:
        if self.normalisation == "mean":
            divide_by_mean(cells)
