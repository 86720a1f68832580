"""The voxel grid: events shared out between bins of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_edge.representation.base import Representation, check_normalisation, normalise


@dataclass(frozen=True)
class VoxelGrid(Representation):
    """(2 × bins, H, W): the OFF bins from old to new, then the ON bins.

    An event at time t falls between two bins and is shared out bilinearly; the first event of the
    window lies on bin 0, the last on bin B-1 (Zhu et al., CVPR 2019, eq. 1–2, polarities apart).

    Attributes:
        bins: of time, 2 or more.
        normalisation: "none": counts; "mean": in [0, 1], independent of how many events there are.
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

    def _fill(self, events: EventArray, box: Box, cells: NDArray[np.float32]) -> None:
        from evface_edge.representation.kernels import fill_voxels

        volume = cells.reshape(2, self.bins, *cells.shape[1:])
        fill_voxels(events, box.x, box.y, box.width, box.height, volume)

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalise(cells, self.normalisation)
