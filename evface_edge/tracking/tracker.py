"""Several faces over time: searched for, followed, and numbered."""

from __future__ import annotations

from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceLandmarks
from evface_edge.tracking.candidates import CandidateSource
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.face_detector import SAME_FACE_IOU, FaceDetector
from evface_edge.tracking.network import LandmarkNetwork
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.state_machine import Event, State
from evface_edge.tracking.track import Track

#: Intervals between searches ÷ `search_interval_us`: without a box to retry, and while
#: other faces are followed.
IDLE_SEARCH_FACTOR, FURTHER_SEARCH_FACTOR = 2, 3


class Tracker:
    """All faces of one stream; `update` is called once for each output instant.

    Args:
        size: of the sensor.
        faces: largest number of faces followed at once.
        smooth: whether a Kalman filter reduces flicker.
        candidates: where faces may be; by default the bundled face detector.
    """

    def __init__(
        self,
        network: LandmarkNetwork,
        size: SensorSize,
        *,
        faces: int = 1,
        smooth: bool = True,
        policy: TrackingPolicy | None = None,
        candidates: CandidateSource | None = None,
    ) -> None:
        self._network, self._size, self._faces, self._smooth = network, size, faces, smooth
        self._policy = policy or TrackingPolicy()
        self._detector = FaceDetector(network, size, self._policy.min_face_px, candidates)
        self._tracks: list[Track] = []
        self._lost: list[Track] = []
        self._searched_us: int | None = None
        self._next_id = 0

    def update(self, buffer: EventBuffer, now_us: int) -> list[FaceLandmarks]:
        """The faces at `now_us`, in the order of their numbers."""
        self._follow(buffer, now_us)
        if len(self._tracks) < self._faces and self._search_is_due(now_us):
            self._searched_us = now_us
            self._search(buffer, now_us)
        return [track.face for track in self._tracks]

    def _follow(self, buffer: EventBuffer, now_us: int) -> None:
        crops = [self._network.crop(buffer, track.search_box, now_us) for track in self._tracks]
        moving = [
            (track, crop)
            for track, crop in zip(self._tracks, crops, strict=True)
            if not track.is_still(crop)
        ]
        detections = self._network.infer([crop for _, crop in moving])
        updates = {
            track.face_id: (detection, crop)
            for (track, crop), detection in zip(moving, detections, strict=True)
        }
        kept: list[Track] = []
        for track in self._tracks:
            if track.face_id in updates:
                track.update(*updates[track.face_id], now_us)
            else:
                track.hold(now_us)
            if track.state is State.LOST:
                self._lost.append(track)
            elif any(track.face.box.iou(other.face.box) >= SAME_FACE_IOU for other in kept):
                track.apply(Event.DUPLICATE, now_us)
            else:
                kept.append(track)
        self._tracks = kept

    def _search_is_due(self, now_us: int) -> bool:
        interval_us = self._policy.search_interval_us
        if self._tracks:
            interval_us *= FURTHER_SEARCH_FACTOR
        elif not self._detector.retry_boxes:
            interval_us *= IDLE_SEARCH_FACTOR
        return self._searched_us is None or now_us - self._searched_us >= interval_us

    def _search(self, buffer: EventBuffer, now_us: int) -> None:
        taken = [track.face.box for track in self._tracks]
        max_faces = self._faces - len(self._tracks)
        for detection in self._detector.find(buffer, now_us, max_faces=max_faces, taken=taken):
            track = self._find_lost(detection.box, now_us)
            if track is not None:
                track.start(detection, now_us)
            else:
                track = Track(
                    detection,
                    self._next_id,
                    now_us,
                    self._size,
                    self._network,
                    self._policy,
                    smooth=self._smooth,
                )
                self._next_id += 1
            self._tracks.append(track)
        self._tracks.sort(key=lambda track: track.face_id)

    def _find_lost(self, box: Box, now_us: int) -> Track | None:
        """The track of a face that was lost near this box a moment ago; no longer in the list."""
        forgotten = [
            track for track in self._lost if now_us - track.changed_us > self._policy.keep_id_us
        ]
        for track in forgotten:
            track.apply(Event.FORGOTTEN, now_us)
            self._lost.remove(track)
        near = [track for track in self._lost if _is_near(track.search_box, box)]
        if not near:
            return None
        best = max(near, key=lambda track: track.search_box.iou(box))
        self._lost.remove(best)
        return best


def _is_near(old: Box, new: Box) -> bool:
    """Whether a face could have moved from one box to the other while it was hidden."""
    distance = max(abs(old.center[0] - new.center[0]), abs(old.center[1] - new.center[1]))
    return distance <= max(old.longer_side, new.longer_side)
