"""Fixed inputs of the networks, from the bundled demo recording and its true face boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge import DEMO_RECORDING, Box, EventBuffer, read_events
from evface_edge.card_file import read_card
from evface_edge.geometry import SensorSize
from evface_edge.representation import from_config
from evface_edge.tracking.detector_grid import NAME as DETECTOR_GRID
from evface_edge.tracking.detector_grid import GridShape, SensorGrid


def demo_inputs(model: Path, count: int) -> NDArray[np.float32]:
    """Inputs of a model at `count` instants spread over the recording, (count, C, H, W)."""
    card = read_card(model)
    events, size = read_events(DEMO_RECORDING)
    truth = np.load(DEMO_RECORDING.with_suffix(".landmarks.npz"))
    # The first instants have too few events before them.
    at = np.linspace(len(truth["t_us"]) // 6, len(truth["t_us"]) - 1, count).astype(int)
    inputs = []
    for index in at:
        now_us = int(truth["t_us"][index])
        before = events[: np.searchsorted(events["t"], now_us, side="right")]
        if card.representation["name"] == DETECTOR_GRID:
            inputs.append(detector_grid(model, size)(before, now_us))
            continue
        representation, side = from_config(card.representation)
        buffer = EventBuffer(card.window.max_duration_us)
        buffer.append(before)
        square = Box.around(truth["points98"][index]).square(card.crop_scale)
        newest, _ = buffer.window(square, card.window, now_us)
        inputs.append(representation.crop(newest, square, side))
    return np.stack(inputs)


def detector_grid(model: Path, size: SensorSize) -> SensorGrid:
    """The grid of a face detector for a sensor."""
    return SensorGrid(GridShape.from_config(read_card(model).representation), size)
