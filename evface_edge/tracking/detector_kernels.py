"""The face detector's loop over events; compiled on first use and cached."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled


@compiled
def count_cells(
    events: EventArray,
    across: NDArray[np.int32],
    down: NDArray[np.int32],
    counts: NDArray[np.float32],
) -> None:
    """Count events in cells (2, height + 1, width + 1), OFF then ON.

    Args:
        across, down: the cell of each column and of each row of the sensor; the last row and
            column of `counts` are for events outside.
    """
    for event in events:
        counts[event.p, down[event.y], across[event.x]] += np.float32(1)
