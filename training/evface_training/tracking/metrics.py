"""Metrics of a tracker on a sequence with known faces."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from evface_edge.geometry import Box, SensorSize
from evface_edge.landmarks import nme
from evface_edge.results import FaceLandmarks
from evface_training.tracking.sequences import FullSequence, Truth

#: A result whose box overlaps a true face this much is that face; below the second value it is
#: a false face.
SAME_IOU, FALSE_IOU = 0.5, 0.1
#: A face detected at most this long before it was fully visible counts as detected at once.
EARLY_S = 1.0
#: Time for a face to be detected again after an occlusion, with its id.
REDETECTION_S = 1.0
#: Errors count from this long after a face has appeared or stopped.
SETTLED_S = 0.3

#: A resting face becomes visible when it has made this many events for each pixel of its box,
#: beyond the noise measured before.
VISIBLE_EVENTS_PER_PX = 0.02
#: Time over which the noise is measured, and longest time until a face counts as visible.
NOISE_S, VISIBLE_WITHIN_S = 0.2, 1.0

#: One output instant: its time in µs, and the faces reported.
Instant = tuple[int, Sequence[FaceLandmarks]]


@dataclass(frozen=True)
class FaceMetrics:
    """Metrics of one true face.

    Attributes:
        detection_s: from appearing to the first result; infinite if never detected.
        visible_s: from appearing to being visible in the events: 0 for a face that enters; a face
            that starts to move first has to move by a part of a pixel.
        redetection_s: as `detection_s`, after it has left and come back.
        id_kept: whether it had the same id before and after it was hidden; None if it was not
            followed before.
        moving: landmark errors (NME) while it moved.
        held: landmark errors (NME) during the pause.
        held_fraction: fraction of the pause during which it was reported.
    """

    detection_s: float
    visible_s: float
    redetection_s: float
    id_kept: bool | None
    moving: NDArray[np.float64]
    held: NDArray[np.float64]
    held_fraction: float


@dataclass(frozen=True)
class SequenceMetrics:
    """Metrics of one sequence.

    Attributes:
        false_ids: number of ids that were mostly false faces.
        false_instants: number of instants with a false face.
        instants: number of instants.
    """

    seconds: float
    faces: tuple[FaceMetrics, ...]
    false_ids: int
    false_instants: int
    instants: int


def measure(sequence: FullSequence, results: Iterable[Instant]) -> SequenceMetrics:
    """Compare the results of a tracker with the true faces."""
    results = list(results)
    times_us = np.array([t_us for t_us, _ in results], np.int64)
    tracks = [_TrueTrack.of(truth, sequence, times_us) for truth in sequence.faces]
    ids: dict[int, Counter[bool]] = {}
    false_instants = 0
    for index, (_, reported) in enumerate(results):
        any_false = False
        for face in reported:
            overlaps = [face.box.iou(track.boxes[index]) for track in tracks]
            best = int(np.argmax(overlaps)) if overlaps else -1
            overlap = overlaps[best] if overlaps else 0.0
            if overlap >= SAME_IOU:
                tracks[best].add(index, face)
            false = overlap < FALSE_IOU
            ids.setdefault(face.face_id, Counter())[false] += 1
            any_false |= false
        false_instants += any_false
    times_s = times_us.astype(np.float64) * 1e-6
    return SequenceMetrics(
        sequence.duration_s,
        tuple(track.metrics(times_s, visible_after_s(sequence, track.truth)) for track in tracks),
        sum(counts[True] > counts[False] for counts in ids.values()),
        false_instants,
        len(results),
    )


@dataclass
class _TrueTrack:
    """One true face at the output instants, and the results that match it."""

    truth: Truth
    points: NDArray[np.float64]
    boxes: list[Box]
    visible: NDArray[np.bool_]
    ids: NDArray[np.int64]
    errors: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.errors = np.full(len(self.ids), np.nan)

    @classmethod
    def of(cls, truth: Truth, sequence: FullSequence, times_us: NDArray[np.int64]) -> _TrueTrack:
        known = sequence.times_us
        after = np.clip(np.searchsorted(known, times_us), 1, len(known) - 1)
        fraction = (times_us - known[after - 1]) / (known[after] - known[after - 1])
        fraction = np.clip(fraction, 0, 1)[:, None, None]
        points = (1 - fraction) * truth.points[after - 1] + fraction * truth.points[after]
        covered = truth.covered[after - 1] | truth.covered[after]
        visible = _inside(points, sequence.size) & ~covered
        boxes = [Box.around(p) for p in points]
        return cls(truth, points, boxes, visible, np.full(len(times_us), -1, np.int64))

    def add(self, index: int, face: FaceLandmarks) -> None:
        self.ids[index] = face.face_id
        self.errors[index] = float(nme(face.landmarks, self.points[index]))

    def metrics(self, times_s: NDArray[np.float64], visible_s: float) -> FaceMetrics:
        phases = self.truth.phases
        start, stop = phases.paused
        first = phases.appears
        if phases.appearance != "starts_moving":
            first = self._first_visible(times_s, first)
        again = self._first_visible(times_s, phases.away[1])
        followed = np.isfinite(self.errors)
        moving = (
            followed
            & self.visible
            & (times_s > first + SETTLED_S)
            & ((times_s < start) | (times_s > stop + SETTLED_S))
        )
        pause = (times_s > start + SETTLED_S) & (times_s < stop)
        return FaceMetrics(
            self._delay_s(times_s, first, phases.hidden[0]),
            visible_s,
            self._delay_s(times_s, again, math.inf),
            self._id_kept(times_s),
            self.errors[moving],
            self.errors[pause & followed],
            float((pause & followed).sum() / max(pause.sum(), 1)),
        )

    def _first_visible(self, times_s: NDArray[np.float64], after_s: float) -> float:
        index = np.flatnonzero((times_s >= after_s) & self.visible)
        return float(times_s[index[0]]) if len(index) else math.inf

    def _delay_s(self, times_s: NDArray[np.float64], first_s: float, before_s: float) -> float:
        reported = (times_s >= first_s - EARLY_S) & (times_s < before_s) & (self.ids >= 0)
        index = np.flatnonzero(reported)
        return max(float(times_s[index[0]]) - first_s, 0.0) if len(index) else math.inf

    def _id_kept(self, times_s: NDArray[np.float64]) -> bool | None:
        begin, end = self.truth.phases.hidden
        before = self.ids[(times_s < begin) & (times_s > begin - 0.6) & (self.ids >= 0)]
        if not len(before):
            return None
        in_time = (times_s > end) & (times_s < end + REDETECTION_S)
        after = self.ids[in_time & self.visible & (self.ids >= 0)]
        return bool(len(after) and after[-1] == before[-1])


def visible_after_s(sequence: FullSequence, truth: Truth) -> float:
    """Seconds until a face that starts to move is visible in the events; 0 for all others."""
    if truth.phases.appearance != "starts_moving":
        return 0.0
    begin_us = round(truth.phases.appears * 1e6)
    index = min(int(np.searchsorted(sequence.times_us, begin_us)), len(truth.points) - 1)
    low, high = truth.points[index].min(0), truth.points[index].max(0)
    span = [begin_us - round(NOISE_S * 1e6), begin_us + round(VISIBLE_WITHIN_S * 1e6)]
    events = sequence.events[slice(*np.searchsorted(sequence.events["t"], span))]
    inside = (events["x"] >= low[0]) & (events["x"] <= high[0])
    inside &= (events["y"] >= low[1]) & (events["y"] <= high[1])
    since_s = (events["t"][inside] - begin_us) * 1e-6
    noise_hz = (since_s < 0).sum() / NOISE_S
    since_s = since_s[since_s >= 0]
    signal = np.arange(1, len(since_s) + 1) - noise_hz * since_s
    enough = np.flatnonzero(signal >= VISIBLE_EVENTS_PER_PX * float(np.prod(high - low)))
    return float(since_s[enough[0]]) if len(enough) else VISIBLE_WITHIN_S


def _inside(points: NDArray[np.float64], size: SensorSize) -> NDArray[np.bool_]:
    low, high = points.min(1), points.max(1)
    inside: NDArray[np.bool_] = (
        (low >= -0.5) & (high < [size.width - 0.5, size.height - 0.5])
    ).all(1)
    return inside


def summary(sequences: Sequence[SequenceMetrics]) -> dict[str, float]:
    """Metrics over sequences with faces, by name."""
    faces = [face for sequence in sequences for face in sequence.faces]
    if not faces:
        return {}
    detection = np.array([face.detection_s for face in faces])
    visible = np.array([face.visible_s for face in faces])
    redetection = np.array([face.redetection_s for face in faces])
    kept = [face.id_kept for face in faces if face.id_kept is not None]
    moving = np.concatenate([face.moving for face in faces])
    held = np.concatenate([face.held for face in faces])
    # A face lost in the pause holds nothing; each face that held counts the same.
    ratios = [
        face.held.mean() / face.moving.mean()
        for face in faces
        if len(face.held) and len(face.moving)
    ]
    instants = sum(sequence.instants for sequence in sequences)
    false_instants = sum(sequence.false_instants for sequence in sequences)
    return {
        "faces": len(faces),
        "seconds": sum(sequence.seconds for sequence in sequences),
        "detected_within_100_ms_percent": 100 * float((detection <= 0.1).mean()),
        "detected_within_100_ms_of_events_percent": 100
        * float((detection - visible <= 0.1).mean()),
        "detection_ms_p50": 1e3 * _quantile(detection, 0.5),
        "detection_ms_p95": 1e3 * _quantile(detection, 0.95),
        "never_detected_percent": 100 * float(np.isinf(detection).mean()),
        "redetected_within_100_ms_percent": 100 * float((redetection <= 0.1).mean()),
        "redetection_ms_p50": 1e3 * _quantile(redetection, 0.5),
        "redetected_percent": 100 * float(np.isfinite(redetection).mean()),
        "ids_kept_percent": 100 * float(np.mean(kept)) if kept else math.nan,
        "followed_before_occlusion_percent": 100 * len(kept) / len(faces),
        "moving_nme98_percent": 100 * float(moving.mean()) if len(moving) else math.nan,
        "held_nme98_percent": 100 * float(held.mean()) if len(held) else math.nan,
        "held_to_moving": float(np.mean(ratios)) if ratios else math.nan,
        "held_to_moving_median": float(np.median(ratios)) if ratios else math.nan,
        "held_time_percent": 100 * float(np.mean([face.held_fraction for face in faces])),
        "false_faces": sum(sequence.false_ids for sequence in sequences),
        "false_instants_percent": 100 * false_instants / max(instants, 1),
    }


def negatives_summary(sequences: Sequence[SequenceMetrics]) -> dict[str, float]:
    """Metrics over sequences without faces, by name."""
    seconds = sum(sequence.seconds for sequence in sequences)
    false = sum(sequence.false_ids for sequence in sequences)
    hours = seconds / 3600 if seconds else math.nan
    return {
        "seconds": seconds,
        "instants": sum(sequence.instants for sequence in sequences),
        "false_instants": sum(sequence.false_instants for sequence in sequences),
        "false_faces": false,
        "false_faces_per_hour": false / hours,
        # Upper limit of the rate (Poisson, one-sided 95 %).
        "false_faces_per_hour_95_percent_limit": float(chi2.ppf(0.95, 2 * (false + 1)) / 2) / hours,
    }


def _quantile(values: NDArray[np.float64], fraction: float) -> float:
    """Infinite values count as the largest."""
    return float(np.sort(values)[min(int(fraction * len(values)), len(values) - 1)])
