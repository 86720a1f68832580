"""Expression and pose of an avatar in continuous time: turns, blinks, gaze, speech and pauses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_training.avatar.scene import Expression, Pose

Speed = Literal["slow", "normal", "fast"]


@dataclass(frozen=True)
class _Pace:
    """Root mean square and highest frequency of the motion of the head."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    shift_mm: float
    highest_hz: float
    gaze_shifts_hz: float


SPEEDS: dict[str, _Pace] = {
    "slow": _Pace(7.0, 4.0, 2.5, 6.0, 0.35, 0.5),
    "normal": _Pace(12.0, 6.0, 4.0, 12.0, 0.9, 1.0),
    "fast": _Pace(18.0, 9.0, 6.0, 20.0, 3.0, 1.8),
}
#: Largest turns, reached smoothly and not exceeded.
_LIMITS_DEG = {"yaw": 55.0, "pitch": 30.0, "roll": 30.0}
_BLINK_CLOSE_S, _BLINK_OPEN_S = 0.075, 0.160  # as in VanderWerf et al., 2003
_SACCADE_S = 0.045


@dataclass(frozen=True, eq=False)
class _Waves:
    """A sum of sines: band-limited and smooth; arrays (waves,)."""

    amplitude: NDArray[np.float64]
    omega: NDArray[np.float64]
    phase: NDArray[np.float64]

    def __call__(self, t_s: float) -> float:
        return float(self.amplitude @ np.sin(self.omega * t_s + self.phase))

    @classmethod
    def sample(
        cls, rng: np.random.Generator, rms: float, low_hz: float, high_hz: float, count: int = 6
    ) -> _Waves:
        hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), count))
        amplitude = rng.uniform(0.5, 1.0, count) / np.sqrt(hz)
        amplitude *= rms * np.sqrt(2) / np.linalg.norm(amplitude)
        return cls(amplitude, 2 * np.pi * hz, rng.uniform(0, 2 * np.pi, count))


@dataclass(frozen=True, eq=False)
class _Steps:
    """Values that change in short smooth steps at given times; arrays (steps,).

    A step that begins before an earlier one has ended is added to it, so that nothing jumps.
    """

    at_s: NDArray[np.float64]
    value: NDArray[np.float64]
    duration_s: float

    def __call__(self, t_s: float) -> float:
        now = int(np.searchsorted(self.at_s, t_s, side="right")) - 1
        if now < 0:
            return float(self.value[0])
        first = now
        while first > 0 and t_s - self.at_s[first - 1] < self.duration_s:
            first -= 1
        reached = self.value[max(first - 1, 0)]
        for step in range(first, now + 1):
            fraction = _ease((t_s - self.at_s[step]) / self.duration_s)
            reached += (self.value[step] - self.value[max(step - 1, 0)]) * fraction
        return float(reached)


@dataclass(frozen=True, eq=False)
class AvatarAnimation:
    """A trajectory of expression and pose, in closed form.

    Head and mouth move by sums of sines of a clock that stops in pauses, with ramps of 0.12 s.
    Blinks and gaze shifts continue in pauses.

    Attributes:
        duration_us: length; states outside are those of the ends.
    """

    duration_us: int
    _pose: dict[str, _Waves]
    _center: Pose
    _mouth: dict[str, _Waves]
    _gaze: tuple[_Steps, _Steps]
    _blinks_s: NDArray[np.float64]
    _clock: tuple[NDArray[np.float64], NDArray[np.float64]]

    @classmethod
    def sample(
        cls,
        rng: np.random.Generator,
        *,
        speed: Speed = "normal",
        seconds: float = 10.0,
        center: Pose | None = None,
        pauses: bool = True,
    ) -> AvatarAnimation:
        """Draw a trajectory around `center`.

        Raises:
            ConfigError: an unknown speed, or a duration that is not above 0.
        """
        if speed not in SPEEDS:
            raise ConfigError("speed", speed, ", ".join(SPEEDS))
        if not 0 < seconds < 1e6:
            raise ConfigError("seconds", seconds, "above 0 and below 1,000,000")
        pace = SPEEDS[speed]
        high = pace.highest_hz

        def head(rms: float, scale: float = 1.0) -> _Waves:
            return _Waves.sample(rng, rms, 0.15 * high * scale, high * scale)

        pose = {
            "yaw_deg": head(pace.yaw_deg),
            "pitch_deg": head(pace.pitch_deg),
            "roll_deg": head(pace.roll_deg),
            "x_mm": head(pace.shift_mm, 0.6),
            "y_mm": head(0.5 * pace.shift_mm, 0.6),
            "distance_mm": head(1.2 * pace.shift_mm, 0.4),
        }
        mouth = {
            "speech": _Waves.sample(rng, 0.30, 2.0, 5.5),
            "talking": _Waves.sample(rng, 1.0, 0.1, 0.4),
            "lips": _Waves.sample(rng, 0.28, 1.5, 4.0),
            "smile": _Waves.sample(rng, 0.32, 0.08, 0.5),
            "brows": _Waves.sample(rng, 0.30, 0.15, 0.8),
            "frown": _Waves.sample(rng, 0.30, 0.1, 0.5),
        }
        shifts = 1 + int(rng.poisson(pace.gaze_shifts_hz * seconds))
        at = np.sort(rng.uniform(0, seconds, shifts))
        gaze = (
            _Steps(at, np.clip(9 * rng.standard_normal(shifts), -28, 28), _SACCADE_S),
            _Steps(at, np.clip(5 * rng.standard_normal(shifts), -16, 16), _SACCADE_S),
        )
        gaps = 0.5 + rng.exponential(2.6, 2 + int(seconds))
        blinks = np.cumsum(gaps)
        return cls(
            round(seconds * 1e6),
            pose,
            center or Pose(y_mm=15.0),
            mouth,
            gaze,
            blinks[blinks < seconds],
            _clock(rng, seconds, pauses),
        )

    def state(self, t_us: float) -> tuple[Expression, Pose]:
        """Return expression and pose at a time, µs from the start."""
        t_s = min(max(t_us, 0), self.duration_us) / 1e6
        moved_s = _elapsed(self._clock, t_s)
        return self._expression(t_s, moved_s), self._pose_at(moved_s)

    @property
    def blinks_us(self) -> NDArray[np.int64]:
        """Starts of the blinks, µs from the start."""
        return (self._blinks_s * 1e6).astype(np.int64)

    def _pose_at(self, moved_s: float) -> Pose:
        center = self._center
        values = {name: getattr(center, name) + w(moved_s) for name, w in self._pose.items()}
        for axis, limit in _LIMITS_DEG.items():
            values[f"{axis}_deg"] = limit * float(np.tanh(values[f"{axis}_deg"] / limit))
        values["distance_mm"] = max(values["distance_mm"], 200.0)
        return replace(center, **values)

    def _expression(self, t_s: float, moved_s: float) -> Expression:
        mouth = self._mouth
        talking = _ease(0.5 + 0.6 * mouth["talking"](moved_s))
        jaw = talking * max(mouth["speech"](moved_s), 0.0)
        lips = talking * mouth["lips"](moved_s)
        brows = float(np.clip(mouth["brows"](moved_s), -0.4, 1.0))
        blink = self._blink(t_s)
        # Lids follow the eyes when they look down.
        gaze_pitch = self._gaze[1](t_s)
        lid = blink + (1 - blink) * float(np.clip(-gaze_pitch / 40, 0.0, 0.35))
        return Expression(
            jaw_open=float(np.clip(jaw, 0.0, 1.0)),
            smile=float(np.clip(mouth["smile"](moved_s), -0.3, 1.0)),
            pucker=float(np.clip(lips, 0.0, 0.8)),
            lips_apart=float(np.clip(-lips, 0.0, 0.8)),
            brow_right=brows,
            brow_left=brows,
            frown=float(np.clip(mouth["frown"](moved_s), 0.0, 1.0)),
            blink_right=lid,
            blink_left=lid,
            gaze_yaw_deg=self._gaze[0](t_s),
            gaze_pitch_deg=gaze_pitch,
        )

    def _blink(self, t_s: float) -> float:
        started = int(np.searchsorted(self._blinks_s, t_s, side="right")) - 1
        if started < 0:
            return 0.0
        since = t_s - float(self._blinks_s[started])
        if since < _BLINK_CLOSE_S:
            return _ease(since / _BLINK_CLOSE_S)
        return 1.0 - _ease((since - _BLINK_CLOSE_S) / _BLINK_OPEN_S)


def _ease(fraction: float) -> float:
    """Smootherstep: from 0 to 1 with continuous velocity and acceleration."""
    u = min(max(fraction, 0.0), 1.0)
    return u * u * u * (u * (6 * u - 15) + 10)


_RAMP_S = 0.12


def _clock(
    rng: np.random.Generator, seconds: float, pauses: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw starts and lengths (s) of the pauses, each at least two ramps long."""
    if not pauses or seconds < 2.0:
        return np.empty(0), np.empty(0)
    starts, lengths = [], []
    t = float(rng.uniform(0.8, 4.0))
    while t < seconds - 0.5:
        length = float(rng.uniform(0.4, 2.0))
        starts.append(t)
        lengths.append(length)
        t += length + float(rng.uniform(1.0, 6.0))
    return np.array(starts), np.array(lengths)


def _elapsed(clock: tuple[NDArray[np.float64], NDArray[np.float64]], t_s: float) -> float:
    """Return the time of the clock: t less the pauses so far.

    In a pause the rate falls from 1 to 0 as 1 - ease(u), stays, and rises likewise. The integral
    of `ease` over a whole ramp is half the ramp.
    """
    lost = 0.0
    for start, length in zip(*clock, strict=True):
        since = t_s - start
        if since <= 0:
            break
        lost += _integral(min(since, _RAMP_S))
        lost += float(np.clip(since - _RAMP_S, 0, length - 2 * _RAMP_S))
        out = min(max(since - (length - _RAMP_S), 0.0), _RAMP_S)
        lost += _RAMP_S / 2 - _integral(_RAMP_S - out)
    return t_s - lost


def _integral(since: float) -> float:
    """Integral of `_ease(t / _RAMP_S)` from 0 to `since`, s."""
    u = since / _RAMP_S
    return _RAMP_S * (u**6 - 3 * u**5 + 2.5 * u**4)
