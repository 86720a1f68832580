"""Less flicker without lag: a Kalman filter over each landmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.landmarks import EYE_CORNERS

#: After a longer gap the velocity of before says nothing.
RESTART_AFTER_US = 100_000


@dataclass(frozen=True)
class SmoothingPolicy:
    """How much a landmark is believed against its own past.

    Attributes:
        acceleration: spectral density of the landmarks' acceleration, inter-ocular distances
            ÷ s^1.5: larger follows faster.
        jitter: fraction of σ that changes from look to look; the rest of σ is an error that stays,
            which no filter removes.
    """

    acceleration: float = 3.0
    jitter: float = 0.4

    def __post_init__(self) -> None:
        for name in ("acceleration", "jitter"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"SmoothingPolicy.{name}", getattr(self, name), "above 0")


class KalmanSmoother:
    """Constant velocity, white acceleration; x and y of a point fraction one covariance.

    The noise of a measurement is the network's own σ, so that points it is unsure of are held
    back more (Bar-Shalom et al., "Estimation with Applications to Tracking", 2001, section 6.2).
    """

    def __init__(self, policy: SmoothingPolicy | None = None) -> None:
        self._policy = policy or SmoothingPolicy()
        self._t_us: int | None = None

    def update(
        self, t_us: int, landmarks: NDArray[np.floating], sigma: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Landmarks (98, 2) and their σ (98,) at a time → the filtered landmarks (98, 2)."""
        seen = landmarks.astype(np.float64)
        noise = (self._policy.jitter * sigma.astype(np.float64)) ** 2
        if self._t_us is None or not 0 <= t_us - self._t_us <= RESTART_AFTER_US:
            self._begin(seen, noise)
        else:
            self._step((t_us - self._t_us) * 1e-6, seen, noise)
        self._t_us = t_us
        return self._place.astype(np.float32)

    def _begin(self, seen: NDArray[np.float64], noise: NDArray[np.float64]) -> None:
        scale = np.linalg.norm(seen[EYE_CORNERS[0]] - seen[EYE_CORNERS[1]])
        self._place, self._velocity = seen, np.zeros_like(seen)
        # Variance of the place, covariance with the velocity, variance of the velocity; heads
        # move two inter-oculars a second.
        self._covariance = noise, np.zeros_like(noise), np.full_like(noise, (2.0 * scale) ** 2)

    def _step(self, seconds: float, seen: NDArray[np.float64], noise: NDArray[np.float64]) -> None:
        scale = np.linalg.norm(seen[EYE_CORNERS[0]] - seen[EYE_CORNERS[1]])
        density = (self._policy.acceleration * scale) ** 2
        place_var, cross, speed_var = self._covariance
        place_var = (
            place_var + seconds * (2 * cross + seconds * speed_var) + density * seconds**3 / 3
        )
        cross = cross + seconds * speed_var + density * seconds**2 / 2
        speed_var = speed_var + density * seconds
        certainty = 1 / (place_var + noise + 1e-12)
        gain, speed_gain = place_var * certainty, cross * certainty
        place = self._place + seconds * self._velocity
        surprise = seen - place
        self._place = place + gain[:, None] * surprise
        self._velocity = self._velocity + speed_gain[:, None] * surprise
        left = 1 - gain
        self._covariance = left * place_var, left * cross, speed_var - speed_gain * cross
