"""One face over time: which event of the state machine each instant is, and its landmarks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evface_edge.geometry import Box, SensorSize
from evface_edge.landmarks import LEFT_EYE, LEFT_PUPIL, RIGHT_EYE, RIGHT_PUPIL
from evface_edge.results import FaceLandmarks, FaceState
from evface_edge.tracking.face_events import face_events
from evface_edge.tracking.network import Crop, Detection, LandmarkNetwork
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.smoothing import KalmanSmoother
from evface_edge.tracking.state_machine import TRANSITIONS, Event, State

#: With this fraction of a full input, landmarks are as certain as they get.
FULL_FRACTION = 0.5
#: With less than this fraction, no detection proves nothing: noise alone has no face either.
FAINT_FRACTION = 0.25
#: Density of the face's own events below which only the background moves.
BACKGROUND_DENSITY = 0.2
#: A face is quiet if its events come at less than this fraction of their rate in motion.
QUIET_FRACTION = 0.2
#: A quiet face moves again at this many times its lowest rate; noise alone stays below.
MOTION_RATE_FACTOR = 1.5
#: How slowly the rate in motion changes, so that an object which passes in front of the face,
#: and is accepted at first, hardly raises it.
RATE_MEMORY = 0.9
#: A face has just stopped if less than this fraction of its events is new; its landmarks are held
#: for at most this long.
STOPPED_FRACTION, STOPPED_US = 0.1, 500_000
#: Largest accepted σ ÷ σ with full input: up to STOPPED_US after the last accepted landmarks, and
#: later; and of the eyes of a face that is held.
STOPPED_SIGMA, SLOW_SIGMA, EYE_SIGMA = 1.25, 1.6, 1.3
#: The crop is kept while it overlaps the face box this well, since each new crop changes the
#: landmarks a little, and they change the next crop. Measured: 2.6 times less flicker at 200 Hz,
#: at the same error.
KEEP_CROP_IOU = 0.85
#: With less of it than this on the sensor, a face without events has left instead of stopped.
LEAVING_FRACTION = 0.85
#: The points of each eye, the two corners first.
_EYES = tuple(
    np.array([eye.start, eye.start + 4, *range(eye.start, eye.stop), pupil])
    for eye, pupil in ((RIGHT_EYE, RIGHT_PUPIL), (LEFT_EYE, LEFT_PUPIL))
)
_EYE_POINTS = np.concatenate(_EYES)


class Track:
    """One face.

    Args:
        detection: confirmed by the face detector at `now_us`.
        face_id: number of the face.
        size: of the sensor.
        smooth: whether a Kalman filter reduces flicker.

    Attributes:
        state: FOLLOWING, HELD or LOST; SEARCHING once the track is over.
        face: the newest result.
        search_box: the face box to crop next.
        changed_us: time of the last change of state.
    """

    _landmarks: NDArray[np.float32]  # as shown, smoothed

    def __init__(
        self,
        detection: Detection,
        face_id: int,
        now_us: int,
        size: SensorSize,
        network: LandmarkNetwork,
        policy: TrackingPolicy,
        *,
        smooth: bool,
    ) -> None:
        self.face_id = face_id
        self._network, self._policy, self._smooth = network, policy, smooth
        self._sensor = Box(-0.5, -0.5, size.width, size.height)
        self.state, self.changed_us = State.SEARCHING, now_us
        self.start(detection, now_us)

    def start(self, detection: Detection, now_us: int) -> None:
        """Begin with a face that was found, or begin again with one that was found again."""
        self._smoother = KalmanSmoother(self._policy.smoothing) if self._smooth else None
        self.search_box = detection.box
        self._motion_rate_hz = 0.0
        self._lowest_rate_hz = math.inf
        self._doubt_limit_us: int | None = None  # largest age of the landmarks, during doubts
        self._previous_box: Box | None = None  # of the last certain detection, during doubts
        self._set_full_sigma(detection)
        self._accept(detection, now_us)
        self.apply(Event.FOUND, now_us)
        self.face = self._result(FaceState.FOUND)

    def is_still(self, crop: Crop) -> bool:
        """Whether the crop has too few events for new landmarks."""
        return crop.event_count < self._policy.still_fraction * self._network.target_events(crop)

    def hold(self, now_us: int) -> None:
        """Keep the landmarks of a face that is still."""
        self._hold(Event.STILL, now_us)

    def update(self, detection: Detection, crop: Crop, now_us: int) -> None:
        """Accept a detection in a crop, or keep the landmarks."""
        event = self._classify(detection, crop, now_us)
        if event is not Event.ACCEPTED:
            if event is Event.UNCERTAIN:
                self._update_eyes(detection)
            self._hold(event, now_us)
            return
        self._accept(detection, now_us)
        self.apply(event, now_us)
        self.face = self._result(FaceState.FOLLOWING)

    def apply(self, event: Event, now_us: int) -> None:
        """Change the state by the table of transitions."""
        following = TRANSITIONS[self.state, event]
        if following is not self.state:
            self.state, self.changed_us = following, now_us

    def _classify(self, detection: Detection, crop: Crop, now_us: int) -> Event:
        age_us = now_us - self._accepted_us
        own = face_events(crop, self._detection.box)
        if own.density < BACKGROUND_DENSITY:
            return Event.STILL
        quiet = own.rate_hz < QUIET_FRACTION * self._motion_rate_hz
        self._lowest_rate_hz = min(self._lowest_rate_hz, own.rate_hz) if quiet else math.inf
        if own.newest_fraction < STOPPED_FRACTION and age_us <= STOPPED_US:
            return Event.UNCERTAIN
        fraction = crop.event_count / self._network.target_events(crop)
        if not self._is_face(detection):
            self._previous_box = None
            return Event.STILL if fraction < FAINT_FRACTION or quiet else Event.DOUBTED
        if self._doubt_limit_us is not None and not self._is_seen_twice(detection):
            return Event.DOUBTED
        if fraction >= FULL_FRACTION:
            self._set_full_sigma(detection)
            before_hz = self._motion_rate_hz or own.rate_hz
            self._motion_rate_hz = before_hz**RATE_MEMORY * own.rate_hz ** (1 - RATE_MEMORY)
            return Event.ACCEPTED
        noise = quiet and own.rate_hz < MOTION_RATE_FACTOR * self._lowest_rate_hz
        limit = STOPPED_SIGMA if age_us <= STOPPED_US else SLOW_SIGMA
        if noise or detection.relative_sigma > limit * self._full_sigma:
            return Event.UNCERTAIN
        return Event.ACCEPTED

    def _is_face(self, detection: Detection) -> bool:
        card = self._network.card
        return (
            detection.presence >= card.presence_threshold
            and detection.relative_sigma <= card.sigma_limit
            and detection.box.iou(self._sensor) > 0
        )

    def _is_seen_twice(self, detection: Detection) -> bool:
        """Whether two certain detections in a row agree; during doubts, a single one may show an
        object that passes in front of the face."""
        certain = detection.relative_sigma <= SLOW_SIGMA * self._full_sigma
        before, self._previous_box = self._previous_box, detection.box if certain else None
        return certain and before is not None and before.iou(detection.box) >= KEEP_CROP_IOU

    def _set_full_sigma(self, detection: Detection) -> None:
        self._full_sigma, self._full_eye_sigma = detection.relative_sigma, _eye_sigma(detection)

    def _hold(self, event: Event, now_us: int) -> None:
        age_us = now_us - self._accepted_us
        if age_us > self._hold_limit_us(event, age_us):
            self.apply(Event.EXPIRED, now_us)
            return
        self.apply(event, now_us)
        growth_px = self._policy.sigma_growth_px_per_s * age_us * 1e-6
        self.face = self._result(FaceState.HELD, growth_px)

    def _hold_limit_us(self, event: Event, age_us: int) -> int:
        policy = self._policy
        if event is Event.DOUBTED:
            if self._doubt_limit_us is None:
                was_held = self.state is State.HELD
                self._doubt_limit_us = (
                    age_us + policy.occlusion_us if was_held else policy.lost_after_us
                )
            return min(self._doubt_limit_us, policy.max_hold_us)
        self._doubt_limit_us = None
        leaving = self._detection.box.fraction_inside(self._sensor) < LEAVING_FRACTION
        return policy.lost_after_us if leaving else policy.max_hold_us

    def _accept(self, detection: Detection, now_us: int) -> None:
        self._detection, self._accepted_us, self._doubt_limit_us = detection, now_us, None
        if self.search_box.iou(detection.box) < KEEP_CROP_IOU:
            self.search_box = detection.box
        self._landmarks = detection.landmarks
        if self._smoother is not None:
            self._landmarks = self._smoother.update(now_us, detection.landmarks, detection.sigma)

    def _update_eyes(self, detection: Detection) -> None:
        """A face at rest blinks: take over its eyes if they are certain."""
        is_face = detection.presence >= self._network.card.presence_threshold
        if is_face and _eye_sigma(detection) <= EYE_SIGMA * self._full_eye_sigma:
            last = self._detection
            landmarks = _with_eyes(last.landmarks, detection.landmarks)
            self._detection = replace(last, landmarks=landmarks, t_us=detection.t_us)
            self._landmarks = _with_eyes(self._landmarks, detection.landmarks)

    def _result(self, state: FaceState, growth_px: float = 0.0) -> FaceLandmarks:
        detection = self._detection
        return FaceLandmarks(
            t_us=detection.t_us,
            landmarks=self._landmarks,
            sigma=detection.sigma + growth_px,
            presence=detection.presence,
            box=Box.around(self._landmarks),
            state=state,
            face_id=self.face_id,
        )


def _eye_sigma(detection: Detection) -> float:
    """Mean σ of the points of the eyes ÷ longer side of the face box."""
    return float(detection.sigma[_EYE_POINTS].mean()) / detection.box.longer_side


def _with_eyes(
    landmarks: NDArray[np.float32], detected: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The eyes of `detected`, shifted so that the middle of their corners stays in place."""
    result = landmarks.copy()
    for eye in _EYES:
        corners = eye[:2]
        shift = landmarks[corners].mean(0) - detected[corners].mean(0)
        result[eye] = detected[eye] + shift
    return result
