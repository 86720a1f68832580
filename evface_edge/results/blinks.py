"""Blinks in the eye aspect ratio of one face over time."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError


@dataclass(frozen=True)
class Blink:
    """Both eyes closed and opened again.

    Attributes:
        face_id: of the face.
        onset_us: when the lids had closed halfway, µs.
        duration_us: from the onset until the lids had opened halfway, µs.
        depth: how far the eyes closed, as a fraction of this person's open eye: 1 is shut.
    """

    face_id: int
    onset_us: int
    duration_us: int
    depth: float

    @property
    def end_us(self) -> int:
        return self.onset_us + self.duration_us


@dataclass(frozen=True)
class BlinkRule:
    """What counts as a blink.

    Attributes:
        closed_fraction: below this fraction of its open value the eye is closed. On avatars a
            change of gaze and flicker reach 0.58, blinks 0.5 or less.
        opened_fraction: above this fraction of its open value the eye is open again.
        baseline_s: the open value is the upper quartile of a window of this duration, s.
        min_us: shorter closures are noise.
        max_us: longer closures are closed eyes, not blinks.
        apart_us: two blinks with a shorter gap between them count as one.

    Raises:
        ConfigError: a value out of range.
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
    eye_aspect_ratio: NDArray[np.floating],
    *,
    face_id: int = 0,
    rule: BlinkRule | None = None,
) -> list[Blink]:
    """Blinks of one face, in order of time.

    Args:
        t_us: (N,) increasing times, µs.
        eye_aspect_ratio: (N,) mean of both eyes.
        face_id: copied into each blink.
        rule: by default `BlinkRule()`.
    """
    rule = rule or BlinkRule()
    times = np.asarray(t_us, np.int64)
    ratio = np.asarray(eye_aspect_ratio, np.float64)
    opening = ratio / _open_value(times, ratio, rule.baseline_s)
    blinks: list[Blink] = []
    closed_at: int | None = None
    for index, value in enumerate(opening):
        if closed_at is None:
            if value < rule.closed_fraction:
                closed_at = index
        elif value > rule.opened_fraction:
            blink = _measure(times, opening, closed_at, index, face_id)
            if rule.min_us <= blink.duration_us <= rule.max_us:
                near = blinks and blink.onset_us - blinks[-1].end_us < rule.apart_us
                blinks.append(_merge(blinks.pop(), blink) if near else blink)
            closed_at = None
    return blinks


def _open_value(
    times: NDArray[np.int64], ratio: NDArray[np.floating], window_s: float
) -> NDArray[np.float64]:
    """(N,) upper quartile of the ratios in a window centred at each time."""
    half_us = round(window_s * 5e5)
    window: list[float] = []  # sorted
    first = last = 0
    quartiles = []
    t_us, samples = times.tolist(), ratio.tolist()
    for now_us in t_us:
        while last < len(t_us) and t_us[last] <= now_us + half_us:
            insort(window, samples[last])
            last += 1
        while t_us[first] < now_us - half_us:
            del window[bisect_left(window, samples[first])]
            first += 1
        below, fraction = divmod(0.75 * (len(window) - 1), 1)
        low, high = window[int(below)], window[min(int(below) + 1, len(window) - 1)]
        quartiles.append(max(low + fraction * (high - low), 1e-6))
    return np.array(quartiles)


def _measure(
    times: NDArray[np.int64], opening: NDArray[np.float64], first: int, last: int, face_id: int
) -> Blink:
    """The blink whose lowest sample lies in [first, last)."""
    lowest = first + int(np.argmin(opening[first:last]))
    depth = 1 - float(opening[lowest])
    level = 1 - depth / 2
    down, up = lowest, lowest
    while down > 0 and opening[down] < level:
        down -= 1
    while up < len(opening) - 1 and opening[up] < level:
        up += 1
    onset_us = _crossing_us(times, opening, down, min(down + 1, lowest), level)
    end_us = _crossing_us(times, opening, up, max(up - 1, lowest), level)
    return Blink(face_id, onset_us, end_us - onset_us, min(max(depth, 0.0), 1.0))


def _crossing_us(
    times: NDArray[np.int64], opening: NDArray[np.float64], a: int, b: int, level: float
) -> int:
    """When the line between samples `a` and `b` crosses `level`, µs."""
    rise = opening[b] - opening[a]
    fraction = 0.0 if rise == 0 else (level - opening[a]) / rise
    return int(times[a]) + round(min(max(fraction, 0.0), 1.0) * int(times[b] - times[a]))


def _merge(first: Blink, second: Blink) -> Blink:
    onset_us = min(first.onset_us, second.onset_us)
    duration_us = max(first.end_us, second.end_us) - onset_us
    return Blink(first.face_id, onset_us, duration_us, max(first.depth, second.depth))
