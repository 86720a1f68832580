"""The motion prior, and trajectories during one window of events.

The image shows the *end* of the window, so its landmarks are the labels without a change; the
motion gives the earlier place of each pixel. A displacement field is a sum of smooth basis fields
(head, background, mouth, lids, brows, the whole camera; see `fields`), each with a trajectory in
closed form, which can be evaluated at any time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evface_training.simulation.ranges import (
    check_fractions,
    check_positive,
    check_ranges,
    log_uniform,
)

#: Indices of `fields.basis_fields`: head x, y, roll, size, two turns; background x, y; mouth, right
#: lid, left lid, brows; camera x, y.
HEAD, BACKGROUND, CAMERA = slice(0, 6), slice(6, 8), slice(12, 14)
MOUTH, BROWS = 8, 11
#: Beyond this angle a still would show parts of the head that are not in the image.
MAX_TURN_RAD = math.radians(28.0)


@dataclass(frozen=True)
class MotionPrior:
    """The distribution of motions; lengths in pixels of a crop 128 wide.

    Attributes:
        speed_deg_per_s: of the head, log-uniform; motion in the image plane is as fast as the
            middle of a face that turns at this speed.
        displacement_px: lowest and highest root-mean-square displacement of the head over a
            window, log-uniform; it and the speed determine the length of the window.
        pause_fraction: of clips in which the motion stops or starts within the window.
        face_px: highest displacement of mouth, lids and brows.
        moving_background_fraction: of clips with a background that moves on its own.
        shake_fraction: of clips with camera shake.
        shake_px: highest amplitude of the shake.
    """

    speed_deg_per_s: tuple[float, float] = (3.0, 1000.0)
    displacement_px: tuple[float, float] = (0.4, 14.0)
    pause_fraction: float = 0.3
    face_px: float = 3.0
    moving_background_fraction: float = 0.4
    shake_fraction: float = 0.15
    shake_px: float = 2.0

    def __post_init__(self) -> None:
        check_ranges(self, "displacement_px", "speed_deg_per_s")
        check_positive(self, "face_px", "shake_px")
        check_fractions(self)


@dataclass(frozen=True)
class Trajectories:
    """Displacements relative to the end of the window, at any time.

    Time is in windows: 0 is the start, 1 the end; earlier and later times are allowed.

    Attributes:
        peak: (B, 14) amount of each field for a window of steady motion, fractions of the crop.
        turn_rad: (B, 2) yaw and pitch for a window of steady motion.
        swing, rate, phase: (B, 14) the speed is 1 + swing · sin(2π · rate · t + phase).
        begins, ends: (B, 1) start and end of the motion; -inf and inf without a pause.
        shake: (B, 2, 3) amplitude (crop), cycles per window and phase of camera shake.
        earliest: the earliest time of use.
    """

    peak: Tensor
    turn_rad: Tensor
    swing: Tensor
    rate: Tensor
    phase: Tensor
    begins: Tensor
    ends: Tensor
    shake: Tensor
    earliest: float

    def __getitem__(self, part: slice) -> Trajectories:
        values = {name: value[part] for name, value in vars(self).items() if name != "earliest"}
        return Trajectories(**values, earliest=self.earliest)

    def travelled(self, times: Tensor) -> Tensor:
        """Return the distance since t = 0, in windows of steady motion, (B, 14, T).

        Args:
            times: (T,) or (B, T).
        """
        t = times[None] if times.ndim == 1 else times
        t = t.maximum(self.begins).minimum(self.ends)[:, None]
        omega = 2 * math.pi * self.rate[..., None]
        phase, swing = self.phase[..., None], self.swing[..., None]
        return t + swing * (torch.cos(phase) - torch.cos(omega * t + phase)) / omega

    def at(self, times: Tensor) -> Tensor:
        """Return the amount of each field, (B, 14, T), fractions of the crop; zero at time 1."""
        one = torch.ones(1, device=times.device)
        distance = self.travelled(times) - self.travelled(one)
        amounts = self.peak[..., None] * distance
        # Fields 4 and 5 are the displacements at half of the largest turn and at all of it; a
        # parabola through these and no turn interpolates.
        fraction = self._turned(distance)
        amounts[:, 4] = 4 * fraction * (1 - fraction)
        amounts[:, 5] = fraction * (2 * fraction - 1)
        amounts[:, CAMERA] += self._shaken(times) - self._shaken(one)
        return amounts

    def turn_at(self, times: Tensor) -> Tensor:
        """Return yaw and pitch relative to the end of the window, radians (B, 2, T)."""
        one = torch.ones(1, device=times.device)
        distance = (self.travelled(times) - self.travelled(one))[:, :1]
        return self.turn_rad[..., None] * distance

    def farthest_turn(self) -> Tensor:
        """Return yaw and pitch (B, 2) at the earliest time, radians."""
        return self.turn_at(torch.tensor([self.earliest], device=self.peak.device))[..., 0]

    def _turned(self, distance: Tensor) -> Tensor:
        first = torch.tensor([self.earliest], device=distance.device)
        one = torch.ones(1, device=distance.device)
        farthest = (self.travelled(first) - self.travelled(one))[:, 0]
        return distance[:, 0] / torch.where(
            farthest.abs() < 1e-6, -torch.ones_like(farthest), farthest
        )

    def _shaken(self, times: Tensor) -> Tensor:
        amplitude, rate, phase = (self.shake[..., k, None] for k in range(3))
        t = (times[None] if times.ndim == 1 else times)[:, None]
        return amplitude * torch.sin(2 * math.pi * rate * t + phase)


def sample_motion(
    prior: MotionPrior,
    batch: int,
    lever: Tensor,
    duration_s: tuple[float, Tensor],
    earliest: float,
    generator: torch.Generator,
) -> tuple[Trajectories, Tensor, Tensor]:
    """Draw motions and the lengths of their windows.

    Args:
        lever: (B,) motion of a turning face, crop ÷ radian.
        duration_s: shortest window, and longest (B,); they limit the displacement, not the speed.
        earliest: the earliest time of use, in windows; 0 or below.

    Returns:
        trajectories; duration of each window (B,), seconds; mean speed of the head (B,), degrees
        per second.
    """
    device = lever.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    speed = torch.deg2rad(log_uniform(prior.speed_deg_per_s, uniform(batch))) * lever
    wanted = log_uniform(prior.displacement_px, uniform(batch)) / 128
    shortest, longest = duration_s
    window_s = (wanted / speed).clamp_min(shortest).minimum(longest)
    amount = (speed * window_s).clamp_max(prior.displacement_px[1] / 128)[:, None]

    head = normal(batch, 6) * uniform(batch, 6)
    head = head / head.norm(dim=1, keepdim=True).clamp_min(1e-3) * amount
    turn = head[:, 4:] / lever[:, None].clamp_min(1e-3)
    # `travelled` can exceed 1 because of the swing, and begins before the window.
    most = MAX_TURN_RAD / (2.3 - earliest)
    turn = turn * (most / turn.norm(dim=1, keepdim=True).clamp_min(1e-6)).clamp_max(1.0)
    head = torch.cat([head[:, :4], torch.ones_like(turn)], 1)
    moving = (uniform(batch, 1) < prior.moving_background_fraction).float()
    # The background rests, moves on its own, or moves with the head (a panning camera).
    pans = (uniform(batch, 1) < 0.2).float()
    background = normal(batch, 2) * amount * 0.7 * moving * (1 - pans) + head[:, :2] * pans
    face_amount = log_uniform((0.1, prior.face_px), uniform(batch, 4)) / 128
    face = normal(batch, 4).sign() * face_amount * (uniform(batch, 4) < 0.4).float()
    peak = torch.cat([head, background, face, torch.zeros(batch, 2, device=device)], 1)

    # Variation of speed: shared by head and background, separate for the parts of a face.
    owner = torch.tensor([0] * 8 + [1, 2, 3, 4] + [0, 0], device=device)
    swing, rate, phase = uniform(batch, 5) * 1.2, 0.3 + 1.2 * uniform(batch, 5), uniform(batch, 5)
    kind, edge = uniform(batch, 1), uniform(batch, 1)
    stops, starts = kind < prior.pause_fraction / 2, kind > 1 - prior.pause_fraction / 2
    shakes = (uniform(batch, 1) < prior.shake_fraction).float()
    strength = log_uniform((0.1, max(prior.shake_px, 0.1)), uniform(batch, 2)) / 128 * shakes
    tremor_hz = 4.0 + 14.0 * uniform(batch, 2)
    shake = torch.stack(
        [strength, tremor_hz * window_s[:, None], 2 * math.pi * uniform(batch, 2)], -1
    )
    return (
        Trajectories(
            peak=peak,
            turn_rad=turn,
            swing=swing[:, owner],
            rate=rate[:, owner],
            phase=2 * math.pi * phase[:, owner],
            begins=torch.where(starts, 0.2 + 0.6 * edge, -math.inf),
            ends=torch.where(stops, 0.3 + 0.6 * edge, math.inf),
            shake=shake,
            earliest=earliest,
        ),
        window_s,
        torch.rad2deg(amount[:, 0] / lever / window_s),
    )
