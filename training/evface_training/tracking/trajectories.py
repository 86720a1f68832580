"""The motion of a face in a sequence: what happens when, and its pose at every instant.

    away ─ appears ─ moves ─ is hidden for 0.5 s ─ moves ─ pauses for 5 s ─ moves ─ leaves ─
    away ─ comes back ─ moves

A face appears in one of three ways: it enters across an edge, an object uncovers it, or it has been
at rest and starts to move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evface_edge.geometry import SensorSize

Appearance = Literal["enters", "uncovered", "starts_moving"]
APPEARANCES: tuple[Appearance, ...] = ("enters", "uncovered", "starts_moving")

AWAY_S, MOVES_S, HIDDEN_S, AGAIN_S, PAUSE_S, LAST_S, BACK_S = 0.3, 1.4, 0.5, 1.0, 5.0, 0.6, 1.0
#: Longest time from out of view to its centre of motion.
MAX_TRAVEL_S = 1.3
#: Time in which an object covers a face, and in which it uncovers it.
COVER_S = 0.2
#: Time in which a face stops, and in which it reaches full speed.
EASE_S = 0.06
#: Smallest face, and sides of faces ÷ shorter side of the sensor.
MIN_SIDE_PX, SIDES = 36.0, (0.13, 0.7)
#: Speeds, in sides of the face a second.
SPEEDS = (0.3, 1.5)
#: Out of view, the centre of the face is this many sides beyond the edge.
BEYOND = 1.6


@dataclass(frozen=True)
class Phases:
    """Instants of a trajectory in seconds; hidden, paused and away are (begin, end).

    Attributes:
        appears: when the face starts to enter, is uncovered, or starts to move.
    """

    appearance: Appearance
    appears: float
    hidden: tuple[float, float]
    paused: tuple[float, float]
    leaves: float
    away: tuple[float, float]
    end: float


@dataclass(frozen=True)
class Pose:
    """Centre of the face box, px; its longer side, px; roll, radians."""

    x: float
    y: float
    side: float
    roll: float


class Trajectory:
    """The pose of a face from the start of a sequence to its end.

    Args:
        size: of the sensor.
        rng: draws its size, speed and motion.
        appearance: how it appears.
        region: left, top, right, bottom of its motion, as fractions of the sensor.
        delay_s: added to all instants.
    """

    def __init__(
        self,
        size: SensorSize,
        rng: np.random.Generator,
        appearance: Appearance,
        region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
        delay_s: float = 0.0,
    ) -> None:
        self.size = size
        left, top, right, bottom = region
        width, height = (right - left) * size.width, (bottom - top) * size.height
        shorter = min(width, height, size.height)
        low, high = max(MIN_SIDE_PX, SIDES[0] * size.height), SIDES[1] * shorter
        self.side = math.exp(rng.uniform(math.log(low), math.log(max(high, low * 1.01))))
        self.speed = math.exp(rng.uniform(*np.log(SPEEDS)))
        room_x, room_y = (max(length / 2 - 0.75 * self.side, 0.0) for length in (width, height))
        self._amplitude = np.minimum([room_x, room_y], 0.45 * self.side)
        spare_x, spare_y = room_x - self._amplitude[0], room_y - self._amplitude[1]
        self._home = np.array(
            [
                left * size.width + width / 2 + rng.uniform(-spare_x, spare_x),
                top * size.height + height / 2 + rng.uniform(-spare_y, spare_y),
            ]
        )
        reach = float(max(np.hypot(*self._amplitude), 0.05 * self.side))
        self._rate = self.speed * self.side / reach  # radians a second of its motion
        self._offsets = rng.uniform(0, 2 * math.pi, 4)
        self._ratio = rng.uniform(0.6, 0.9)
        self._grows, self._rolls = rng.uniform(0.0, 0.08), rng.uniform(0.0, 0.15)
        self._outside = self._nearest_outside()
        self.phases = self._phases(appearance, delay_s)

    def _nearest_outside(self) -> NDArray[np.float64]:
        """A point out of view, across the nearest edge."""
        x, y = self._home
        width, height = self.size.width, self.size.height
        beyond = BEYOND * self.side
        points = [(-beyond, y), (width + beyond, y), (x, -beyond), (x, height + beyond)]
        distances = [x, width - x, y, height - y]
        return np.array(points[int(np.argmin(distances))])

    @property
    def _travel_s(self) -> float:
        """Time from out of view to its centre of motion, at most `MAX_TRAVEL_S`; at twice the speed
        of its motion, at most 2 sides a second, unless the distance is long."""
        distance = float(np.hypot(*(self._home - self._outside)))
        return min(distance / (min(2 * self.speed, 2.0) * self.side), MAX_TRAVEL_S)

    def _phases(self, appearance: Appearance, delay_s: float) -> Phases:
        appears = AWAY_S + delay_s
        moving = appears + (self._travel_s if appearance == "enters" else 0.0)
        hidden = moving + MOVES_S
        shown = hidden + HIDDEN_S + 2 * COVER_S
        paused = shown + AGAIN_S
        leaves = paused + PAUSE_S + LAST_S
        gone = leaves + self._travel_s
        back = gone + 0.5
        return Phases(
            appearance,
            appears,
            (hidden + COVER_S, hidden + COVER_S + HIDDEN_S),
            (paused, paused + PAUSE_S),
            leaves,
            (gone, back),
            back + self._travel_s + BACK_S,
        )

    def _clock(self, t_s: float) -> float:
        """Time of its motion: it stops while the face rests, and eases in and out."""
        phases = self.phases
        start, stop = phases.paused
        begin = phases.appears if phases.appearance == "starts_moving" else -1.0
        return _eased(t_s, begin) - (_eased(t_s, start) - _eased(t_s, stop))

    def _progress(self, t_s: float) -> float:
        """0 out of view, 1 at its centre of motion."""
        phases = self.phases
        into = 1.0
        if phases.appearance == "enters":
            into = (t_s - phases.appears) / self._travel_s
        out = 1 - (t_s - phases.leaves) / self._travel_s
        back = (t_s - phases.away[1]) / self._travel_s
        fraction = min(into, out) if t_s < phases.away[1] else back
        return min(max(fraction, 0.0), 1.0)

    def pose(self, t_s: float) -> Pose:
        """Its pose, in view or not."""
        angle = self._rate * self._clock(t_s)
        a, b, c, d = self._offsets
        swing = self._amplitude * [math.sin(angle + a), math.sin(self._ratio * angle + b)]
        middle = self._outside + self._progress(t_s) * (self._home + swing - self._outside)
        return Pose(
            float(middle[0]),
            float(middle[1]),
            self.side * (1 + self._grows * math.sin(0.7 * angle + c)),
            self._rolls * math.sin(0.5 * angle + d),
        )

    def cover(self, t_s: float) -> float | None:
        """Distance of the object that hides it: 0 covers it, ±1 leaves it; None: out of view."""
        begin, end = self.phases.hidden
        if t_s <= begin - COVER_S or t_s >= end + COVER_S:
            uncovered = (
                self.phases.appearance == "uncovered" and t_s < self.phases.appears + COVER_S
            )
            return max((t_s - self.phases.appears) / COVER_S, 0.0) if uncovered else None
        return min((t_s - begin) / COVER_S, 0.0) if t_s < begin else max((t_s - end) / COVER_S, 0.0)


def _eased(t_s: float, start_s: float) -> float:
    """Integral of a speed that rises from 0 to 1 in EASE_S after `start_s`."""
    elapsed = t_s - start_s
    if elapsed <= 0:
        return 0.0
    return elapsed**2 / (2 * EASE_S) if elapsed < EASE_S else elapsed - EASE_S / 2
