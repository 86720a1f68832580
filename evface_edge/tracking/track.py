"""One face over time: followed, held while it is still, lost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evface_edge.geometry import Box, SensorSize
from evface_edge.landmarks import LEFT_EYE, LEFT_PUPIL, RIGHT_EYE, RIGHT_PUPIL
from evface_edge.results import FaceLandmarks, FaceState
from evface_edge.tracking.network import Crop, Detection, LandmarkNetwork
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.smoothing import KalmanSmoother

#: Middle of the face box that is still when a face is, ÷ the box: hair and ears are outside.
_CORE = 0.8
#: How many events of a look are asked where they lie.
_SAMPLE = 512
#: Share of the wanted events from which on a look is as good as any.
_FULL_FRACTION = 0.5
#: How much of the rate of a face's own events is that of the looks before the newest.
_RATE_MEMORY = 0.9
#: The points of each eye, the two corners first.
_EYES = tuple(
    np.array([eye.start, eye.start + 4, *range(eye.start, eye.stop), pupil])
    for eye, pupil in ((RIGHT_EYE, RIGHT_PUPIL), (LEFT_EYE, LEFT_PUPIL))
)
#: A face of which less than this was on the sensor has left it, when its events end.
_LEAVES_FRACTION = 0.85


FAINT_FRACTION = 0.25
QUIET_FRACTION = 0.2
STIRS_BY = 1.5
REST_FRACTION = 0.2
FADING_FRACTION, FADING_US = 0.1, 500_000
STOPPED_SIGMA, SLOW_SIGMA, EYES_SIGMA = 1.25, 1.6, 1.3
KEEP_CROP_IOU = 0.85


class _Own(NamedTuple):
    """Events in the middle of a face.

    Attributes:
        fraction: of what there would be if all events of the crop were spread evenly.
        rate_hz: of all of them together.
        new_fraction: of them, in the newest quarter of the look.
    """

    fraction: float
    rate_hz: float
    new_fraction: float


class Track:
    """A face that was found, and what becomes of it.

    Args:
        face_id: its number, which stays.
        smooth: whether a filter takes out flicker.
    """

    _last: Detection
    _shown: NDArray[np.float32]

    def __init__(
        self,
        found: Detection,
        face_id: int,
        now_us: int,
        size: SensorSize,
        network: LandmarkNetwork,
        policy: TrackingPolicy,
        *,
        smooth: bool,
    ) -> None:
        self.face_id = face_id
        self._network, self._policy = network, policy
        self._bounds = Box(-0.5, -0.5, size.width, size.height)
        self._smoother = KalmanSmoother(policy.smoothing) if smooth else None
        self._search_box = found.box
        self._own_hz = 0.0
        self._rest_hz = math.inf
        self._patience_us: int | None = None
        self._maybe: Box | None = None
        self._note_clear(found)
        self.face = self._accept(found, FaceState.FOUND, now_us)

    @property
    def search_box(self) -> Box:
        """Where to look next."""
        return self._search_box

    def is_still(self, crop: Crop) -> bool:
        """Whether too little happens there for a new answer."""
        return crop.event_count < self._policy.still_fraction * self._wanted(crop)

    def follow(self, seen: Detection, crop: Crop, now_us: int) -> FaceLandmarks | None:
        """Take what the network saw in this look; None when the face is gone."""
        card = self._network.card
        stopped_us = now_us - self._seen_us
        own = self._own_events(crop)
        if own.fraction < REST_FRACTION:  # what moves in the crop moves around the face
            return self.hold(now_us)
        quiet = own.rate_hz < QUIET_FRACTION * self._own_hz
        self._rest_hz = min(self._rest_hz, own.rate_hz) if quiet else math.inf
        # What moved has just stopped, and what is left of its events says less than was known.
        if own.new_fraction < FADING_FRACTION and stopped_us <= FADING_US:
            return self._hold_but_eyes(seen, now_us)
        doubtful = (
            seen.presence < card.presence_threshold
            or seen.relative_sigma > card.sigma_limit
            or seen.box.iou(self._bounds) == 0
        )
        if doubtful:
            # Noise alone looks like no face.
            faint = crop.event_count < FAINT_FRACTION * self._wanted(crop)
            self._maybe = None
            return self.hold(now_us) if faint or quiet else self._doubt(now_us)
        if self._patience_us is not None and not self._seen_twice(seen):
            return self._doubt(now_us)
        if crop.event_count >= _FULL_FRACTION * self._wanted(crop):
            self._note_clear(seen)
            # Slowly: what passes before a face makes many events, and is taken for it at first.
            before_hz = self._own_hz or own.rate_hz
            self._own_hz = before_hz**_RATE_MEMORY * own.rate_hz ** (1 - _RATE_MEMORY)
        else:
            # Noise alone may look like a face now and then; one that moves slowly is seen better.
            if quiet and own.rate_hz < STIRS_BY * self._rest_hz:
                return self._hold_but_eyes(seen, now_us)
            worse = STOPPED_SIGMA if stopped_us <= FADING_US else SLOW_SIGMA
            if seen.relative_sigma > worse * self._clear_sigma:
                return self._hold_but_eyes(seen, now_us)
        return self._accept(seen, FaceState.FOLLOWING, now_us)

    def _wanted(self, crop: Crop) -> int:
        return self._network.target_events(crop)

    def _own_events(self, crop: Crop) -> _Own:
        box, square = self._last.box, crop.box
        step = 1 + len(crop.events) // _SAMPLE
        events = crop.events[::step]
        if not len(events):
            return _Own(0.0, 0.0, 0.0)
        across, down = _CORE * box.width / 2, _CORE * box.height / 2
        within = (np.abs(events["x"] - np.float32(box.center[0])) < across) & (
            np.abs(events["y"] - np.float32(box.center[1])) < down
        )
        own = int(within.sum())
        evenly = len(events) * (4 * across * down) / (square.width * square.height)
        lasted_us = max(crop.now_us - int(events["t"][0]), 1)
        new = int((within & (events["t"] > crop.now_us - lasted_us // 4)).sum())
        return _Own(own / evenly, own * step / lasted_us * 1e6, new / max(own, 1))

    def _note_clear(self, seen: Detection) -> None:
        """What σ is, of all points and of the eyes, where there is enough to see."""
        self._clear_sigma, self._clear_eye_sigma = seen.relative_sigma, _eye_sigma(seen)

    def _hold_but_eyes(self, seen: Detection, now_us: int) -> FaceLandmarks | None:
        """A face at rest blinks: its eyes move with what is seen, if that is seen well."""
        sure = seen.presence >= self._network.card.presence_threshold
        if sure and _eye_sigma(seen) <= EYES_SIGMA * self._clear_eye_sigma:
            last = _with_eyes(self._last.landmarks, seen.landmarks)
            self._last = replace(self._last, landmarks=last, t_us=seen.t_us)
            self._shown = _with_eyes(self._shown, seen.landmarks)
        return self.hold(now_us)

    def _seen_twice(self, seen: Detection) -> bool:
        """Whether it is sure, and the look before agrees: after doubts, one alone may be of what
        passes, or of what is uncovered."""
        sure = seen.relative_sigma <= SLOW_SIGMA * self._clear_sigma
        before, self._maybe = self._maybe, seen.box if sure else None
        return sure and before is not None and before.iou(seen.box) >= KEEP_CROP_IOU

    def _doubt(self, now_us: int) -> FaceLandmarks | None:
        """Something else is where the face was: wait a little, and give up."""
        if self._patience_us is None:  # the first doubt
            self._patience_us = self._policy.lost_after_us
            if self.face.state is FaceState.HELD:
                self._patience_us = now_us - self._seen_us + self._policy.occlusion_us
        return self.hold(now_us, min(self._patience_us, self._policy.max_hold_us))

    def hold(self, now_us: int, longest_us: int | None = None) -> FaceLandmarks | None:
        """The landmarks of before, less certain; None when they have become too old."""
        age_us = now_us - self._seen_us
        if longest_us is None:
            self._patience_us = None
            longest_us = self._policy.max_hold_us
            if self._last.box.fraction_inside(self._bounds) < _LEAVES_FRACTION:
                longest_us = self._policy.lost_after_us  # it did not stop, it left
        if age_us > longest_us:
            return None
        growth = self._policy.sigma_growth_px_per_s * age_us * 1e-6
        last = self._last
        self.face = self._result(last, self._shown, last.sigma + growth, FaceState.HELD)
        return self.face

    def _accept(self, seen: Detection, state: FaceState, now_us: int) -> FaceLandmarks:
        self._last, self._seen_us, self._patience_us = seen, now_us, None
        # The same crop as long as it fits: each new one moves the answer a little, and that
        # feeds back. Measured: 2.6 times less flicker at 200 Hz, at the same error.
        if self._search_box.iou(seen.box) < KEEP_CROP_IOU:
            self._search_box = seen.box
        self._shown = seen.landmarks
        if self._smoother is not None:
            self._shown = self._smoother.update(now_us, seen.landmarks, seen.sigma)
        self.face = self._result(seen, self._shown, seen.sigma, state)
        return self.face

    def _result(
        self,
        seen: Detection,
        landmarks: NDArray[np.float32],
        sigma: NDArray[np.float32],
        state: FaceState,
    ) -> FaceLandmarks:
        return FaceLandmarks(
            t_us=seen.t_us,
            landmarks=landmarks,
            sigma=sigma,
            presence=seen.presence,
            box=Box.around(landmarks),
            state=state,
            face_id=self.face_id,
        )


def _eye_sigma(seen: Detection) -> float:
    """Mean σ of the points of the eyes ÷ longer side of the box."""
    eyes = float(seen.sigma[np.concatenate(_EYES)].mean())
    return eyes / seen.box.longer_side


def _with_eyes(landmarks: NDArray[np.float32], seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Eyes as they are seen, between the corners where they were."""
    result = landmarks.copy()
    for eye in _EYES:
        corners = eye[:2]
        shift = landmarks[corners].mean(0) - seen[corners].mean(0)
        result[eye] = seen[eye] + shift
    return result
