"""Heat maps → candidates: the peaks, best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Longest side of a face box, in cells of the heat map: e^x of a network may be anything.
_MAX_SIDE_CELLS = 64.0


@dataclass(frozen=True)
class Peak:
    """A place where a face may be: middle and side of its box, in cells of the grid."""

    score: float
    x: float
    y: float
    side: float

    def iou(self, other: Peak) -> float:
        """Of the two squares."""
        reach = (self.side + other.side) / 2
        across, down = (
            min(max(reach - abs(a - b), 0.0), self.side, other.side)
            for a, b in ((self.x, other.x), (self.y, other.y))
        )
        overlap = across * down
        return overlap / (self.side**2 + other.side**2 - overlap)


def find_peaks(
    heat: NDArray[np.floating],
    place: NDArray[np.floating],
    stride: int,
    *,
    threshold: float = 0.0,
    count: int = 8,
    max_iou: float = 0.4,
) -> list[Peak]:
    """At most `count` peaks above the threshold that do not show the same face, best first.

    Args:
        heat: (h, w) logits.
        place: (3, h, w): x and y of the middle from the cell's own in cells of the heat map, and
            the natural logarithm of the side in cells of the grid.
        stride: cells of the grid to one of the heat map.
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
        dx, dy, log_side = (float(v) for v in place[:, row, column])
        peak = Peak(
            float(score[row, column]),
            (column + 0.5 + float(np.clip(dx, -4, 4))) * stride,
            (row + 0.5 + float(np.clip(dy, -4, 4))) * stride,
            float(np.exp(np.clip(log_side, 0, np.log(_MAX_SIDE_CELLS * stride)))),
        )
        if all(peak.iou(better) <= max_iou for better in peaks):
            peaks.append(peak)
        if len(peaks) == count:
            break
    return peaks
