"""Event statistics: how many, of which sign, and how regular in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    from evface_edge.representation.sliding import SlidingStatistics


@dataclass(frozen=True)
class EventStatistics(Representation):
    """(3, H, W): event count, net polarity (ON minus OFF), standard deviation of the time gaps.

    The hand-made part of EvRepSL (Qu et al., IEEE TIP 2024), which feeds it to a learned
    generator. A gap is the time between two events that follow one another at the *same sensor
    pixel*, whatever their polarity; where a crop shrinks several pixels into a cell, the gaps of
    all of them are taken together, and no gap crosses from one pixel to the next. The deviation is
    that of the population (divided by the number of gaps); 0 with fewer than two gaps.

    Attributes:
        normalisation: "none": counts, counts, and µs; "mean" (our choice; the paper states none):
            count and net polarity by the mean of the filled counts, deviation by its own, so that
            they lie in [0, 1], [-1, 1] and [0, 1].
    """

    normalisation: str = "none"

    def __post_init__(self) -> None:
        check_normalisation(self.normalisation)

    @property
    def channels(self) -> int:
        return 3

    def _fill(
        self, events: EventArray, cells: NDArray[np.float32], t_us: int | None, clear: bool = True
    ) -> bool:
        from evface_edge.representation.kernels import fill_statistics

        return fill_statistics(events, cells)

    def _fill_crop(self, events: EventArray, crop: CropCells, t_us: int | None) -> bool:
        from evface_edge.representation.crop_kernels import crop_statistics

        return crop_statistics(events, crop.box, crop.flat[:-1].reshape(3, -1, crop.width))

    def incremental(
        self,
        area: SensorSize | Box,
        output_size: tuple[int, int] | None = None,
        *,
        duration_us: int | None = None,
    ) -> SlidingStatistics:
        """Exact: a gap is taken off when the older of its two events leaves the window."""
        from evface_edge.representation.sliding import SlidingStatistics

        return SlidingStatistics(self, area, output_size, duration_us)

    def _finish(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        normalise(cells[1], self.normalisation, by=cells[0])  # while the count is still one
        normalise(cells[0], self.normalisation)
        normalise(cells[2], self.normalisation)
        return cells


def channels_of_sums(sums: NDArray[Any]) -> NDArray[np.float32]:
    """Sums (5, cells) of OFF, ON, gaps, gap (µs), gap² → count, net polarity, deviation in µs."""
    off, on, gaps, gap, square = sums
    number = np.maximum(gaps, 1)
    variance = np.maximum(square / number - (gap / number) ** 2, 0)
    return np.stack([off + on, on - off, np.sqrt(variance)]).astype(np.float32)
