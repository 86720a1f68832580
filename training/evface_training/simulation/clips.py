"""Batches of training clips: faces (images and landmarks) → network inputs, without event lists."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.landmarks import MIRROR
from evface_training.data.faces import CROP_SIDE_PX
from evface_training.representation import normalise_counts_
from evface_training.simulation.camera import CameraBatch
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.frame_camera import FrameCameraPrior, FrameCameras
from evface_training.simulation.lids import Blinking, Blinks, Eyelids, fit_eyelids, sample_blinks
from evface_training.simulation.motion import sample_motion
from evface_training.simulation.noise import NoiseEvents, draw_noise
from evface_training.simulation.occluders import occluder_bank, sample_passing, with_objects
from evface_training.simulation.pixels import Firings, PixelArray
from evface_training.simulation.relief import fit_head
from evface_training.simulation.scene import SceneRenderer, Scenes, crop_fields, exposed
from evface_training.simulation.textures import texture_bank
from evface_training.simulation.tone import Tone, grey
from evface_training.simulation.voxels import Voxels

_MIRROR = torch.from_numpy(MIRROR)
#: Clips that are simulated together on a CPU: their pixels fit into the cache of a core.
_CHUNK = 16
#: Longest window under flickering lamps: it fills fast, and steps must be finer than the flicker.
_FLICKER_WINDOW_S = 0.02


@dataclass(frozen=True)
class ClipEvents:
    """The events of B clips, sorted by clip and time; (N,) each.

    Attributes:
        clip: int64, index of the clip.
        t_us: int64, from the start of the window.
        x, y: int64 pixels of a square sensor of `side_px`.
        p: int64, 1 brighter, 0 darker.
        side_px: pixels of the sensor across the crop; at most the side of the inputs.
    """

    clip: Tensor
    t_us: Tensor
    x: Tensor
    y: Tensor
    p: Tensor
    side_px: int


@dataclass(frozen=True)
class Clips:
    """B clips of `side` × `side` pixels.

    Attributes:
        inputs: (B, C, side, side) float32 in [0, 1].
        points: (B, 98, 2) float32, fractions of the crop, at the end of the window.
        presence: (B,) float32, 1 where there is a face.
        rgb: (B, 3, side, side) float32 in [0, 1], gamma-coded: the same crop, exposed around the
            end of the window (the instant of the landmarks), with the motion blur, shot and read
            noise of a frame camera in that light. None without `frames`. The channels of a grey
            image differ by their noise alone.
        duration_s, lux, speed_deg_per_s: (B,) float32: length of the window, light of the scene,
            mean speed of the head.
        events: the same events as a list. None without `lists`.
    """

    inputs: Tensor
    points: Tensor
    presence: Tensor
    rgb: Tensor | None
    duration_s: Tensor
    lux: Tensor
    speed_deg_per_s: Tensor
    events: ClipEvents | None


class ClipSimulator:
    """Simulates clips; one instance per process.

    Args:
        prior: the distribution of clips.
        side: of the network input, in pixels.
        seed: random seed.
        device: of the computation.
        frames: also simulate RGB frames of the same clips, by cameras drawn from this prior.
        lists: also return the events as lists.
    """

    #: Sensor pixels across the crop and their probabilities; a batch shares one.
    RESOLUTIONS: tuple[tuple[int, float], ...] = ((128, 0.62), (104, 0.14), (80, 0.14), (60, 0.10))

    def __init__(
        self,
        prior: ClipPrior,
        side: int,
        seed: int,
        device: str = "cpu",
        *,
        frames: FrameCameraPrior | None = None,
        lists: bool = False,
    ) -> None:
        self.prior = prior
        self.side = side
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._frames, self._lists = frames, lists
        self._steps = prior.steps_per_bin * (prior.bins - 1)
        self._warm_up = max(2, self._steps // 3)
        self._textures = texture_bank(256, CROP_SIDE_PX, seed).to(self.device)
        self._objects = occluder_bank(64, seed).to(self.device)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def __call__(self, images: Tensor, points: Tensor) -> Clips:
        """Simulate one clip for each image.

        Args:
            images: (B, 192, 192) uint8 grey, or (B, 192, 192, 3) uint8 RGB.
            points: (B, 98, 2) float32 pixels of the images.

        Raises:
            ConfigError: arrays of other shapes.
        """
        side = CROP_SIDE_PX
        if images.shape[1:] not in ((side, side), (side, side, 3)):
            raise ConfigError("images", tuple(images.shape), f"(B, {side}, {side}), or with 3 more")
        pixels = images.to(self.device).float().div_(255)
        pixels = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
        pixels, points = self._mirror(pixels, points.to(self.device))
        pixels, hidden = self._occlude(pixels)
        lids = fit_eyelids(points)
        blinks = sample_blinks(len(points), self.prior.blink_fraction, self.generator)
        blinks = blinks.only(~hidden)  # an occluder over the eyes does not move with the lids
        points = lids.closed(points, blinks.at(torch.zeros(len(points), device=self.device)))
        to_source, moved, presence = self._place(points)
        textured = (presence == 0) & (self._uniform(len(points)) < 0.6)
        chosen = torch.randint(
            len(self._textures),
            (int(textured.sum()),),
            generator=self.generator,
            device=self.device,
        )
        textures = with_objects(self._textures[chosen][:, None], 0.5, self._objects, self.generator)
        pixels[textured] = textures
        return self._simulate(pixels, to_source, moved, presence, lids, blinks.only(~textured))

    def _mirror(self, pixels: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        flip = self._uniform(len(pixels)) < 0.5
        mirrored = points[:, _MIRROR.to(points.device)].clone()
        mirrored[..., 0] = CROP_SIDE_PX - 1 - mirrored[..., 0]
        pixels = torch.where(flip[:, None, None, None], pixels.flip(3), pixels)
        return pixels, torch.where(flip[:, None, None], mirrored, points)

    def _occlude(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Cover a rectangle of some images with a part of another image.

        Returns:
            the images, and which of them are covered (B,).
        """
        occluded = self._uniform(len(pixels)) < self.prior.occlusion_fraction
        hidden = torch.nonzero(occluded)[:, 0]
        size = (CROP_SIDE_PX * (0.08 + 0.22 * self._uniform(len(hidden), 2))).long().tolist()
        corner = self._uniform(len(hidden), 2).tolist()
        other = pixels.roll(1, 0).roll(CROP_SIDE_PX // 3, 2)
        result = pixels.clone()
        for index, (width, height), (u, v) in zip(hidden.tolist(), size, corner, strict=True):
            x, y = (
                int(CROP_SIDE_PX * (0.2 + 0.6 * c) - s / 2) for c, s in ((u, width), (v, height))
            )
            x, y = max(x, 0), max(y, 0)
            patch = other[index, :, y : y + height, x : x + width]
            result[index, :, y : y + height, x : x + width] = patch
        return result, occluded

    def _place(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw crops.

        Returns:
            affine maps from crop to image (B, 2, 3), points in the crop, presence.
        """
        prior, batch = self.prior, len(points)
        low, high = points.amin(1), points.amax(1)
        box_side = (high - low).amax(-1)
        absent = self._uniform(batch) < prior.negative_fraction
        scale_low, scale_high = prior.crop_scale
        scale = scale_low + (scale_high - scale_low) * self._uniform(batch)
        shift = self._normal(batch, 2).clamp_(-2, 2) * prior.shift
        # A crop without a face lies beside it, or is much too small or too large.
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

    def _resolution(self) -> int:
        u = float(torch.rand(1, generator=self.generator, device=self.device))
        for resolution, fraction in self.RESOLUTIONS:
            u -= fraction
            if u < 0:
                return resolution
        return self.RESOLUTIONS[0][0]

    def _simulate(
        self,
        pixels: Tensor,
        to_source: Tensor,
        points: Tensor,
        presence: Tensor,
        lids: Eyelids,
        blinks: Blinks,
    ) -> Clips:
        prior, batch = self.prior, len(pixels)
        earliest = -self._warm_up / self._steps
        head = fit_head(points)
        camera = prior.camera.sample(batch, self.generator, self.device)
        shortest, longest = (bound * 1e-6 for bound in prior.duration_us)
        flickering = min(longest, max(shortest, _FLICKER_WINDOW_S))
        limit = torch.where(camera.flicker > 0, flickering, longest)
        trajectories, duration_s, speed = sample_motion(
            prior.motion, batch, head.lever(), (shortest, limit), earliest, self.generator
        )
        side = self._resolution()
        tone = Tone(
            gamma=1.6 + 1.0 * self._uniform(batch, 1, 1, 1),
            stray=torch.exp(math.log(0.003) + math.log(25) * self._uniform(batch, 1, 1, 1)),
        )
        fraction = prior.passing_fraction
        passing = sample_passing(batch, fraction, self._objects, self.generator, self.device)
        fields = crop_fields(points, head, trajectories, side)
        blinking = Blinking(lids, blinks, duration_s)
        scenes = Scenes(to_source, fields, trajectories, passing, side, blinking=blinking)
        volume, events = self._events(pixels, scenes, tone, camera, duration_s)
        if side != self.side:
            volume = F.interpolate(
                volume, (self.side, self.side), mode="bilinear", align_corners=False
            )
        rgb = None
        if self._frames is not None:
            frames = self._frames.sample(camera.lux, self.generator)
            rgb = self._expose(frames, pixels, scenes, tone, duration_s)
        return Clips(
            inputs=normalise_counts_(volume),
            points=points,
            presence=presence,
            rgb=rgb,
            duration_s=duration_s,
            lux=camera.lux,
            speed_deg_per_s=speed,
            events=events,
        )

    def _events(
        self, pixels: Tensor, scenes: Scenes, tone: Tone, camera: CameraBatch, duration_s: Tensor
    ) -> tuple[Tensor, ClipEvents | None]:
        """Return counts (B, 2 × bins, side, side), OFF bins first, and the list of the events."""
        batch, side, bins = len(pixels), scenes.side, self.prior.bins
        light = tone.log_light(grey(pixels))
        blur = self._uniform(batch) < 0.25
        if side < 100:  # the optics of a small sensor
            light = _soften(light)
        light[blur] = _soften(light[blur])
        passing = scenes.passing.lit(tone[scenes.passing.clip].log_light, color=False)
        scenes = replace(scenes, passing=passing)
        steps, warm_up = self._steps, self._warm_up
        times = torch.arange(-warm_up, steps + 1, device=self.device) / steps
        amounts = scenes.trajectories.at(times)
        lamp = camera.flicker[:, None] * torch.sin(
            2 * math.pi * (camera.flicker_hz * duration_s)[:, None] * times
        )
        counts = torch.zeros(batch, 2, bins, side, side, device=self.device)
        first = torch.empty(batch, side, side, device=self.device)
        event_list = _EventList(duration_s, side) if self._lists else None
        chunk = _CHUNK if self.device.type == "cpu" else batch
        for start in range(0, batch, chunk):
            part = slice(start, min(start + chunk, batch))
            renderer = SceneRenderer(scenes[part], light[part])
            voxels = Voxels(counts[part])

            def frame(index: int, part: slice = part, renderer: SceneRenderer = renderer) -> Tensor:
                at = times[index].expand(part.stop - part.start)
                rendered = renderer.render(at, amounts[part, :, index])[:, 0]
                return rendered.add_(lamp[part, index, None, None])

            first[part] = frame(0)
            array = PixelArray(first[part], camera[part], self.generator)
            step_s = duration_s[part] / steps
            for index in range(1, len(times)):
                firings = array.step(frame(index), step_s)
                if index > warm_up:
                    began = (index - warm_up - 1) / steps
                    voxels.add(firings, began, began + 1 / steps)
                    if event_list is not None:
                        event_list.add(firings, start, began, began + 1 / steps)
        noise = draw_noise(camera, (side, side), duration_s, self.generator, first)
        Voxels(counts).add_noise(noise)
        if event_list is None:
            return counts.flatten(1, 2), None
        event_list.add_noise(noise)
        return counts.flatten(1, 2), event_list.events()

    def _expose(
        self,
        frames: FrameCameras,
        pixels: Tensor,
        scenes: Scenes,
        tone: Tone,
        duration_s: Tensor,
    ) -> Tensor:
        """Return the RGB frames (B, 3, side, side), gamma-coded."""
        passing = scenes.passing.lit(tone[scenes.passing.clip].light, color=True)
        scenes = replace(scenes, side=self.side, passing=passing)
        light = tone.light(pixels).expand(-1, 3, -1, -1)
        mean = exposed(scenes, light, frames, duration_s)
        return frames.develop(mean, self.generator).pow_(1 / tone.gamma)


class _EventList:
    """Collects the events of all clips."""

    def __init__(self, duration_s: Tensor, side: int) -> None:
        self._duration_us, self._side = duration_s.double() * 1e6, side
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, firings: Firings, first_clip: int, start: float, end: float) -> None:
        cell, on, fraction = firings.events()
        pixels = self._side**2
        clip = cell // pixels
        time = start + fraction * (end - start)
        self._parts.append((clip + first_clip, time, cell - clip * pixels, on))

    def add_noise(self, noise: NoiseEvents) -> None:
        pixel = noise.y * self._side + noise.x
        self._parts.append((noise.clip, noise.time.double(), pixel, noise.on))

    def events(self) -> ClipEvents:
        clip, time, pixel, on = (torch.cat(column) for column in zip(*self._parts, strict=True))
        t_us = torch.floor(time * self._duration_us[clip]).long()
        order = torch.argsort(t_us, stable=True)
        order = order[torch.argsort(clip[order], stable=True)]
        clip, t_us, pixel, on = (column[order] for column in (clip, t_us, pixel, on))
        return ClipEvents(
            clip, t_us, pixel % self._side, pixel // self._side, on.long(), self._side
        )


def _soften(light: Tensor) -> Tensor:
    return F.avg_pool2d(light, 3, 1, 1, count_include_pad=False)
