"""Light from a still image whose face turns, speaks and blinks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.avatar.animation import SPEEDS, AvatarAnimation
from evface_training.avatar.scene import Expression, Pose
from evface_training.simulation.fields import basis_fields
from evface_training.simulation.lids import fit_eyelids
from evface_training.simulation.light import IMAGES_HZ, LABELS_HZ, Frame, LabelledFrame
from evface_training.simulation.motion import BROWS, MAX_TURN_RAD, MOUTH
from evface_training.simulation.relief import fit_head, head_mask, source_places, turned_points
from evface_training.simulation.tone import log_light

_GRID = 65
_DISTANCE_MM = 650.0
#: In heights of a face: motion of the mouth with an open jaw, and of raised brows.
_MOUTH, _BROWS = 0.07, 0.04
_SOLVE_STEPS = 12


@dataclass(frozen=True, eq=False)
class StillSource:
    """An image whose head moves like an avatar; the motion follows from the seed.

    With the head at rest the light is that of the image. The background does not move.

    Attributes:
        image: (H, W) uint8 grey, gamma-coded.
        points: (98, 2) pixels of the image.
        seed: of the motion.
        speed: "slow", "normal" or "fast".

    Raises:
        ConfigError: arrays of another shape, points that are not finite or mostly outside the
            image, an unknown speed, or a duration that is not above 0.
    """

    image: NDArray[np.uint8]
    points: NDArray[np.float32]
    seed: int = 0
    speed: str = "normal"
    seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.image.ndim != 2:
            raise ConfigError("image", self.image.shape, "a grey image (H, W)")
        if self.points.shape != (NUM_LANDMARKS, 2):
            raise ConfigError("points", self.points.shape, f"shape ({NUM_LANDMARKS}, 2)")
        if not np.isfinite(self.points).all():
            raise ConfigError("points", "nan", "finite pixels")
        height, width = self.image.shape
        if (
            not ((self.points > -0.5) & (self.points < (width - 0.5, height - 0.5))).all(1).mean()
            > 0.5
        ):
            raise ConfigError("points", "outside", f"landmarks inside the image {width}×{height}")
        if self.speed not in SPEEDS:
            raise ConfigError("speed", self.speed, f"one of {', '.join(SPEEDS)}")
        if not 0 < self.seconds <= 3600:
            raise ConfigError("seconds", self.seconds, "above 0, at most 3600")

    @property
    def size(self) -> SensorSize:
        return SensorSize(self.image.shape[1], self.image.shape[0])

    @property
    def duration_us(self) -> int:
        return round(self.seconds * 1e6)

    def __iter__(self) -> Iterator[LabelledFrame]:
        rng = np.random.default_rng(self.seed)
        animation = AvatarAnimation.sample(
            rng,
            speed=self.speed,  # type: ignore[arg-type]
            seconds=self.seconds,
            center=Pose(distance_mm=_DISTANCE_MM),
        )
        warp = _Warp(self.points, self.size)
        light = log_light(self.image.astype(np.float32))[None, None]
        rate_hz = IMAGES_HZ[self.speed]
        every = max(1, rate_hz // LABELS_HZ)
        for index in range(int(self.seconds * rate_hz) + 1):
            t_us = round(index * 1e6 / rate_hz)
            expression, pose = animation.state(t_us)
            warp.set(expression, pose)
            source = warp.source(warp.grid)[0].reshape(_GRID, _GRID, 2)
            frame = warp.show(warp.blink(light), source)
            yield LabelledFrame(Frame(t_us, frame), None if index % every else warp.landmarks())


class _Warp:
    """The warp of an image for an expression and a pose; places in units of its longer side."""

    def __init__(self, points: NDArray[np.float32], size: SensorSize) -> None:
        self._size, self._unit = size, float(max(size.width, size.height))
        self._points = torch.from_numpy(points).float()[None]
        self._still = (self._points + 0.5) / self._unit
        self._lids = fit_eyelids(self._points)
        x, y = (
            torch.linspace(0.5, side - 0.5, _GRID) / self._unit
            for side in (size.width, size.height)
        )
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
        self.grid = places.reshape(1, -1, 2)
        self._head = fit_head(self._still)
        self._face = (self._still.amax(1) - self._still.amin(1)).amax()
        # Displacements of mouth and brows: (1, 4, G, G).
        self._fields = basis_fields(self._still, places)[:, [MOUTH, BROWS]].flatten(1, 2)

    def set(self, expression: Expression, pose: Pose) -> None:
        # A still does not show the other half of the head.
        turn = torch.deg2rad(torch.tensor([pose.yaw_deg, pose.pitch_deg]))
        turn = turn * (MAX_TURN_RAD / turn.norm().clamp_min(1e-6)).clamp_max(1.0)
        self._yaw, self._pitch = turn[:1], turn[1:]
        roll = torch.deg2rad(torch.tensor(pose.roll_deg))
        self._scale = _DISTANCE_MM / pose.distance_mm
        self._rotate = torch.stack(
            [torch.stack([roll.cos(), roll.sin()]), torch.stack([-roll.sin(), roll.cos()])]
        )
        shift = torch.tensor([[[pose.x_mm, pose.y_mm]]])
        self._shift = shift * self._head.scale[:, None, None]
        mouth = expression.jaw_open * _MOUTH
        brows = -0.5 * (expression.brow_right + expression.brow_left) * _BROWS
        self._amounts = torch.tensor([mouth, brows]) * self._face
        self._closure = torch.tensor([[expression.blink_right, expression.blink_left]])

    def blink(self, light: Tensor) -> Tensor:
        """Return the still (1, 1, H, W) with its lids closed as set."""
        return self._lids.cover(light, self._closure)

    def source(self, places: Tensor) -> Tensor:
        """Convert places (1, N, 2) of the moved image to places of the still."""
        middle = self._head.offset[:, None, :2]
        back = (places - middle - self._shift) @ self._rotate.T / self._scale + middle
        places = places + (back - places) * head_mask(self._head, places)[..., None]
        places = source_places(self._head, self._yaw, self._pitch, places)
        return places - self._expressed(places)

    def _expressed(self, places: Tensor) -> Tensor:
        extent = torch.tensor([self._size.width, self._size.height]) / self._unit
        at = places / extent * 2 - 1
        # The grid reaches from the centre of the first pixel to that of the last.
        at = at / (1 - 1 / torch.tensor([self._size.width, self._size.height]))
        fields = F.grid_sample(self._fields, at[:, None], "bilinear", "border", align_corners=True)
        return torch.einsum("k,kcn->nc", self._amounts, fields[0, :, 0].reshape(2, 2, -1))[None]

    def landmarks(self) -> NDArray[np.float32]:
        """Return (98, 2) pixels: the places that `source` maps to the landmarks of the still."""
        still = (self._lids.closed(self._points, self._closure) + 0.5) / self._unit
        turned, _ = turned_points(self._head, self._yaw, self._pitch, still)
        middle = self._head.offset[:, None, :2]
        guess = (turned - middle) * self._scale @ self._rotate + middle + self._shift
        moved = guess + self._expressed(still)
        for _ in range(_SOLVE_STEPS):
            moved = moved + 0.7 * (still - self.source(moved))
        # A hidden point has no such place: it gets its place after the turn.
        error = (still - self.source(moved)).norm(dim=-1) * self._unit
        away = (moved - guess).norm(dim=-1) > 0.1 * self._face
        solved = torch.where(((error > 0.5) | away)[..., None], guess, moved)
        result: NDArray[np.float32] = (solved[0] * self._unit - 0.5).numpy()
        return result

    def show(self, images: Tensor, source: Tensor) -> Tensor:
        """Sample an image (1, 1, H, W) at source places (G, G, 2), enlarged to (H, W)."""
        height, width = self._size.height, self._size.width
        extent = torch.tensor([width, height]) / self._unit
        coarse = (source / extent * 2 - 1).permute(2, 0, 1)[None]
        dense = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
        return F.grid_sample(
            images, dense.permute(0, 2, 3, 1), "bilinear", "border", align_corners=False
        )[0, 0]
