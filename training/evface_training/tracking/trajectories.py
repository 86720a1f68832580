"""What happens to a face in a sequence, and where it is at every instant.

    away ─ appears ─ moves ─ is hidden for 0.5 s ─ moves ─ pauses for 5 s ─ moves ─ leaves ─
    away ─ comes back ─ moves

A face appears in one of three ways: it enters from an edge, it is uncovered by what hid it, or it
has been there, at rest, and begins to move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evface_edge.geometry import SensorSize

Appearing = Literal["enters", "uncovered", "begins"]
WAYS: tuple[Appearing, ...] = ("enters", "uncovered", "begins")

AWAY_S, MOVES_S, HIDDEN_S, AGAIN_S, PAUSE_S, LAST_S, BACK_S = 0.3, 1.4, 0.5, 1.0, 5.0, 0.6, 1.0
#: From out of view to home.
LONGEST_WAY_S = 1.3
#: How long an object takes to cover a face, and to leave it.
COVER_S = 0.2
#: How long a face takes to stop, and to be at full speed.
EASE_S = 0.06
#: Smallest face, and sides of faces ÷ shorter side of the sensor.
MIN_SIDE_PX, SIDES = 36.0, (0.13, 0.7)
#: Faces a second.
SPEEDS = (0.3, 1.5)
#: Between comings, and at the way in and out: middle this many sides beyond the edge.
BEYOND = 1.6


@dataclass(frozen=True)
class Phases:
    """Instants of a trajectory in seconds; hidden, paused and away are (begin, end).

    Attributes:
        appears, comes_back: when the way in begins, for what enters; or the face is there to see.
    """

    way: Appearing
    appears: float
    hidden: tuple[float, float]
    paused: tuple[float, float]
    leaves: float
    away: tuple[float, float]
    end: float


@dataclass(frozen=True)
class Pose:
    """Middle of the face box, px; its longer side, px; roll, radians."""

    x: float
    y: float
    side: float
    roll: float


class Trajectory:
    """Where a face is, from the begin of a sequence to its end.

    Args:
        region: left, top, right, bottom of where it lives, as fractions of the sensor.
        late_s: everything happens so much later.
    """

    def __init__(
        self,
        size: SensorSize,
        rng: np.random.Generator,
        way: Appearing,
        region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
        late_s: float = 0.0,
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
        self._rate = self.speed * self.side / reach  # radians a second of the swing
        self._turns = rng.uniform(0, 2 * math.pi, 4)
        self._ratio = rng.uniform(0.6, 0.9)
        self._grows, self._rolls = rng.uniform(0.0, 0.08), rng.uniform(0.0, 0.15)
        self._door = self._nearest_door()
        self.phases = self._phases(way, late_s)

    def _nearest_door(self) -> NDArray[np.float64]:
        """A place out of view, straight across the nearest edge."""
        x, y = self._home
        width, height = self.size.width, self.size.height
        beyond = BEYOND * self.side
        doors = [(-beyond, y), (width + beyond, y), (x, -beyond), (x, height + beyond)]
        ways = [x, width - x, y, height - y]
        return np.array(doors[int(np.argmin(ways))])

    @property
    def _way_s(self) -> float:
        """From out of view to home, at twice the speed of the swing, 2 sides a second at most;
        from afar faster."""
        distance = float(np.hypot(*(self._home - self._door)))
        return min(distance / (min(2 * self.speed, 2.0) * self.side), LONGEST_WAY_S)

    def _phases(self, way: Appearing, late_s: float) -> Phases:
        appears = AWAY_S + late_s
        moving = appears + (self._way_s if way == "enters" else 0.0)
        hidden = moving + MOVES_S
        shown = hidden + HIDDEN_S + 2 * COVER_S
        paused = shown + AGAIN_S
        leaves = paused + PAUSE_S + LAST_S
        gone = leaves + self._way_s
        back = gone + 0.5
        return Phases(
            way,
            appears,
            (hidden + COVER_S, hidden + COVER_S + HIDDEN_S),
            (paused, paused + PAUSE_S),
            leaves,
            (gone, back),
            back + self._way_s + BACK_S,
        )

    def _clock(self, t_s: float) -> float:
        """Time of the swing: it stands while the face is at rest, and eases in and out."""
        phases = self.phases
        start, stop = phases.paused
        begin = phases.appears if phases.way == "begins" else -1.0
        return _eased(t_s, begin) - (_eased(t_s, start) - _eased(t_s, stop))

    def _presence(self, t_s: float) -> float:
        """0 at the door, 1 at home."""
        phases = self.phases
        into = 1.0
        if phases.way == "enters":
            into = (t_s - phases.appears) / self._way_s
        out = 1 - (t_s - phases.leaves) / self._way_s
        back = (t_s - phases.away[1]) / self._way_s
        fraction = min(into, out) if t_s < phases.away[1] else back
        return min(max(fraction, 0.0), 1.0)

    def pose(self, t_s: float) -> Pose:
        """Where it is, in view or not."""
        angle = self._rate * self._clock(t_s)
        a, b, c, d = self._turns
        swing = self._amplitude * [math.sin(angle + a), math.sin(self._ratio * angle + b)]
        middle = self._door + self._presence(t_s) * (self._home + swing - self._door)
        return Pose(
            float(middle[0]),
            float(middle[1]),
            self.side * (1 + self._grows * math.sin(0.7 * angle + c)),
            self._rolls * math.sin(0.5 * angle + d),
        )

    def cover(self, t_s: float) -> float | None:
        """How far the thing that hides it is from it, in ways to cover it; None: out of view."""
        begin, end = self.phases.hidden
        if t_s <= begin - COVER_S or t_s >= end + COVER_S:
            uncovered = self.phases.way == "uncovered" and t_s < self.phases.appears + COVER_S
            return max((t_s - self.phases.appears) / COVER_S, 0.0) if uncovered else None
        return min((t_s - begin) / COVER_S, 0.0) if t_s < begin else max((t_s - end) / COVER_S, 0.0)


def _eased(t_s: float, start_s: float) -> float:
    """∫ of a speed that rises from 0 to 1 in EASE_S after `start_s`."""
    late = t_s - start_s
    if late <= 0:
        return 0.0
    return late * late / (2 * EASE_S) if late < EASE_S else late - EASE_S / 2
