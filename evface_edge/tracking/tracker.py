"""Several faces over time: found, followed, told apart, found again."""

from __future__ import annotations

from dataclasses import dataclass

from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceLandmarks
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.face_detector import SAME_FACE_IOU, FaceDetector
from evface_edge.tracking.network import LandmarkNetwork
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.track import Track


@dataclass(frozen=True)
class _Lost:
    face_id: int
    box: Box
    until_us: int


class Tracker:
    """State of all faces; asked once for every output instant.

    Args:
        faces: at most so many at once.
        smooth: whether flicker is filtered out.
    """

    def __init__(
        self,
        network: LandmarkNetwork,
        size: SensorSize,
        *,
        faces: int = 1,
        smooth: bool = True,
        policy: TrackingPolicy | None = None,
    ) -> None:
        self._network, self._size, self._faces, self._smooth = network, size, faces, smooth
        self._policy = policy or TrackingPolicy()
        self._detector = FaceDetector(network, size, self._policy.min_face_px)
        self._tracks: list[Track] = []
        self._lost: list[_Lost] = []
        self._searched_us: int | None = None
        self._next_id = 0

    def update(self, recent: EventBuffer, now_us: int) -> list[FaceLandmarks]:
        """The faces at `now_us`, in the order of their numbers."""
        self._follow(recent, now_us)
        if len(self._tracks) < self._faces and self._search_is_due(now_us):
            self._searched_us = now_us
            self._find(recent, now_us)
        return [track.face for track in self._tracks]

    def _follow(self, recent: EventBuffer, now_us: int) -> None:
        crops = [self._network.crop(recent, track.search_box, now_us) for track in self._tracks]
        moving = [
            index
            for index, (track, crop) in enumerate(zip(self._tracks, crops, strict=True))
            if not track.is_still(crop)
        ]
        seen = dict(
            zip(moving, self._network.infer([crops[index] for index in moving]), strict=True)
        )
        kept: list[Track] = []
        for index, track in enumerate(self._tracks):
            if index in seen:
                face = track.follow(seen[index], crops[index], now_us)
            else:
                face = track.hold(now_us)
            if face is None:
                self._lost.append(
                    _Lost(track.face_id, track.search_box, now_us + self._policy.keep_id_us)
                )
            elif all(face.box.iou(other.face.box) < SAME_FACE_IOU for other in kept):
                kept.append(track)
        self._tracks = kept

    def _search_is_due(self, now_us: int) -> bool:
        policy = self._policy
        if self._tracks:
            pause_us = 3 * policy.search_interval_us
        elif self._detector.promising:
            pause_us = policy.search_interval_us
        else:
            pause_us = 2 * policy.search_interval_us
        return self._searched_us is None or now_us - self._searched_us >= pause_us

    def _find(self, recent: EventBuffer, now_us: int) -> None:
        taken = [track.face.box for track in self._tracks]
        wanted = self._faces - len(self._tracks)
        for found in self._detector.find(recent, now_us, wanted=wanted, taken=taken):
            track = Track(
                found,
                self._number(found.box, now_us),
                now_us,
                self._size,
                self._network,
                self._policy,
                smooth=self._smooth,
            )
            self._tracks.append(track)
        self._tracks.sort(key=lambda track: track.face_id)

    def _number(self, box: Box, now_us: int) -> int:
        """The number of a face lost here a moment ago, or a new one."""
        self._lost = [lost for lost in self._lost if lost.until_us >= now_us]
        near = [lost for lost in self._lost if _near(lost.box, box)]
        if near:
            best = max(near, key=lambda lost: lost.box.iou(box))
            self._lost.remove(best)
            return best.face_id
        self._next_id += 1
        return self._next_id - 1


def _near(old: Box, new: Box) -> bool:
    """Whether a face could have moved from one to the other, behind whatever hid it."""
    across = abs(old.center[0] - new.center[0]), abs(old.center[1] - new.center[1])
    return max(across) <= max(old.width, old.height, new.width, new.height)
