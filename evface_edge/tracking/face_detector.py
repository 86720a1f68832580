"""Where faces are: a small network proposes squares, the landmark network judges them.

A proposal is looked at, looked at again in the box of its landmarks, and then in boxes moved and
scaled a little: the points of a face stay where they are, those of anything else follow the box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evface_edge.geometry import Box, SensorSize
from evface_edge.tracking.detector_network import DetectorNetwork
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import Detection, LandmarkNetwork
from evface_edge.tracking.places import Places

#: A new face must convince more than one that is being followed: probability, and fraction of the
#: card's limit of σ. Measured: faces 0.37 to 0.65 when they come into view, soon below 0.5;
#: textures and noise that pass for a face 0.58 to 0.85.
MIN_PRESENCE = 0.97
SIGMA_FRACTION = 0.55
#: A face less sure of itself than this must convince again, not before and not after so long: a
#: texture is like a face for an instant, now and then.
SURE_SIGMA_FRACTION, CONFIRM_US, CONFIRM_WITHIN_US = 0.45, 10_000, 100_000
#: The same where there are fewer events than this fraction of those wanted: noise is like a face at
#: times, but not so sure of itself.
FAINT_FRACTION, FAINT_SIGMA_FRACTION = 0.15, 0.5
#: How far the points may lie from their mean over all these boxes, ÷ longer side of the face.
#: Measured: faces 0.011 in the median and below 0.03 in good light; hands, people at a distance and
#: objects 0.05 to 0.11.
MAX_WANDER = 0.03
#: The boxes moved a little: shift along x and y ÷ longer side, and scale.
_MOVED = ((0.1, 0.05, 1.15), (-0.1, 0.05, 1.0), (0.0, -0.1, 0.87))
#: A box is settled when a further look at it moves it no farther; looks at most.
SETTLED_IOU, MAX_LOOKS = 0.75, 3
#: Boxes that overlap this much show the same face.
SAME_FACE_IOU = 0.4
#: No face lies so far inside another: it is a part of it.
MAX_INSIDE = 0.5
#: How many proposals are considered; how many more of them than faces wanted are looked at, and
#: how many closely.
PROPOSALS, SPARE_LOOKS, SPARE_CHECKS = 12, 1, 1
#: A proposal less like a face than this, at any size, makes way for others for so long; so does
#: one that looks like a face and has not convinced for a while: a face that comes into view does
#: within some hundredths of a second, and close looks take most of the time that there is.
DISMISSED_PRESENCE, DISMISSED_US, DISMISSED_IOU = 0.3, 50_000, 0.5
PATIENCE_US, DOUBTS_LAST_US = 300_000, 500_000
#: Sizes at which a proposal is looked at: of a face of few cells, they are not told well.
SCALES = (1.0, 0.72, 1.35)


class FaceDetector:
    """Whole sensor → faces, best first.

    Args:
        min_face_px: longer side of the smallest face, in pixels of the sensor.
    """

    def __init__(self, network: LandmarkNetwork, size: SensorSize, min_face_px: float) -> None:
        self._network, self._min_face_px = network, min_face_px
        self._detector = DetectorNetwork(size)
        #: Like a face, but not enough: looked at again next time.
        self.promising: list[Box] = []
        self._dismissed: list[tuple[Box, int]] = []  # unlike a face, and until when
        self._doubtful = Places(DOUBTS_LAST_US)
        self._convincing = Places(CONFIRM_WITHIN_US)

    def find(
        self,
        recent: EventBuffer,
        now_us: int,
        *,
        wanted: int = 1,
        taken: Sequence[Box] = (),
    ) -> list[Detection]:
        """The most convincing faces in the newest events, best first.

        Args:
            wanted: at most so many.
            taken: boxes of faces that are known already.
        """
        network = self._network
        looked = self._look(recent, now_us, wanted + SPARE_LOOKS, taken)
        found: list[Detection] = []
        checked: list[Box] = []
        for candidate in looked:
            unsure = candidate.presence < network.card.presence_threshold
            if unsure or len(found) == wanted:
                break
            if len(checked) == wanted + SPARE_CHECKS:
                break
            if not _fresh(candidate.box, checked) or not _apart(candidate.box, taken):
                continue
            checked.append(candidate.box)
            face, convincing = self._verify(recent, candidate, now_us)
            if not _apart(face.box, [*taken, *(f.box for f in found)]):
                continue
            if convincing:
                if self._is_sure(face, now_us):
                    found.append(face)
                else:
                    self.promising.append(face.box)
                continue
            if face.presence < network.card.presence_threshold:
                continue
            if self._doubtful.note(face.box, now_us) <= PATIENCE_US:
                self.promising.append(face.box)
            else:
                until_us = now_us + DISMISSED_US
                self._dismissed += [(candidate.box, until_us), (face.box, until_us)]
        return found

    def _is_sure(self, face: Detection, now_us: int) -> bool:
        """Whether a face that convinces is surely one, or has convinced before."""
        again = self._convincing.note(face.box, now_us) >= CONFIRM_US
        return again or face.relative_sigma <= SURE_SIGMA_FRACTION * self._network.card.sigma_limit

    def _look(
        self, recent: EventBuffer, now_us: int, count: int, taken: Sequence[Box]
    ) -> list[Detection]:
        """One look at each of so many proposals, in all sizes, and at what was promising before;
        most like a face first."""
        self._dismissed = [(box, until) for box, until in self._dismissed if until > now_us]
        squares = [
            candidate.box
            for candidate in self._detector.candidates(recent, now_us, PROPOSALS)
            if _apart(candidate.box, taken)
            and all(candidate.box.iou(box) < DISMISSED_IOU for box, _ in self._dismissed)
        ][:count]
        boxes = [square.square(scale) for square in squares for scale in SCALES]
        boxes += [box for box in self.promising if _apart(box, taken)]
        self.promising = []
        looks = self._network.detect(recent, boxes, now_us)
        for index, square in enumerate(squares):
            of_square = looks[index * len(SCALES) : (index + 1) * len(SCALES)]
            if max(look.presence for look in of_square) < DISMISSED_PRESENCE:
                self._dismissed.append((square, now_us + DISMISSED_US))
        return sorted(looks, key=lambda look: -look.presence)

    def _verify(
        self, recent: EventBuffer, candidate: Detection, now_us: int
    ) -> tuple[Detection, bool]:
        """The candidate after further looks, and whether moving the box does not move the face."""
        network = self._network
        for _ in range(MAX_LOOKS):
            last, candidate = candidate, network.detect(recent, [candidate.box], now_us)[0]
            if candidate.box.iou(last.box) >= SETTLED_IOU:
                break
        face = network.detect(recent, [candidate.box], now_us)[0]
        area = candidate.box.square(network.card.crop_scale).width ** 2
        faint = face.event_count < FAINT_FRACTION * network.card.window.target_events(area)
        fraction = FAINT_SIGMA_FRACTION if faint else SIGMA_FRACTION
        small = max(face.box.width, face.box.height) < self._min_face_px
        unsure = face.relative_sigma > fraction * network.card.sigma_limit
        if small or unsure or face.presence < MIN_PRESENCE:
            return face, False  # what is like a face mostly ends here
        moved = network.detect(recent, _moved(candidate.box), now_us)
        present = min(look.presence for look in moved) >= MIN_PRESENCE
        return face, present and _wander([face, *moved]) <= MAX_WANDER


def _fresh(box: Box, known: Sequence[Box]) -> bool:
    """Whether it shows none of the known faces."""
    return all(box.iou(other) < SAME_FACE_IOU for other in known)


def _apart(box: Box, known: Sequence[Box]) -> bool:
    """Whether it can be a further face beside the known ones."""
    return _fresh(box, known) and all(
        max(box.fraction_inside(other), other.fraction_inside(box)) < MAX_INSIDE for other in known
    )


def _moved(box: Box) -> list[Box]:
    longer = max(box.width, box.height)
    boxes = []
    for x, y, scale in _MOVED:
        width, height = scale * box.width, scale * box.height
        center_x, center_y = box.center
        left, top = center_x + x * longer - width / 2, center_y + y * longer - height / 2
        boxes.append(Box(left, top, width, height))
    return boxes


def _wander(detections: list[Detection]) -> float:
    """Mean distance of the points from their mean over all detections ÷ longer side of the face."""
    points = np.stack([detection.landmarks for detection in detections])
    distance = np.linalg.norm(points - points.mean(0), axis=-1).mean()
    return float(distance) / detections[0].box.longer_side
