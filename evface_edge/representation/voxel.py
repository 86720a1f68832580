"""The voxel grid: events shared out between bins of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation.base import (
    CropCells,
    Representation,
    check_normalisation,
    normalise,
)

if TYPE_CHECKING:
    from evface_edge.representation.sliding import SlidingVoxels


@dataclass(frozen=True)
class VoxelGrid(Representation):
    """(2 × bins, H, W): the OFF bins from old to new, then the ON bins.

    An event at time t falls between two bins and is shared out bilinearly; the first event of the
    window lies on bin 0, the last on bin B-1 (Zhu et al., CVPR 2019, eq. 1–2, polarities apart).
    Events of one and the same time all lie on bin 0.

    Attributes:
        bins: of time, 2 or more.
        normalisation: "none": counts; "mean": in [0, 1], independent of how many events there are.
    """

    bins: int = 5
    normalisation: str = "none"

    sparse = True

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ConfigError("VoxelGrid.bins", self.bins, "2 or more")
        check_normalisation(self.normalisation)

    @property
    def channels(self) -> int:
        return 2 * self.bins

    def _fill(
        self, events: EventArray, cells: NDArray[np.float32], t_us: int | None, clear: bool = True
    ) -> bool:
        from evface_edge.representation.kernels import fill_voxels

        return fill_voxels(events, cells.reshape(2, self.bins, *cells.shape[1:]), clear)

    def _fill_crop(self, events: EventArray, crop: CropCells, t_us: int | None) -> bool:
        from evface_edge.representation.crop_kernels import crop_voxels

        plane = len(crop.flat) // self.channels
        return crop_voxels(events, crop.box, crop.width, plane, self.bins, crop.flat)

    def incremental(
        self,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None = None,
        *,
        duration_us: int | None = None,
    ) -> SlidingVoxels:
        """Exact up to the rounding of float32: an event moves on when a bin's border passes it.

        Needs a duration: all events of the window are kept, since the bins move with it.
        """
        from evface_edge.representation.sliding import SlidingVoxels

        return SlidingVoxels(self, area, output_size, duration_us)

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalise(cells, self.normalisation)
