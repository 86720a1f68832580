"""A Kalman filter of each landmark: less flicker without lag."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.landmarks import EYE_CORNERS

#: After a longer gap the filter starts anew.
RESTART_AFTER_US = 100_000


@dataclass(frozen=True)
class SmoothingPolicy:
    """Strength of the Kalman filter.

    Attributes:
        acceleration: spectral density of the acceleration of landmarks, inter-ocular distances
            ÷ s^1.5; with a larger one they follow motion faster.
        jitter: fraction of σ that is independent between inferences; the rest is a constant error,
            which no filter removes.

    Raises:
        ConfigError: a value of 0 or less.
    """

    acceleration: float = 3.0
    jitter: float = 0.4

    def __post_init__(self) -> None:
        for name in ("acceleration", "jitter"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"SmoothingPolicy.{name}", getattr(self, name), "above 0")


class KalmanSmoother:
    """Constant velocity with white acceleration; x and y of a point have the same covariance.

    The measurement noise is the σ of the network, so that uncertain points are smoothed more
    (Bar-Shalom et al., "Estimation with Applications to Tracking", 2001, section 6.2).
    """

    def __init__(self, policy: SmoothingPolicy | None = None) -> None:
        self._policy = policy or SmoothingPolicy()
        self._t_us: int | None = None

    def update(
        self, t_us: int, landmarks: NDArray[np.floating], sigma: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Landmarks (98, 2) and σ (98,) at a time → filtered landmarks (98, 2)."""
        measured = landmarks.astype(np.float64)
        noise = (self._policy.jitter * sigma.astype(np.float64)) ** 2
        if self._t_us is None or not 0 <= t_us - self._t_us <= RESTART_AFTER_US:
            self._begin(measured, noise)
        else:
            self._step((t_us - self._t_us) * 1e-6, measured, noise)
        self._t_us = t_us
        return self._position.astype(np.float32)

    def _begin(self, measured: NDArray[np.float64], noise: NDArray[np.float64]) -> None:
        scale = np.linalg.norm(measured[EYE_CORNERS[0]] - measured[EYE_CORNERS[1]])
        self._position, self._velocity = measured, np.zeros_like(measured)
        # Variance of the position, its covariance with the velocity, variance of the velocity;
        # heads move at two inter-ocular distances per second.
        self._covariance = noise, np.zeros_like(noise), np.full_like(noise, (2.0 * scale) ** 2)

    def _step(
        self, seconds: float, measured: NDArray[np.float64], noise: NDArray[np.float64]
    ) -> None:
        scale = np.linalg.norm(measured[EYE_CORNERS[0]] - measured[EYE_CORNERS[1]])
        density = (self._policy.acceleration * scale) ** 2
        position_var, cross, velocity_var = self._covariance
        position_var = (
            position_var + seconds * (2 * cross + seconds * velocity_var) + density * seconds**3 / 3
        )
        cross = cross + seconds * velocity_var + density * seconds**2 / 2
        velocity_var = velocity_var + density * seconds
        precision = 1 / (position_var + noise + 1e-12)
        gain, velocity_gain = position_var * precision, cross * precision
        position = self._position + seconds * self._velocity
        innovation = measured - position
        self._position = position + gain[:, None] * innovation
        self._velocity = self._velocity + velocity_gain[:, None] * innovation
        remaining = 1 - gain
        self._covariance = (
            remaining * position_var,
            remaining * cross,
            velocity_var - velocity_gain * cross,
        )
