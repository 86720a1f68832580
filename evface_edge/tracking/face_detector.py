"""Finds new faces: a small network proposes squares, the landmark network confirms them.

The landmark network runs on each candidate, again on the box of its landmarks, and then on boxes
that are shifted and scaled a little: the landmarks of a face stay in place, those of anything else
follow the box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evface_edge.geometry import Box, SensorSize
from evface_edge.tracking.candidate_history import CandidateHistory
from evface_edge.tracking.candidates import CandidateSource
from evface_edge.tracking.detector_network import DetectorNetwork
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import Detection, LandmarkNetwork

#: A new face must be more certain than one that is followed: least presence, and largest σ ÷ the
#: card's limit. Measured: faces 0.37 to 0.65 when they appear, soon below 0.5; textures and noise
#: that resemble a face 0.58 to 0.85.
MIN_PRESENCE = 0.97
MAX_SIGMA_FRACTION = 0.55
#: A face is accepted at once below this σ. Above, it must be confirmed again after at least
#: CONFIRM_US, with gaps of at most CONFIRM_WITHIN_US: a texture resembles a face for an instant.
SURE_SIGMA_FRACTION, CONFIRM_US, CONFIRM_WITHIN_US = 0.45, 10_000, 100_000
#: With fewer events than this fraction of a full input, σ must be smaller: noise resembles a face
#: at times, with a larger σ.
FAINT_FRACTION, FAINT_SIGMA_FRACTION = 0.15, 0.5
#: Largest mean distance of the landmarks from their mean over all boxes ÷ longer side of the face.
#: Measured: faces 0.011 in the median and below 0.03 in good light; hands, distant people and
#: objects 0.05 to 0.11.
MAX_SPREAD = 0.03
#: Shift of a box along x and y ÷ its longer side, and its scale.
_JITTER = ((0.1, 0.05, 1.15), (-0.1, 0.05, 1.0), (0.0, -0.1, 0.87))
#: The box of the landmarks is final when one more inference changes it less than this.
FINAL_IOU, MAX_REFINEMENTS = 0.75, 3
#: Boxes that overlap this much show the same face; a box that lies this far inside another one
#: shows a part of the same face.
SAME_FACE_IOU, MAX_INSIDE = 0.4, 0.5
#: Candidates of the network; how many more than `max_faces` get an inference, and a confirmation.
MAX_CANDIDATES, SPARE_CANDIDATES, SPARE_CONFIRMATIONS = 12, 1, 1
#: A candidate with less presence than this at every scale is skipped for a while.
REJECTED_PRESENCE, REJECTED_US, REJECTED_IOU = 0.3, 50_000, 0.5
#: So is one with a presence like a face's that has not been confirmed for UNCONFIRMED_US, since
#: confirming takes most of the time: a face that appears is confirmed within some 10 ms.
UNCONFIRMED_US, UNCONFIRMED_MEMORY_US = 300_000, 500_000
#: Scales at which a candidate is tried: the network is not certain of the size of small faces.
SCALES = (1.0, 0.72, 1.35)


class FaceDetector:
    """Finds faces on the whole sensor.

    Args:
        size: of the sensor.
        min_face_px: longer side of the smallest face, pixels.
        candidates: by default those of the bundled detector network.

    Attributes:
        retry_boxes: boxes that were nearly confirmed; they are tried again at the next call.
    """

    def __init__(
        self,
        network: LandmarkNetwork,
        size: SensorSize,
        min_face_px: float,
        candidates: CandidateSource | None = None,
    ) -> None:
        self._network, self._min_face_px = network, min_face_px
        self._source = DetectorNetwork(size) if candidates is None else candidates
        self.retry_boxes: list[Box] = []
        self._rejected: list[tuple[Box, int]] = []  # and until when, µs
        self._unconfirmed = CandidateHistory(UNCONFIRMED_MEMORY_US)
        self._confirmed = CandidateHistory(CONFIRM_WITHIN_US)

    def find(
        self,
        buffer: EventBuffer,
        now_us: int,
        *,
        max_faces: int = 1,
        taken: Sequence[Box] = (),
    ) -> list[Detection]:
        """New faces in the newest events, those with the highest presence first.

        Args:
            max_faces: largest number of faces.
            taken: boxes of faces that are followed already.
        """
        threshold = self._network.card.presence_threshold
        faces: list[Detection] = []
        tried: list[Box] = []
        for candidate in self._detect(buffer, now_us, max_faces + SPARE_CANDIDATES, taken):
            if candidate.presence < threshold or len(faces) == max_faces:
                break
            if len(tried) == max_faces + SPARE_CONFIRMATIONS:
                break
            if not _is_other(candidate.box, tried) or not _is_apart(candidate.box, taken):
                continue
            tried.append(candidate.box)
            face, is_confirmed = self._confirm(buffer, candidate, now_us)
            if not _is_apart(face.box, [*taken, *(other.box for other in faces)]):
                continue
            if is_confirmed and self._is_sure(face, now_us):
                faces.append(face)
            elif is_confirmed:
                self.retry_boxes.append(face.box)
            elif face.presence >= threshold:
                if self._unconfirmed.add(face.box, now_us) <= UNCONFIRMED_US:
                    self.retry_boxes.append(face.box)
                else:
                    self._reject(candidate.box, now_us)
                    self._reject(face.box, now_us)
        return faces

    def _reject(self, box: Box, now_us: int) -> None:
        self._rejected.append((box, now_us + REJECTED_US))

    def _is_sure(self, face: Detection, now_us: int) -> bool:
        """Whether a confirmed face has a small σ, or was confirmed before."""
        again = self._confirmed.add(face.box, now_us) >= CONFIRM_US
        return again or face.relative_sigma <= SURE_SIGMA_FRACTION * self._network.card.sigma_limit

    def _detect(
        self, buffer: EventBuffer, now_us: int, count: int, taken: Sequence[Box]
    ) -> list[Detection]:
        """One inference for each of `count` candidates at each scale, and for each box to retry;
        highest presence first."""
        self._rejected = [(box, until_us) for box, until_us in self._rejected if until_us > now_us]
        squares = [
            candidate.box
            for candidate in self._source.candidates(buffer, now_us, MAX_CANDIDATES)
            if _is_apart(candidate.box, taken)
            and all(candidate.box.iou(box) < REJECTED_IOU for box, _ in self._rejected)
        ][:count]
        boxes = [square.square(scale) for square in squares for scale in SCALES]
        boxes += [box for box in self.retry_boxes if _is_apart(box, taken)]
        self.retry_boxes = []
        detections = self._network.detect(buffer, boxes, now_us)
        for index, square in enumerate(squares):
            scaled = detections[index * len(SCALES) : (index + 1) * len(SCALES)]
            if max(detection.presence for detection in scaled) < REJECTED_PRESENCE:
                self._reject(square, now_us)
        return sorted(detections, key=lambda detection: -detection.presence)

    def _confirm(
        self, buffer: EventBuffer, candidate: Detection, now_us: int
    ) -> tuple[Detection, bool]:
        """The candidate in its final box, and whether it is a face."""
        network = self._network
        for _ in range(MAX_REFINEMENTS):
            last, candidate = candidate, network.detect(buffer, [candidate.box], now_us)[0]
            if candidate.box.iou(last.box) >= FINAL_IOU:
                break
        crop = network.crop(buffer, candidate.box, now_us)
        face = network.infer([crop])[0]
        is_faint = face.event_count < FAINT_FRACTION * network.target_events(crop)
        fraction = FAINT_SIGMA_FRACTION if is_faint else MAX_SIGMA_FRACTION
        if (
            face.box.longer_side < self._min_face_px
            or face.relative_sigma > fraction * network.card.sigma_limit
            or face.presence < MIN_PRESENCE
        ):
            return face, False  # most candidates end here
        jittered = network.detect(buffer, _jittered(candidate.box), now_us)
        present = min(detection.presence for detection in jittered) >= MIN_PRESENCE
        return face, present and _spread([face, *jittered]) <= MAX_SPREAD


def _is_other(box: Box, known: Sequence[Box]) -> bool:
    """Whether a box shows none of the known faces."""
    return all(box.iou(other) < SAME_FACE_IOU for other in known)


def _is_apart(box: Box, known: Sequence[Box]) -> bool:
    """Whether a box can be a further face beside the known ones."""
    return _is_other(box, known) and all(
        max(box.fraction_inside(other), other.fraction_inside(box)) < MAX_INSIDE for other in known
    )


def _jittered(box: Box) -> list[Box]:
    boxes = []
    for x, y, scale in _JITTER:
        width, height = scale * box.width, scale * box.height
        center_x, center_y = box.center
        left = center_x + x * box.longer_side - width / 2
        top = center_y + y * box.longer_side - height / 2
        boxes.append(Box(left, top, width, height))
    return boxes


def _spread(detections: list[Detection]) -> float:
    """Mean distance of the landmarks from their mean over all detections ÷ longer side."""
    points = np.stack([detection.landmarks for detection in detections])
    distance = np.linalg.norm(points - points.mean(0), axis=-1).mean()
    return float(distance) / detections[0].box.longer_side
