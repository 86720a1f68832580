"""How things move while one window of events is recorded.

The picture is what the camera sees at the *end* of the window, so its landmarks are the answer as
they stand; motion says where the content of each pixel was before. A displacement field is a sum
of a dozen smooth basis fields (head in 3-D, background, mouth, lids, brows), each with its own
course in time, on a coarse grid that is enlarged to pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evface_edge.errors import ConfigError

GRID = 17
_HEAD_FIELDS = 6  # x, y, roll, size, yaw, pitch
_FIELDS = 12  # … background x and y, mouth, right lid, left lid, brows


@dataclass(frozen=True)
class MotionPrior:
    """From which motions are drawn; lengths in pixels of a crop 128 wide.

    Attributes:
        displacement_px: lowest and highest root-mean-square displacement of the head over a
            window, drawn log-uniformly.
        pause_share: of clips in which the motion stops or starts within the window.
        face_px: highest displacement of mouth, lids and brows.
        moving_background_share: of clips whose background moves on its own.
        depth: whether heads turn in 3-D; without, they move in the picture plane only.
    """

    displacement_px: tuple[float, float] = (0.4, 14.0)
    pause_share: float = 0.3
    face_px: float = 3.0
    moving_background_share: float = 0.4
    depth: bool = True

    def __post_init__(self) -> None:
        low, high = self.displacement_px
        if not 0 < low <= high:
            raise ConfigError("MotionPrior.displacement_px", (low, high), "0 < low <= high")
        for field in ("pause_share", "moving_background_share"):
            if not 0 <= getattr(self, field) <= 1:
                raise ConfigError(f"MotionPrior.{field}", getattr(self, field), "0 to 1")


def basis_fields(points: Tensor) -> Tensor:
    """Displacement fields that a face with these landmarks can show.

    Args:
        points: (B, 98, 2) fractions of the crop.

    Returns:
        (B, 12, 2, 17, 17): x and y of each field at the coarse grid; the head's fields have a
        root mean square of 1 over the head.
    """
    batch = len(points)
    axis = torch.linspace(0, 1, GRID, device=points.device)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).expand(batch, -1, -1, -1)
    center = (points.amin(1) + points.amax(1)) / 2
    side = (points.amax(1) - points.amin(1)).amax(-1).clamp_min(0.05)
    across = points[:, 72] - points[:, 60]
    across = across / across.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    down = torch.stack([-across[:, 1], across[:, 0]], -1)

    def in_face(xy: Tensor) -> tuple[Tensor, Tensor]:
        offset = (xy - center.view(batch, *[1] * (xy.ndim - 2), 2)) / side.view(
            batch, *[1] * (xy.ndim - 2), 1
        )
        frame = (batch, *[1] * (xy.ndim - 2), 2)
        return (offset * across.view(frame)).sum(-1), (offset * down.view(frame)).sum(-1)

    x, y = in_face(grid)

    def bump(index: list[int], width: float, height: float) -> tuple[Tensor, Tensor]:
        """A Gaussian around the mean of some landmarks, and the distance below it."""
        at_x, at_y = in_face(points[:, index].mean(1, keepdim=True))
        dx, dy = x - at_x[..., None], y - at_y[..., None]
        return torch.exp(-((dx / width) ** 2) - (dy / height) ** 2), dy

    # An ellipsoid for the head, with a nose on it.
    squared = 1 - (x / 0.62) ** 2 - ((y + 0.12) / 0.8) ** 2
    head = torch.sigmoid(squared * 12)
    nose, _ = bump([54], 0.12, 0.12)
    height = 0.5 * squared.clamp_min(0).sqrt() + 0.15 * nose
    mouth, below = bump(list(range(76, 96)), 0.28, 0.35)
    mouth = mouth * torch.sigmoid(below / 0.04)
    right_lid, _ = bump(list(range(60, 68)), 0.10, 0.06)
    left_lid, _ = bump(list(range(68, 76)), 0.10, 0.06)
    brows = bump(list(range(33, 42)), 0.15, 0.1)[0] + bump(list(range(42, 51)), 0.15, 0.1)[0]

    ex, ey = across[:, :, None, None], down[:, :, None, None]

    def along(direction: Tensor, amount: Tensor) -> Tensor:
        return direction * amount[:, None]

    still = torch.ones_like(x)
    fields = [
        along(ex, head),
        along(ey, head),
        along(ey, x * head) - along(ex, y * head),
        along(ex, x * head) + along(ey, y * head),
        along(ex, height * head),
        along(ey, height * head),
    ]
    fields = [
        field
        / ((field**2).sum(1).mean((1, 2)).sqrt() + 1e-4)[:, None, None, None]
        * head.mean((1, 2)).sqrt()[:, None, None, None]
        for field in fields
    ]
    fields += [
        along(ex, still - head),
        along(ey, still - head),
        along(ey, mouth),
        along(ey, right_lid),
        along(ey, left_lid),
        along(ey, brows),
    ]
    return torch.stack(fields, 1)


def sample_courses(
    prior: MotionPrior, batch: int, times: Tensor, generator: torch.Generator
) -> Tensor:
    """The amount of each field at each instant, in fractions of the crop.

    Args:
        times: (T,) rising, in windows: 0 is its start, 1 its end; earlier ones warm up the pixels.

    Returns:
        (B, 12, T); all zero at the last instant.
    """
    device = times.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    low, high = (math.log(v) for v in prior.displacement_px)
    amount = torch.exp(low + (high - low) * uniform(batch, 1))
    head = normal(batch, _HEAD_FIELDS) * uniform(batch, _HEAD_FIELDS)
    if not prior.depth:
        head[:, 4:] = 0
    head = head / head.norm(dim=1, keepdim=True).clamp_min(1e-3) * amount
    moving = (uniform(batch, 1) < prior.moving_background_share).float()
    # A background at rest, moving on its own, or with the head (a shaken camera).
    camera = (uniform(batch, 1) < 0.2).float()
    background = normal(batch, 2) * amount * 0.7 * moving * (1 - camera) + head[:, :2] * camera
    face_amount = torch.exp(math.log(0.1) + math.log(prior.face_px / 0.1) * uniform(batch, 4))
    face = normal(batch, 4).sign() * face_amount * (uniform(batch, 4) < 0.4).float()
    peak = torch.cat([head, background, face], 1) / 128

    # Speed over time: steady, with a swing; the head's fields share theirs, the face has its own.
    swing = uniform(batch, 5, 1) * 1.2
    rate = 0.3 + 1.2 * uniform(batch, 5, 1)
    phase = 2 * math.pi * uniform(batch, 5, 1)
    speed = 1 + swing * torch.sin(2 * math.pi * rate * times + phase)
    kind = uniform(batch, 1)
    edge = uniform(batch, 1)
    stops = (kind < prior.pause_share / 2).float() * (times > 0.3 + 0.6 * edge).float()
    starts = ((kind > 1 - prior.pause_share / 2).float()) * (times < 0.2 + 0.6 * edge).float()
    speed = speed * (1 - stops - starts)[:, None]
    share = torch.tensor([0] * _HEAD_FIELDS + [0, 0] + [1, 2, 3, 4], device=device)
    speed = speed[:, share]
    step = torch.diff(times)
    travelled = torch.cumsum((speed[..., 1:] + speed[..., :-1]) / 2 * step, -1)
    travelled = torch.cat([torch.zeros_like(travelled[..., :1]), travelled], -1)
    return peak[..., None] * (travelled - travelled[..., -1:])
