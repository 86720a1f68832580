"""The first face finder: try boxes of several sizes where events are dense, keep the best.

It asks the landmark network itself, so it needs no model of its own: the boxes are ranked by how
many events they hold, the most promising looked at in one batch. The winner is looked at again in
boxes moved and scaled a little: the points of a face stay where they are, those of anything else
follow the box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_edge.tracking.network import LandmarkNetwork, Observation
from evface_edge.tracking.recent import RecentEvents

#: Sides of the boxes tried, as shares of the sensor's shorter side.
SCALES = (0.9, 0.64, 0.46, 0.33, 0.23)
#: Step from box to box, as a share of the side.
STRIDE = 0.25
#: How many boxes are looked at.
CANDIDATES = 24
#: No box smaller than this is tried: there is nothing to see in it.
MIN_SIDE_PX = 32.0
#: A new face must convince more than one that is being followed: probability, and share of the
#: card's limit of σ.
MIN_PRESENCE = 0.9
SIGMA_SHARE = 0.75
#: How far the points may lie from their mean over the moved boxes, ÷ longer side of the face.
#: Measured: faces 0.011 in the median and below 0.03 in good light; hands, people at a distance and
#: objects 0.05 to 0.11.
MAX_WANDER = 0.03
#: The moved boxes: shift along x and y ÷ longer side, and scale.
_MOVED = ((0.0, 0.0, 1.0), (0.1, 0.05, 1.15), (-0.1, 0.05, 1.0), (0.0, -0.1, 0.87))
#: Boxes that overlap this much show the same face.
SAME_FACE_IOU = 0.4
#: How many promising boxes more than faces wanted are looked at closely.
SPARE_CHECKS = 0
MAX_EVENTS = 50_000
_CELL_PX = 8


class CropSearchFinder:
    """Whole sensor → the face box, or nothing."""

    def __init__(self, network: LandmarkNetwork, size: SensorSize) -> None:
        self._network, self._size = network, size
        self._boxes = _boxes(size)

    def find(
        self,
        recent: RecentEvents,
        now_us: int,
        *,
        wanted: int = 1,
        taken: Sequence[Box] = (),
    ) -> list[Observation]:
        """The most convincing faces in the newest events, best first.

        Args:
            wanted: at most so many.
            taken: boxes of faces that are known already.
        """
        events = recent.events[-MAX_EVENTS:]
        if not len(events):
            return []
        network = self._network
        candidates = self._densest(events, taken)
        seen = sorted(network.observe(recent, candidates, now_us), key=lambda o: -o.presence)
        found: list[Observation] = []
        judged: list[Box] = list(taken)
        verified = 0
        for candidate in seen:
            if len(found) == wanted or verified == wanted + SPARE_CHECKS:
                break
            if candidate.presence < network.card.presence_threshold:
                break
            if any(candidate.box.iou(box) > SAME_FACE_IOU for box in judged):
                continue
            verified += 1
            judged.append(candidate.box)
            face = self._verify(recent, candidate, now_us)
            if face is not None and all(face.box.iou(f.box) <= SAME_FACE_IOU for f in found):
                found.append(face)
        return found

    def _verify(
        self, recent: RecentEvents, candidate: Observation, now_us: int
    ) -> Observation | None:
        """The candidate after a second look, if moving the box does not move the face."""
        network = self._network
        second = network.observe(recent, [candidate.box], now_us)[0]
        looks = network.observe(recent, _moved(second.box), now_us)
        convincing = (
            min(look.presence for look in looks) >= MIN_PRESENCE
            and looks[0].relative_sigma <= SIGMA_SHARE * network.card.sigma_limit
            and _wander(looks) <= MAX_WANDER
        )
        return looks[0] if convincing else None

    def _densest(self, events: EventArray, taken: Sequence[Box]) -> list[Box]:
        """The boxes with the most events for their size, which do not merely repeat each other."""
        totals = _integral_image(events, self._size)
        boxes = self._boxes
        edges = np.clip(np.round(boxes / _CELL_PX).astype(int), 0, None)
        rows, columns = totals.shape[0] - 1, totals.shape[1] - 1
        left, right = np.clip(edges[:, [0, 2]], 0, columns).T
        top, bottom = np.clip(edges[:, [1, 3]], 0, rows).T
        held = totals[bottom, right] - totals[top, right] - totals[bottom, left] + totals[top, left]
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        # Between count (which favours the whole sensor) and density (which favours hot pixels).
        score = held / np.sqrt(area)
        chosen: list[Box] = []
        minimum = self._network.card.window.min_events / 4
        for index in np.argsort(-score):
            x0, y0, x1, y1 = boxes[index]
            box = Box(float(x0), float(y0), float(x1 - x0), float(y1 - y0))
            fresh = all(box.iou(other) < SAME_FACE_IOU for other in taken)
            if held[index] >= minimum and fresh and all(box.iou(b) < 0.5 for b in chosen):
                chosen.append(box)
            if len(chosen) == CANDIDATES:
                break
        return chosen


def _moved(box: Box) -> list[Box]:
    longer = max(box.width, box.height)
    boxes = []
    for x, y, scale in _MOVED:
        width, height = scale * box.width, scale * box.height
        center_x, center_y = box.center
        left, top = center_x + x * longer - width / 2, center_y + y * longer - height / 2
        boxes.append(Box(left, top, width, height))
    return boxes


def _wander(looks: list[Observation]) -> float:
    """Mean distance of the points from their mean over all looks ÷ longer side of the face."""
    points = np.stack([look.landmarks for look in looks])
    distance = np.linalg.norm(points - points.mean(0), axis=-1).mean()
    return float(distance) / max(looks[0].box.width, looks[0].box.height)


def _boxes(size: SensorSize) -> NDArray[np.float64]:
    """All boxes tried, (N, 4): left, top, right, bottom."""
    boxes: list[tuple[float, float, float, float]] = []
    for scale in SCALES:
        side = scale * min(size.width, size.height)
        if side < MIN_SIDE_PX and boxes:
            break
        for y in _starts(side, size.height):
            boxes += [(x, y, x + side, y + side) for x in _starts(side, size.width)]
    return np.array(boxes)


def _starts(side: float, length: int) -> NDArray[np.float64]:
    count = max(1, int(np.ceil((length - side) / (STRIDE * side))) + 1)
    return np.linspace(0, max(length - side, 0), count)


def _integral_image(events: EventArray, size: SensorSize) -> NDArray[np.int64]:
    """Sums over cells of 8 × 8 pixels; each pixel counts at most a few times, so that a hot one
    weighs no more than a busy one."""
    busy = np.bincount(
        events["y"].astype(np.int64) * size.width + events["x"], minlength=size.width * size.height
    )
    frame = np.minimum(busy, 4).reshape(size.height, size.width)
    rows, columns = -(-size.height // _CELL_PX), -(-size.width // _CELL_PX)
    padded = np.zeros((rows * _CELL_PX, columns * _CELL_PX), np.int64)
    padded[: size.height, : size.width] = frame
    cells = padded.reshape(rows, _CELL_PX, columns, _CELL_PX).sum((1, 3))
    totals = np.zeros((rows + 1, columns + 1), np.int64)
    totals[1:, 1:] = cells.cumsum(0).cumsum(1)
    return totals
