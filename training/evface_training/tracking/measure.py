"""What a tracker made of a sequence whose truth is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evface_edge.geometry import Box, SensorSize
from evface_edge.landmarks import nme
from evface_edge.results import FaceLandmarks
from evface_training.tracking.sequences import FullSequence, Truth

#: A reported face that overlaps a true one this much is that face; one that overlaps none even
#: this little is false.
SAME_IOU, FALSE_IOU = 0.5, 0.1
#: A face found so long before it was there wholly counts as found at once.
EARLY_S = 1.0
#: A face may take so long to be found again behind what hid it, with its number.
AGAIN_S = 1.0
#: When a face has stopped, and how long after its appearance errors begin to count.
SETTLED_S = 0.3

#: A face that was still is there to see once it has made so many events for each pixel of its box,
#: beside the noise that was there before.
SEEN_EVENTS_PER_PX = 0.02
#: The noise is counted for so long before, and a face that begins to move waited for so long.
NOISE_S, SEEN_WITHIN_S = 0.2, 1.0

#: One output instant: its time in µs, and the faces reported.
Instant = tuple[int, Sequence[FaceLandmarks]]


@dataclass(frozen=True)
class FaceFigures:
    """One true face.

    Attributes:
        found_s: seconds from appearing to being found; infinite: never.
        seen_s: seconds from appearing to being there to see. One that is still in the sensor makes
            no events before it has moved by a part of a pixel; of all others 0.
        again_s: the same after it had left and come back.
        kept_id: whether it had the same number before it was hidden and after; None: it was not
            followed when it was hidden.
        moving, held: landmark errors (NME) while it moved, and while it paused.
        held_fraction: of the pause, for how much of it the face was reported.
    """

    found_s: float
    seen_s: float
    again_s: float
    kept_id: bool | None
    moving: NDArray[np.float64]
    held: NDArray[np.float64]
    held_fraction: float


@dataclass(frozen=True)
class SequenceFigures:
    """One sequence.

    Attributes:
        false_ids: numbers given to what was mostly no face.
        false_instants: instants with a false face, of `instants`.
    """

    seconds: float
    faces: tuple[FaceFigures, ...]
    false_ids: int
    false_instants: int
    instants: int


def judge(sequence: FullSequence, answers: Iterable[Instant]) -> SequenceFigures:
    """Hold the answers of a tracker against the truth."""
    answers = list(answers)
    times_us = np.array([t_us for t_us, _ in answers], np.int64)
    tracks = [_Seen.of(truth, sequence, times_us) for truth in sequence.faces]
    ids: dict[int, Counter[bool]] = {}
    false_instants = 0
    for index, (_, reported) in enumerate(answers):
        any_false = False
        for face in reported:
            overlaps = [face.box.iou(track.boxes[index]) for track in tracks]
            best = int(np.argmax(overlaps)) if overlaps else -1
            overlap = overlaps[best] if overlaps else 0.0
            if overlap >= SAME_IOU:
                tracks[best].note(index, face)
            false = overlap < FALSE_IOU
            ids.setdefault(face.face_id, Counter())[false] += 1
            any_false |= false
        false_instants += any_false
    return SequenceFigures(
        sequence.duration_s,
        tuple(
            track.figures(times_us.astype(np.float64) * 1e-6, seen_after_s(sequence, track.truth))
            for track in tracks
        ),
        sum(seen[True] > seen[False] for seen in ids.values()),
        false_instants,
        len(answers),
    )


@dataclass
class _Seen:
    """One true face at the output instants, and what was reported of it."""

    truth: Truth
    points: NDArray[np.float64]
    boxes: list[Box]
    visible: NDArray[np.bool_]
    ids: NDArray[np.int64]
    errors: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.errors = np.full(len(self.ids), np.nan)

    @classmethod
    def of(cls, truth: Truth, sequence: FullSequence, times_us: NDArray[np.int64]) -> _Seen:
        known = sequence.times_us
        after = np.clip(np.searchsorted(known, times_us), 1, len(known) - 1)
        fraction = (times_us - known[after - 1]) / (known[after] - known[after - 1])
        fraction = np.clip(fraction, 0, 1)[:, None, None]
        points = (1 - fraction) * truth.points[after - 1] + fraction * truth.points[after]
        covered = truth.covered[after - 1] | truth.covered[after]
        visible = _inside(points, sequence.size) & ~covered
        boxes = [Box.around(p) for p in points]
        return cls(truth, points, boxes, visible, np.full(len(times_us), -1, np.int64))

    def note(self, index: int, face: FaceLandmarks) -> None:
        self.ids[index] = face.face_id
        self.errors[index] = float(nme(face.landmarks, self.points[index]))

    def figures(self, times_s: NDArray[np.float64], seen_s: float) -> FaceFigures:
        phases = self.truth.phases
        appears, back = phases.appears, phases.away[1]
        start, stop = phases.paused
        first = appears
        if phases.way != "begins":
            first = self._first_visible(times_s, appears)
        again = self._first_visible(times_s, back)
        followed = np.isfinite(self.errors)
        moving = (
            followed
            & self.visible
            & (times_s > first + SETTLED_S)
            & ((times_s < start) | (times_s > stop + SETTLED_S))
        )
        pause = (times_s > start + SETTLED_S) & (times_s < stop)
        return FaceFigures(
            self._delay(times_s, first, phases.hidden[0]),
            seen_s,
            self._delay(times_s, again, math.inf),
            self._kept(times_s),
            self.errors[moving],
            self.errors[pause & followed],
            float((pause & followed).sum() / max(pause.sum(), 1)),
        )

    def _first_visible(self, times_s: NDArray[np.float64], after_s: float) -> float:
        place = np.flatnonzero((times_s >= after_s) & self.visible)
        return float(times_s[place[0]]) if len(place) else math.inf

    def _delay(self, times_s: NDArray[np.float64], first_s: float, before_s: float) -> float:
        reported = (times_s >= first_s - EARLY_S) & (times_s < before_s) & (self.ids >= 0)
        place = np.flatnonzero(reported)
        return max(float(times_s[place[0]]) - first_s, 0.0) if len(place) else math.inf

    def _kept(self, times_s: NDArray[np.float64]) -> bool | None:
        begin, end = self.truth.phases.hidden
        before = self.ids[(times_s < begin) & (times_s > begin - 0.6) & (self.ids >= 0)]
        if not len(before):
            return None
        shown = (times_s > end) & (times_s < end + AGAIN_S) & self.visible & (self.ids >= 0)
        after = self.ids[shown]
        return bool(len(after) and after[-1] == before[-1])


def seen_after_s(sequence: FullSequence, truth: Truth) -> float:
    """Seconds until a face that begins to move has made events; 0 of one that comes in."""
    if truth.phases.way != "begins":
        return 0.0
    begin_us = round(truth.phases.appears * 1e6)
    place = min(int(np.searchsorted(sequence.times_us, begin_us)), len(truth.points) - 1)
    low, high = truth.points[place].min(0), truth.points[place].max(0)
    span = [begin_us - round(NOISE_S * 1e6), begin_us + round(SEEN_WITHIN_S * 1e6)]
    events = sequence.events[slice(*np.searchsorted(sequence.events["t"], span))]
    inside = (events["x"] >= low[0]) & (events["x"] <= high[0])
    inside &= (events["y"] >= low[1]) & (events["y"] <= high[1])
    since_s = (events["t"][inside] - begin_us) * 1e-6
    noise_hz = (since_s < 0).sum() / NOISE_S
    since_s = since_s[since_s >= 0]
    own = np.arange(1, len(since_s) + 1) - noise_hz * since_s
    enough = np.flatnonzero(own >= SEEN_EVENTS_PER_PX * float(np.prod(high - low)))
    return float(since_s[enough[0]]) if len(enough) else SEEN_WITHIN_S


def _inside(points: NDArray[np.float64], size: SensorSize) -> NDArray[np.bool_]:
    low, high = points.min(1), points.max(1)
    inside: NDArray[np.bool_] = (
        (low >= -0.5) & (high < [size.width - 0.5, size.height - 0.5])
    ).all(1)
    return inside


def summary(figures: Sequence[SequenceFigures]) -> dict[str, float]:
    """Figures over sequences with faces, by name."""
    faces = [face for sequence in figures for face in sequence.faces]
    if not faces:
        return {}
    found = np.array([face.found_s for face in faces])
    seen = np.array([face.seen_s for face in faces])
    again = np.array([face.again_s for face in faces])
    kept = [face.kept_id for face in faces if face.kept_id is not None]
    moving = np.concatenate([face.moving for face in faces])
    held = np.concatenate([face.held for face in faces])
    # A face that was lost in the pause holds nothing; each face that held counts the same.
    ratios = [
        face.held.mean() / face.moving.mean()
        for face in faces
        if len(face.held) and len(face.moving)
    ]
    instants = sum(sequence.instants for sequence in figures)
    return {
        "faces": len(faces),
        "seconds": sum(sequence.seconds for sequence in figures),
        "found_within_100_ms_percent": 100 * float((found <= 0.1).mean()),
        "found_within_100_ms_of_events_percent": 100 * float((found - seen <= 0.1).mean()),
        "found_ms_p50": 1e3 * _quantile(found, 0.5),
        "found_ms_p95": 1e3 * _quantile(found, 0.95),
        "never_found_percent": 100 * float(np.isinf(found).mean()),
        "again_within_100_ms_percent": 100 * float((again <= 0.1).mean()),
        "again_ms_p50": 1e3 * _quantile(again, 0.5),
        "found_again_percent": 100 * float(np.isfinite(again).mean()),
        "ids_kept_percent": 100 * float(np.mean(kept)) if kept else math.nan,
        "followed_when_hidden_percent": 100 * len(kept) / len(faces),
        "moving_nme_percent": 100 * float(moving.mean()) if len(moving) else math.nan,
        "held_nme_percent": 100 * float(held.mean()) if len(held) else math.nan,
        "held_to_moving": float(np.mean(ratios)) if ratios else math.nan,
        "held_to_moving_median": float(np.median(ratios)) if ratios else math.nan,
        "held_share_percent": 100 * float(np.mean([face.held_fraction for face in faces])),
        "false_faces": sum(sequence.false_ids for sequence in figures),
        "false_instants_percent": 100
        * sum(sequence.false_instants for sequence in figures)
        / max(instants, 1),
    }


def negatives_summary(figures: Sequence[SequenceFigures]) -> dict[str, float]:
    """False faces in recordings without any."""
    seconds = sum(sequence.seconds for sequence in figures)
    false = sum(sequence.false_ids for sequence in figures)
    return {
        "seconds": seconds,
        "false_faces": false,
        "false_faces_an_hour": false * 3600 / seconds if seconds else math.nan,
        # With none or few seen, the rate may still be so high (Poisson, one-sided 95 %).
        "false_faces_an_hour_at_most": _poisson_limit(false) * 3600 / seconds
        if seconds
        else math.nan,
    }


def _poisson_limit(count: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2)


def _quantile(values: NDArray[np.float64], fraction: float) -> float:
    """Infinite values are large ones."""
    return float(np.sort(values)[min(int(fraction * len(values)), len(values) - 1)])
