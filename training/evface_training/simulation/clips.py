"""Faces (pictures and landmarks) → network inputs, straight from simulated pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.landmarks import MIRROR
from evface_training.data.faces import CROP_SIDE_PX
from evface_training.representation import normalise_counts_
from evface_training.simulation.camera import CameraPrior, PixelArray, draw_noise
from evface_training.simulation.motion import MotionPrior, basis_fields, sample_courses
from evface_training.simulation.negatives import texture_bank

_MIRROR = torch.from_numpy(MIRROR)
_CHUNK = 16  # clips whose pixels fit into a core's cache


@dataclass(frozen=True)
class ClipPrior:
    """From which training clips are drawn.

    Attributes:
        duration_us: of a window, (low, high), log-uniform.
        crop_scale: side of the crop ÷ longer side of the face box, (low, high).
        shift: standard deviation of the crop's centre, in sides of the face box.
        roll_deg: standard deviation of an added rotation.
        negative_share: of clips that show no face, or not where the crop is.
        occlusion_share: of faces that something hides a part of.
        steps_per_bin: simulation steps between two time bins.
    """

    motion: MotionPrior = field(default_factory=MotionPrior)
    camera: CameraPrior = field(default_factory=CameraPrior)
    duration_us: tuple[float, float] = (3_000, 200_000)
    crop_scale: tuple[float, float] = (1.05, 1.8)
    shift: float = 0.06
    roll_deg: float = 14.0
    negative_share: float = 0.12
    occlusion_share: float = 0.25
    bins: int = 5
    steps_per_bin: int = 2

    def __post_init__(self) -> None:
        for name in ("duration_us", "crop_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"ClipPrior.{name}", (low, high), "0 < low <= high")
        for name in ("negative_share", "occlusion_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"ClipPrior.{name}", getattr(self, name), "0 to 1")
        if self.bins < 2 or self.steps_per_bin < 1:
            raise ConfigError("ClipPrior.bins", self.bins, "2 or more, steps_per_bin 1 or more")


@dataclass(frozen=True)
class Clips:
    """Inputs (B, C, side, side); points (B, 98, 2), fractions of the crop; presence (B,)."""

    inputs: Tensor
    points: Tensor
    presence: Tensor


class ClipSimulator:
    """Draws clips; one instance per process, seeded.

    Args:
        prior: what to draw from.
        side: of the network input, in pixels.
        seed: of everything it draws.
        device: where it runs.
    """

    #: Sensor resolutions across the crop, and how often each is drawn (a batch shares one).
    RESOLUTIONS = ((128, 0.62), (104, 0.14), (80, 0.14), (60, 0.10))

    def __init__(self, prior: ClipPrior, side: int, seed: int, device: str = "cpu") -> None:
        self.prior = prior
        self.side = side
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._textures = texture_bank(256, CROP_SIDE_PX, seed).to(self.device)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def __call__(self, images: Tensor, points: Tensor) -> Clips:
        """Images (B, 192, 192) uint8 and points (B, 98, 2) in their pixels → clips."""
        pixels = images.to(self.device).float().div_(255)
        points = points.to(self.device)
        pixels, points = self._mirror(pixels, points)
        pixels = self._occlude(pixels)
        to_source, moved, presence = self._place(points)
        textured = (presence == 0) & (self._uniform(len(points)) < 0.6)
        chosen = torch.randint(
            len(self._textures),
            (int(textured.sum()),),
            generator=self.generator,
            device=self.device,
        )
        pixels[textured] = self._textures[chosen]
        inputs = self._simulate(self._log_light(pixels), to_source, moved)
        return Clips(inputs, moved, presence)

    def _mirror(self, pixels: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        flip = self._uniform(len(pixels)) < 0.5
        mirrored = points[:, _MIRROR.to(points.device)].clone()
        mirrored[..., 0] = CROP_SIDE_PX - 1 - mirrored[..., 0]
        pixels = torch.where(flip[:, None, None], pixels.flip(2), pixels)
        return pixels, torch.where(flip[:, None, None], mirrored, points)

    def _occlude(self, pixels: Tensor) -> Tensor:
        """Hide a rectangle of some pictures behind a piece of another picture."""
        hidden = torch.nonzero(self._uniform(len(pixels)) < self.prior.occlusion_share)[:, 0]
        size = (CROP_SIDE_PX * (0.08 + 0.22 * self._uniform(len(hidden), 2))).long().tolist()
        corner = self._uniform(len(hidden), 2).tolist()
        other = pixels.roll(1, 0).roll(CROP_SIDE_PX // 3, 1)
        result = pixels.clone()
        for index, (width, height), (u, v) in zip(hidden.tolist(), size, corner, strict=True):
            x, y = (
                int(CROP_SIDE_PX * (0.2 + 0.6 * c) - s / 2) for c, s in ((u, width), (v, height))
            )
            x, y = max(x, 0), max(y, 0)
            patch = other[index, y : y + height, x : x + width]
            result[index, y : y + height, x : x + width] = patch
        return result

    def _place(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw crops → affine maps crop → picture (B, 2, 3), points in the crop, presence."""
        prior, batch = self.prior, len(points)
        low, high = points.amin(1), points.amax(1)
        box_side = (high - low).amax(-1)
        absent = self._uniform(batch) < prior.negative_share
        scale_low, scale_high = prior.crop_scale
        scale = scale_low + (scale_high - scale_low) * self._uniform(batch)
        shift = self._normal(batch, 2).clamp_(-2, 2) * prior.shift
        # No face at this place: the crop lies beside it, or is far too small or too large.
        way = self._uniform(batch, 1) * 2 * math.pi
        beside = torch.cat([way.cos(), way.sin()], 1) * (0.65 + 0.5 * self._uniform(batch, 1))
        kind = self._uniform(batch)
        shift = torch.where((absent & (kind < 0.5))[:, None], beside, shift)
        scale = torch.where(absent & (kind > 0.75), 0.3 + 0.25 * self._uniform(batch), scale)
        scale = torch.where(
            absent & (kind > 0.5) & (kind <= 0.75), 3.2 + 1.5 * self._uniform(batch), scale
        )
        side = scale * box_side
        angle = torch.deg2rad(self._normal(batch).clamp_(-3, 3) * prior.roll_deg)
        center = (low + high) / 2 + shift * box_side[:, None]
        cos, sin = angle.cos() * side, angle.sin() * side
        linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], 1)
        offset = center - linear.sum(-1) / 2
        inside = torch.linalg.solve(linear, (points - offset[:, None]).transpose(1, 2))
        return (
            torch.cat([linear, offset[..., None]], -1),
            inside.transpose(1, 2),
            1.0 - absent.float(),
        )

    def _log_light(self, pixels: Tensor) -> Tensor:
        """Gamma-coded grey in [0, 1] → log intensity, with contrast and stray light drawn."""
        gamma = 1.6 + 1.0 * self._uniform(len(pixels), 1, 1)
        stray = torch.exp(math.log(0.003) + math.log(25) * self._uniform(len(pixels), 1, 1))
        return pixels.clamp_min(1e-4).pow_(gamma).add_(stray).log_()

    def _resolution(self) -> int:
        u = float(self._uniform(1))
        for resolution, share in self.RESOLUTIONS:
            u -= share
            if u < 0:
                return resolution
        return self.RESOLUTIONS[0][0]

    def _simulate(self, light: Tensor, to_source: Tensor, points: Tensor) -> Tensor:
        prior, batch = self.prior, len(light)
        side = self._resolution()
        if side < 100:  # the optics of a small sensor
            light = F.avg_pool2d(light[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        soft = self._uniform(batch) < 0.25
        light[soft] = F.avg_pool2d(light[soft][:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        in_window = prior.steps_per_bin * (prior.bins - 1)
        warm_up = max(2, in_window // 3)
        times = torch.arange(-warm_up, in_window + 1, device=self.device) / in_window
        low, high = (math.log(v) for v in prior.duration_us)
        duration_s = torch.exp(low + (high - low) * self._uniform(batch)) * 1e-6
        camera = prior.camera.sample(batch, self.generator, self.device)
        courses = sample_courses(prior.motion, batch, times, self.generator)
        basis = basis_fields(points)
        flicker_hz = 100 + 20 * (self._uniform(batch) < 0.4)
        lamp = camera.flicker[:, None] * torch.sin(
            2 * math.pi * (flicker_hz * duration_s)[:, None] * times
        )
        counts = torch.zeros(batch, 2, prior.bins, side, side, device=self.device)
        for start in range(0, batch, _CHUNK):
            part = slice(start, min(start + _CHUNK, batch))
            cameras = type(camera)(**{name: value[part] for name, value in vars(camera).items()})
            frames = _Frames(
                light[part], to_source[part], basis[part], courses[part], lamp[part], side
            )
            step_s = duration_s[part] / in_window
            array = PixelArray(frames[0], cameras, self.generator)
            for index in range(1, len(times)):
                step = array.step(frames[index], step_s)
                if index <= warm_up:
                    continue
                # Events spread evenly over a step weigh as if all came in its middle.
                middle = (index - warm_up - 0.5) / prior.steps_per_bin
                before, after_share = int(middle), middle - int(middle)
                for sign, count in ((0, step.off), (1, step.on)):
                    counts[part, sign, before].add_(count, alpha=1 - after_share)
                    counts[part, sign, before + 1].add_(count, alpha=after_share)
        clip, time, y, x, polarity = draw_noise(camera, (side, side), duration_s, self.generator)
        position = time * (prior.bins - 1)
        first = position.long().clamp_(max=prior.bins - 2)
        share = position - first
        for offset, weight in ((0, 1 - share), (1, share)):
            counts.index_put_((clip, polarity, first + offset, y, x), weight, accumulate=True)
        volume = counts.flatten(1, 2)
        if side != self.side:
            volume = F.interpolate(
                volume, (self.side, self.side), mode="bilinear", align_corners=False
            )
        return normalise_counts_(volume)


class _Frames:
    """The log light of each instant, rendered when asked for."""

    def __init__(
        self,
        light: Tensor,
        to_source: Tensor,
        basis: Tensor,
        courses: Tensor,
        lamp: Tensor,
        side: int,
    ) -> None:
        self._light, self._lamp, self._side = light[:, None], lamp, side
        self._linear, self._offset = to_source[:, :, :2], to_source[:, :, 2]
        batch, fields, _, grid, _ = basis.shape
        flow = torch.bmm(courses.transpose(1, 2), basis.reshape(batch, fields, -1))
        self._flow = flow.reshape(batch, -1, 2, grid, grid)
        # The coarse grid spans the centres of the first and last pixel.
        axis = torch.linspace(0.5 / side, 1 - 0.5 / side, grid, device=light.device)
        self._axes = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))

    def __getitem__(self, index: int) -> Tensor:
        places = self._axes - self._flow[:, index]
        source = torch.einsum("bij,bjhw->bihw", self._linear, places)
        source = source + self._offset[..., None, None]
        # Pixel centres at integers → grid_sample's [-1, 1] between outer edges.
        source = (source + 0.5) * (2 / self._light.shape[-1]) - 1
        dense = F.interpolate(source, (self._side, self._side), mode="bilinear", align_corners=True)
        frame = F.grid_sample(
            self._light, dense.permute(0, 2, 3, 1), "bilinear", "border", align_corners=False
        )[:, 0]
        return frame + self._lamp[:, index, None, None]
