"""Where faces are: a small network proposes squares, the landmark network judges them.

A proposal is looked at, looked at again in the box of its landmarks, and then in boxes moved and
scaled a little: the points of a face stay where they are, those of anything else follow the box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evface_edge.geometry import Box, SensorSize
from evface_edge.tracking.finder_network import FinderNetwork
from evface_edge.tracking.network import LandmarkNetwork, Observation
from evface_edge.tracking.recent import RecentEvents

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
#: How many more proposals than faces wanted are looked at, and how many of them closely.
SPARE_LOOKS, SPARE_CHECKS = 2, 1
#: Sizes at which a proposal is looked at: of a face of few cells, they are not told well.
SCALES = (1.0, 0.72, 1.35)


class FaceFinder:
    """Whole sensor → faces, best first."""

    def __init__(self, network: LandmarkNetwork, size: SensorSize) -> None:
        self._network = network
        self._finder = FinderNetwork(size)

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
        network = self._network
        proposed = self._finder.candidates(recent, now_us, wanted + len(taken) + SPARE_LOOKS)
        squares = [c.box for c in proposed if _fresh(c.box, taken)][: wanted + SPARE_LOOKS]
        boxes = [square.square(scale) for square in squares for scale in SCALES]
        looked = sorted(network.observe(recent, boxes, now_us), key=lambda o: -o.presence)
        found: list[Observation] = []
        checked = list(taken)
        for candidate in looked:
            unsure = candidate.presence < network.card.presence_threshold
            if unsure or len(found) == wanted:
                break
            if len(checked) - len(taken) == wanted + SPARE_CHECKS:
                break
            if not _fresh(candidate.box, checked):
                continue
            checked.append(candidate.box)
            face = self._verify(recent, candidate, now_us)
            if face is not None and _fresh(face.box, [*taken, *(f.box for f in found)]):
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


def _fresh(box: Box, known: Sequence[Box]) -> bool:
    """Whether it shows none of the known faces."""
    return all(box.iou(other) < SAME_FACE_IOU for other in known)


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
