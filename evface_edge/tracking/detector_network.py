"""The face detector's network: events of the whole sensor in, candidate squares out."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import evface_runtimes
from evface_edge.card import ModelCard
from evface_edge.card_file import check_tensors, read_card
from evface_edge.errors import ConfigError, ModelError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.models import FOLDER
from evface_edge.tracking.candidates import Candidate
from evface_edge.tracking.detector_grid import GridShape, SensorGrid
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.peaks import find_peaks
from evface_runtimes import Runtime

#: The bundled detector. It gives no landmarks, so it is not one of the models users name.
BUNDLED = FOLDER / "detector" / "evface-detector-int8.onnx"
#: Side of a part of the sensor ÷ side of the sensor. Each search includes one part on a finer
#: grid; parts overlap by more than the size of the faces that need them.
PART = 0.6
#: Each search includes the whole sensor with this fraction of the duration: events of an object
#: that hid a face are forgotten sooner.
SHORT_FRACTION = 1 / 4
#: Squares that overlap this much show the same face.
_SAME_IOU = 0.4


class DetectorNetwork:
    """A face detector's network for one sensor, on the CPU; an inference takes about 0.3 ms.

    Raises:
        ModelError: the file has no card, or is not a face detector.
    """

    def __init__(self, size: SensorSize, path: Path = BUNDLED) -> None:
        self.card, self._runtime = _open(path)
        outputs = {spec.name: spec.shape for spec in self.card.outputs}
        try:
            shape = GridShape.from_config(self.card.representation)
        except ConfigError as error:
            raise ModelError(
                f"not a face detector: {error}",
                path=path,
                field="representation",
                value=self.card.representation,
            ) from None
        expected = (shape.channels, shape.height, shape.width)
        if set(outputs) != {"heat", "place"} or self.card.inputs[0].shape[1:] != expected:
            raise ModelError(
                f"not a face detector: inputs {self.card.inputs}, outputs {', '.join(outputs)}",
                path=path,
                field="outputs",
                value=sorted(outputs),
                expected="heat, place",
            )
        self._stride = shape.width // outputs["heat"][-1]
        self._size, self._grid = size, SensorGrid(shape, size)
        short_us = round(SHORT_FRACTION * shape.lookback_us)
        self._short = SensorGrid(replace(shape, lookback_us=short_us), size)
        parts = (SensorGrid(shape, size, part) for part in _parts(size))
        self._parts = [grid for grid in parts if grid.pixels_per_cell < self._grid.pixels_per_cell]
        self._searches = 0

    def candidates(self, buffer: EventBuffer, now_us: int, count: int) -> list[Candidate]:
        """At most `count` candidates on the whole sensor, best first."""
        events = buffer.newest(self._grid.shape.max_events)
        if not len(events):
            return []
        grids = [self._grid, self._short]
        if self._parts:
            grids.append(self._parts[self._searches % len(self._parts)])
            self._searches += 1
        peaks = [peak for grid in grids for peak in self._peaks(grid, events, now_us, count)]
        chosen: list[Candidate] = []
        for peak in sorted(peaks, key=lambda peak: -peak.score):
            if all(peak.box.iou(other.box) < _SAME_IOU for other in chosen):
                chosen.append(peak)
        return chosen[:count]

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
        candidates = []
        for peak in peaks:
            side = peak.side * scale
            x, y = shown.x + peak.x * scale - 0.5, shown.y + peak.y * scale - 0.5
            if 0 <= x < self._size.width and 0 <= y < self._size.height:
                box = Box(x - side / 2, y - side / 2, side, side)
                candidates.append(Candidate(peak.score, box))
        return candidates


def _parts(size: SensorSize) -> list[Box]:
    """The four corners of the sensor."""
    width, height = round(PART * size.width), round(PART * size.height)
    return [
        Box(x, y, width, height) for y in (0, size.height - height) for x in (0, size.width - width)
    ]


@lru_cache(maxsize=4)
def _open(path: Path) -> tuple[ModelCard, Runtime]:
    """Opened once for all streams: a runtime is safe in several threads and has no state."""
    card = read_card(path)
    runtime = evface_runtimes.load(path, runtime="onnxruntime", device="cpu", threads=1)
    check_tensors(card, runtime.inputs, runtime.outputs, origin=path)
    return card, runtime
