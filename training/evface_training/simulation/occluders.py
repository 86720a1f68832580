"""Objects in front of a face: hands, cups, phones, sticks; drawn, so free of any licence."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from evface_training.simulation.textures import texture_bank
from evface_training.simulation.tone import grey

TEXTURE_SIDE = 96


@functools.lru_cache(maxsize=2)
def occluder_bank(count: int, seed: int) -> Tensor:
    """Return (count, 4, 96, 96) float32 in [0, 1]: gamma-coded red, green, blue, and coverage.

    Do not change them.
    """
    rng = np.random.default_rng(seed)
    cloth = texture_bank(count, TEXTURE_SIDE, seed + 1).numpy()
    drawn = []
    for index in range(count):
        kind = rng.integers(5)
        draw = (_hand, _hand, _cup, _stick, _blob)[kind]
        cover = Image.new("L", (TEXTURE_SIDE, TEXTURE_SIDE))
        shade = np.full((TEXTURE_SIDE, TEXTURE_SIDE), 1.0, np.float32)
        color = draw(rng, cover, shade)
        shade *= 1 - rng.uniform(0.05, 0.6) * cloth[index] * (kind > 1)
        shade *= 1 - 0.1 * cloth[index]
        alpha = np.asarray(cover.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
        drawn.append(np.concatenate([np.clip(color[:, None, None] * shade, 0, 1), alpha[None]]))
    return torch.from_numpy(np.stack(drawn).astype(np.float32))


def _hand(rng: np.random.Generator, cover: Image.Image, shade: np.ndarray) -> np.ndarray:
    """A palm with four fingers, closer or wider apart, and a thumb."""
    side, draw = TEXTURE_SIDE, ImageDraw.Draw(cover)
    palm_x, palm_y, palm = side * 0.5, side * 0.66, side * 0.2
    draw.ellipse((palm_x - palm, palm_y - 1.2 * palm, palm_x + palm, palm_y + 1.3 * palm), fill=255)
    thickness, spread = int(side * rng.uniform(0.09, 0.11)), rng.uniform(0.05, 0.3)
    dark = Image.new("L", cover.size)
    lines = ImageDraw.Draw(dark)
    for finger in range(4):
        base = np.array([palm_x + (finger - 1.5) * palm * 0.52, palm_y - palm])
        angle = -math.pi / 2 + (finger - 1.5) * spread
        length = side * rng.uniform(0.24, 0.36)
        _finger(draw, lines, base, angle, length, thickness)
    base = np.array([palm_x - palm * 0.85, palm_y])
    _finger(draw, lines, base, -math.pi * rng.uniform(0.62, 0.8), side * 0.22, thickness)
    # The arm.
    draw.rectangle((palm_x - palm * 0.6, palm_y, palm_x + palm * 0.6, side), fill=255)
    soft = np.asarray(dark.filter(ImageFilter.GaussianBlur(0.8)), np.float32) / 255
    shade *= 1 - 0.55 * soft
    skin = np.array([0.87, 0.70, 0.60]) ** rng.uniform(0.8, 4.0)
    return skin.astype(np.float32)


def _finger(
    draw: ImageDraw.ImageDraw,
    lines: ImageDraw.ImageDraw,
    base: np.ndarray,
    angle: float,
    length: float,
    thickness: int,
) -> None:
    tip = base + length * np.array([math.cos(angle), math.sin(angle)])
    across = thickness / 2 * np.array([-math.sin(angle), math.cos(angle)])
    draw.line((*base, *tip), fill=255, width=thickness)
    radius = thickness / 2
    draw.ellipse((*(tip - radius), *(tip + radius)), fill=255)
    for sign in (-1, 1):  # the dark line between fingers
        lines.line((*(base + sign * across), *(tip + sign * across)), fill=255, width=1)


def _cup(rng: np.random.Generator, cover: Image.Image, shade: np.ndarray) -> np.ndarray:
    """A cup, a phone or a sheet of paper: a box with rounded corners, lit from one side."""
    side, draw = TEXTURE_SIDE, ImageDraw.Draw(cover)
    width, height = side * rng.uniform(0.3, 0.9), side * rng.uniform(0.4, 0.9)
    box = ((side - width) / 2, (side - height) / 2, (side + width) / 2, (side + height) / 2)
    draw.rounded_rectangle(box, radius=float(rng.uniform(0, 0.3)) * width, fill=255)
    across = np.linspace(-1, 1, side, dtype=np.float32)
    shade *= 1 - rng.uniform(0, 0.6) * (across[None] * rng.choice([-1, 1]) + 1) / 2
    return rng.uniform(0.03, 1.0, 3).astype(np.float32)


def _stick(rng: np.random.Generator, cover: Image.Image, shade: np.ndarray) -> np.ndarray:
    """A pen, a microphone, a frame, a strand of hair."""
    draw = ImageDraw.Draw(cover)
    for _ in range(int(rng.integers(1, 4))):
        ends = rng.uniform(0, TEXTURE_SIDE, 4)
        draw.line(tuple(ends), fill=255, width=int(rng.integers(3, 12)))
    return rng.uniform(0.02, 0.9, 3).astype(np.float32)


def _blob(rng: np.random.Generator, cover: Image.Image, shade: np.ndarray) -> np.ndarray:
    draw = ImageDraw.Draw(cover)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radius = TEXTURE_SIDE / 2 * rng.uniform(0.5, 0.98, 12)
    ring = TEXTURE_SIDE / 2 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    draw.polygon([tuple(point) for point in ring], fill=255)
    return rng.uniform(0.05, 1.0, 3).astype(np.float32)


@dataclass(frozen=True)
class Passing:
    """Objects in front of some of B images, at most one each; lengths in fractions of the crop.

    Attributes:
        clip: (N,) index of the image.
        texture: (N, C + 1, 96, 96): C channels of colour or light, and coverage.
        at: (N, 2) centre at the end of the window.
        shift: (N, 2) motion during one window.
        spin_rad: (N,) rotation during one window.
        angle_rad, size: (N,) at the end of the window.
    """

    clip: Tensor
    texture: Tensor
    at: Tensor
    shift: Tensor
    spin_rad: Tensor
    angle_rad: Tensor
    size: Tensor

    def __getitem__(self, part: slice) -> Passing:
        """Return the objects of a part of the images; their indices start at 0."""
        chosen = (self.clip >= part.start) & (self.clip < part.stop)
        values = {name: value[chosen] for name, value in vars(self).items()}
        return Passing(**values | {"clip": values["clip"] - part.start})

    def lit(self, light: Callable[[Tensor], Tensor], *, color: bool) -> Passing:
        """Convert the textures to light, in three channels or one.

        Args:
            light: converts gamma-coded textures (N, C, H, W), one for each object.
        """
        code = self.texture[:, :3] if color else grey(self.texture[:, :3])
        return replace(self, texture=torch.cat([light(code), self.texture[:, 3:]], 1))

    def cover_(self, images: Tensor, time: Tensor) -> Tensor:
        """Draw the objects at times (B,), in windows, over images (B, C, S, S), in place."""
        if not len(self.clip):
            return images
        since = time[self.clip] - 1
        middle = self.at + self.shift * since[:, None]
        angle = self.angle_rad + self.spin_rad * since
        cos, sin = angle.cos() / self.size, angle.sin() / self.size
        # Crop in [-1, 1] → texture in [-1, 1].
        side = images.shape[-1]
        axis = torch.linspace(1 / side - 1, 1 - 1 / side, side, device=images.device)
        x, y = (axis - (2 * middle[:, k, None] - 1) for k in (0, 1))
        across = (cos[:, None] * x)[:, None] + (sin[:, None] * y)[..., None]
        down = (-sin[:, None] * x)[:, None] + (cos[:, None] * y)[..., None]
        drawn = F.grid_sample(
            self.texture, torch.stack([across, down], -1), "bilinear", "border", align_corners=False
        )
        # The edge of a texture is soft over a twentieth of its side.
        within = across.abs().maximum(down.abs()).mul_(-20).add_(20).clamp_(0, 1)
        images[self.clip] = torch.lerp(
            images[self.clip], drawn[:, :-1], drawn[:, -1:] * within[:, None]
        )
        return images


def with_objects(
    images: Tensor, fraction: float, bank: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw a large object in about `fraction` of grey images (B, 1, S, S).

    A hand in front of a camera is no face, but moves like one.
    """
    objects = sample_passing(len(images), fraction, bank, generator, images.device)
    count = len(objects.clip)
    larger = 0.35 + 0.65 * torch.rand(count, generator=generator, device=images.device)
    objects = replace(objects, size=larger).lit(lambda code: code, color=False)
    return objects.cover_(images.clone(), torch.ones(len(images), device=images.device))


def sample_passing(
    batch: int, fraction: float, bank: Tensor, generator: torch.Generator, device: torch.device
) -> Passing:
    """Draw objects for about `fraction` of B clips; with textures of the bank, four channels."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    clip = torch.nonzero(uniform(batch) < fraction)[:, 0]
    count = len(clip)
    chosen = torch.randint(len(bank), (count,), generator=generator, device=device)
    distance = torch.exp(math.log(0.005) + math.log(100) * uniform(count))
    heading = 2 * math.pi * uniform(count)
    return Passing(
        clip=clip,
        texture=bank[chosen],
        at=0.1 + 0.8 * uniform(count, 2),
        shift=distance[:, None] * torch.stack([heading.cos(), heading.sin()], -1),
        spin_rad=0.6 * (uniform(count) - 0.5) * (distance / 0.3).clamp(max=1),
        angle_rad=2 * math.pi * uniform(count),
        size=0.2 + 0.4 * uniform(count),
    )
