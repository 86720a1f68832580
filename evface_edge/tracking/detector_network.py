"""The face detector's network, used as its card says: events of the whole sensor in, boxes out."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import evface_runtimes
from evface_edge.card import ModelCard
from evface_edge.card_file import check_tensors, read_card
from evface_edge.errors import ConfigError, ModelError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.models import FOLDER
from evface_edge.tracking.detector_grid import GridShape, SensorGrid
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.peaks import find_peaks
from evface_runtimes.base import BaseRuntime

#: It came along. Not among the models that are asked for by name: it gives no landmarks.
BUNDLED = FOLDER / "detector" / "evface-detector-int8.onnx"
#: Parts of the sensor that are looked at more finely, one with each search: their sides ÷ the
#: sensor's. They overlap by more than the size of the faces that need them.
PART = 0.6
#: The same with everything four times as fast: what was there before a face came into view, such
#: as that which hid it, is soon forgotten.
BRIEF = 1 / 4
#: Boxes that overlap this much show the same face.
_SAME_IOU = 0.4


class Candidate(NamedTuple):
    """A square where a face may be, and how likely, 0 to 1."""

    score: float
    box: Box


class DetectorNetwork:
    """A face detector's model file, for one sensor; it runs on the CPU, where 0.3 ms are enough.

    Raises:
        ModelError: no card, or one that does not fit the file's tensors.
    """

    def __init__(self, size: SensorSize, path: Path = BUNDLED) -> None:
        self.card, self._runtime = _opened(path)
        names = {spec.name: spec.shape for spec in self.card.outputs}
        try:
            shape = GridShape.from_config(self.card.representation)
        except ConfigError as error:
            raise ModelError(f"{path}: not a face detector: {error}") from None
        expected = (shape.channels, shape.height, shape.width)
        if set(names) != {"heat", "place"} or self.card.inputs[0].shape[1:] != expected:
            raise ModelError(
                f"{path}: not a face detector: the card names inputs {self.card.inputs} and "
                f"outputs {', '.join(names)}"
            )
        self._stride = shape.width // names["heat"][-1]
        self._size, self._grid = size, SensorGrid(shape, size)
        self._brief = SensorGrid(replace(shape, lookback_us=round(BRIEF * shape.lookback_us)), size)
        parts = (SensorGrid(shape, size, part) for part in _parts(size))
        self._parts = [grid for grid in parts if grid.pixels_per_cell < self._grid.pixels_per_cell]
        self._searches = 0

    def candidates(self, recent: EventBuffer, now_us: int, count: int) -> list[Candidate]:
        """At most so many, best first: of the whole sensor, and of one part after the other."""
        events = recent.newest(self._grid.shape.max_events)
        if not len(events):
            return []
        grids = [self._grid, self._brief]
        if self._parts:
            grids.append(self._parts[self._searches % len(self._parts)])
            self._searches += 1
        peaks = [peak for grid in grids for peak in self._peaks(grid, events, now_us, count)]
        found: list[Candidate] = []
        for peak in sorted(peaks, key=lambda peak: -peak.score):
            if all(peak.box.iou(other.box) < _SAME_IOU for other in found):
                found.append(peak)
        return found[:count]

    def _peaks(
        self, grid: SensorGrid, events: EventArray, now_us: int, count: int
    ) -> list[Candidate]:
        outputs = self._runtime.run({self.card.inputs[0].name: grid(events, now_us)[None]})
        peaks = find_peaks(
            outputs["heat"][0, 0],
            outputs["place"][0],
            self._stride,
            threshold=self.card.presence_threshold,
            count=count,
        )
        scale, shown = grid.pixels_per_cell, grid.shown
        found = []
        for peak in peaks:
            side = peak.side * scale
            x, y = shown.x + peak.x * scale - 0.5, shown.y + peak.y * scale - 0.5
            if 0 <= x < self._size.width and 0 <= y < self._size.height:
                found.append(Candidate(peak.score, Box(x - side / 2, y - side / 2, side, side)))
        return found


def _parts(size: SensorSize) -> list[Box]:
    """The four corners."""
    width, height = round(PART * size.width), round(PART * size.height)
    return [
        Box(x, y, width, height) for y in (0, size.height - height) for x in (0, size.width - width)
    ]


@lru_cache(maxsize=4)
def _opened(path: Path) -> tuple[ModelCard, BaseRuntime]:
    """Once for all streams: a runtime may be used by several threads, and holds no state."""
    card = read_card(path)
    runtime = evface_runtimes.load(path, runtime="onnxruntime", device="cpu", threads=1)
    check_tensors(card, runtime.inputs, runtime.outputs, origin=str(path))
    return card, runtime
