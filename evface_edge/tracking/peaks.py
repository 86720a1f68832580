"""Heat maps of the face detector's network → peaks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evface_edge.geometry import Box

#: Longest side of a face box, in cells of the heat map; the network gives its logarithm.
_MAX_SIDE_CELLS = 64.0
#: Farthest middle of a face from its cell, in cells of the heat map.
_MAX_OFFSET_CELLS = 4.0
#: Of two peaks that overlap more, only the better one is kept.
_SAME_IOU = 0.4


class Peak(NamedTuple):
    """A square where a face may be, in cells of the grid: score 0 to 1, middle, side."""

    score: float
    x: float
    y: float
    side: float

    @property
    def box(self) -> Box:
        """The square, in cells of the grid."""
        return Box(self.x - self.side / 2, self.y - self.side / 2, self.side, self.side)

    def iou(self, other: Peak) -> float:
        """Intersection over union of the two squares, 0 to 1."""
        return self.box.iou(other.box)


def find_peaks(
    heat: NDArray[np.floating],
    place: NDArray[np.floating],
    stride: int,
    *,
    threshold: float = 0.0,
    count: int = 8,
) -> list[Peak]:
    """At most `count` local maxima above the threshold that do not overlap, best first.

    Args:
        heat: (h, w) logits.
        place: (3, h, w): x and y of the middle of the face relative to the cell, in cells of the
            heat map, and the natural logarithm of the side in cells of the grid.
        stride: cells of the grid per cell of the heat map.
        threshold: probability, 0 to 1.
    """
    height, width = heat.shape
    padded = np.pad(heat, 1, constant_values=-np.inf)
    around = np.max(
        [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0
    )
    score = 1 / (1 + np.exp(-np.clip(heat.astype(np.float64), -30, 30)))
    rows, columns = np.nonzero((heat >= around) & (score >= threshold))
    order = np.argsort(-score[rows, columns], kind="stable")
    peaks: list[Peak] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        dx, dy = np.clip(place[:2, row, column], -_MAX_OFFSET_CELLS, _MAX_OFFSET_CELLS).tolist()
        log_side = float(place[2, row, column])
        peak = Peak(
            float(score[row, column]),
            (column + 0.5 + dx) * stride,
            (row + 0.5 + dy) * stride,
            float(np.exp(np.clip(log_side, 0, np.log(_MAX_SIDE_CELLS * stride)))),
        )
        if all(peak.iou(better) <= _SAME_IOU for better in peaks):
            peaks.append(peak)
        if len(peaks) == count:
            break
    return peaks
