"""How far eyes and mouth are open, and when the eyes blink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.landmarks import LEFT_EYE, RIGHT_EYE

#: Of the eight points of an eye (outer or inner corner, three of the upper lid, the other corner,
#: three of the lower lid, backwards): the pairs that face each other.
_LID_PAIRS = ((1, 7), (2, 6), (3, 5))
_MOUTH_PAIRS = ((89, 95), (90, 94), (91, 93))
_MOUTH_CORNERS = (88, 92)


def eye_aspect_ratio(landmarks: NDArray[np.floating]) -> tuple[float, float]:
    """Right and left eye: mean distance of the lids ÷ distance of the corners.

    The "eye aspect ratio" (Soukupová and Čech, CVWW 2016) with the three lid pairs of the 98
    points: about 0.3 open, below 0.1 closed; it differs from person to person.

    Args:
        landmarks: (98, 2).
    """
    right, left = (_ratio(landmarks[eye], _LID_PAIRS, (0, 4)) for eye in (RIGHT_EYE, LEFT_EYE))
    return right, left


def mouth_aspect_ratio(landmarks: NDArray[np.floating]) -> float:
    """Mean distance of the inner lips ÷ distance of their corners: 0 closed, about 1 wide open.

    Args:
        landmarks: (98, 2).
    """
    return _ratio(landmarks, _MOUTH_PAIRS, _MOUTH_CORNERS)


def _ratio(
    points: NDArray[np.floating], pairs: Sequence[tuple[int, int]], corners: tuple[int, int]
) -> float:
    first, second = np.transpose(pairs)
    gap = np.linalg.norm(points[first] - points[second], axis=1).mean()
    width = np.linalg.norm(points[corners[0]] - points[corners[1]])
    return float(gap / max(width, 1e-6))


@dataclass(frozen=True)
class Blink:
    """Both eyes closed and opened again.

    Attributes:
        face_id: whose eyes.
        onset_us: when the lids had fallen half of their way; duration_us: from there until they
            were half of the way up again.
        depth: how far they closed, as a fraction of this person's open eye: 1 is shut.
    """

    face_id: int
    onset_us: int
    duration_us: int
    depth: float


@dataclass(frozen=True)
class BlinkRule:
    """What counts as a blink.

    Attributes:
        closed_fraction: the eye counts as closed below this fraction of its open value, open again
            above `opened_fraction`. Measured on avatars: a look to another place and flicker
            take it to 0.58, blinks to 0.5 at most.
        baseline_s: the open value is the upper quartile over so many seconds around.
        min_us, max_us: shorter dips are noise; longer ones are closed eyes, not blinks.
        apart_us: two that follow each other closer are one, in which the lids hesitated.
    """

    closed_fraction: float = 0.55
    opened_fraction: float = 0.7
    baseline_s: float = 10.0
    min_us: int = 60_000
    max_us: int = 600_000
    apart_us: int = 50_000

    def __post_init__(self) -> None:
        if not 0 < self.closed_fraction < self.opened_fraction < 1:
            raise ConfigError(
                "BlinkRule.closed_fraction",
                (self.closed_fraction, self.opened_fraction),
                "0 < closed_fraction < opened_fraction < 1",
            )
        if not 0 < self.min_us < self.max_us:
            raise ConfigError("BlinkRule.min_us", (self.min_us, self.max_us), "0 < min_us < max_us")
        if not self.baseline_s > 0:
            raise ConfigError("BlinkRule.baseline_s", self.baseline_s, "above 0")


def find_blinks(
    t_us: NDArray[np.integer],
    openness: NDArray[np.floating],
    *,
    face_id: int = 0,
    rule: BlinkRule | None = None,
) -> list[Blink]:
    """Blinks in the openness of one face's eyes over time.

    Args:
        t_us: (N,) increasing; openness: (N,) mean of both eyes, as `eye_aspect_ratio` gives it.
    """
    rule = rule or BlinkRule()
    times = np.asarray(t_us, np.int64)
    fraction = np.asarray(openness, np.float64) / _open_value(times, openness, rule.baseline_s)
    blinks: list[Blink] = []
    closed_at: int | None = None
    for index, value in enumerate(fraction):
        if closed_at is None:
            if value < rule.closed_fraction:
                closed_at = index
        elif value > rule.opened_fraction:
            blink = _measure(times, fraction, closed_at, index, face_id)
            if rule.min_us <= blink.duration_us <= rule.max_us:
                near = blinks and blink.onset_us - _end_us(blinks[-1]) < rule.apart_us
                blinks.append(_joined(blinks.pop(), blink) if near else blink)
            closed_at = None
    return blinks


def _open_value(
    times: NDArray[np.int64], openness: NDArray[np.floating], seconds: float
) -> NDArray[np.float64]:
    """(N,) the upper quartile within `seconds`, centred, at every instant."""
    half = round(seconds * 5e5)
    starts = np.searchsorted(times, times - half)
    stops = np.searchsorted(times, times + half, side="right")
    return np.array(
        [max(np.quantile(openness[a:b], 0.75), 1e-6) for a, b in zip(starts, stops, strict=True)]
    )


def _measure(
    times: NDArray[np.int64], fraction: NDArray[np.float64], first: int, last: int, face_id: int
) -> Blink:
    """From half way down to half way up, between samples by straight lines."""
    lowest = first + int(np.argmin(fraction[first:last]))
    depth = 1 - float(fraction[lowest])
    level = 1 - depth / 2
    down, up = lowest, lowest
    while down > 0 and fraction[down] < level:
        down -= 1
    while up < len(fraction) - 1 and fraction[up] < level:
        up += 1
    onset = _crossing(times, fraction, down, min(down + 1, lowest), level)
    end = _crossing(times, fraction, up, max(up - 1, lowest), level)
    return Blink(face_id, onset, end - onset, min(max(depth, 0.0), 1.0))


def _end_us(blink: Blink) -> int:
    return blink.onset_us + blink.duration_us


def _joined(first: Blink, second: Blink) -> Blink:
    onset_us = min(first.onset_us, second.onset_us)
    duration_us = max(_end_us(first), _end_us(second)) - onset_us
    return Blink(first.face_id, onset_us, duration_us, max(first.depth, second.depth))


def _crossing(
    times: NDArray[np.int64], fraction: NDArray[np.float64], a: int, b: int, level: float
) -> int:
    rise = fraction[b] - fraction[a]
    part = 0.0 if rise == 0 else (level - fraction[a]) / rise
    return int(times[a]) + round(min(max(part, 0.0), 1.0) * int(times[b] - times[a]))
