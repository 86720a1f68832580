"""Simulated scenes for the face detector: faces and other things, moving before a background.

    images ─▶ layers (texture, cover, trajectory) ─▶ light over time ─▶ pixels ─▶ counts on the grid

A scene is simulated at two pixels to a cell of the grid. What counts there is events per pixel, so
that finer sensors give nearly the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.tracking.detector_grid import SATURATION, GridShape
from evface_training.data.faces import CROP_SIDE_PX
from evface_training.detector.labels import face_state
from evface_training.detector.layers import Layer, face_layer, plain_layer
from evface_training.detector.recorder import PIXELS_PER_CELL, Recorded, Recorder
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.occluders import occluder_bank
from evface_training.simulation.textures import texture_bank
from evface_training.simulation.tone import Tone, grey

#: Faces of one scene, at most.
MAX_FACES = 2
_CHUNK = 8
#: How fast things go that have hidden a face, in its sides a second.
_LEAVING = (3.0, 15.0)


@dataclass(frozen=True)
class ScenePrior:
    """From which scenes are drawn.

    Attributes:
        camera: of the event camera.
        face_fraction: how often there is a first, and where there is one a second face.
        thing_fraction: how often something else is behind the faces, and before them.
        side: longer side of the face box ÷ shorter side of the sensor, log-uniform.
        speed: of whatever moves, in sides of it a second, log-uniform.
        turn_rad_per_s: standard deviation of the rolling of whatever moves.
        still_background_fraction: of scenes whose camera stands still.
        begins_fraction: of scenes in which faces and things are at rest first, and begin to move;
            in half of these the background, too.
        uncovered_fraction: of scenes in which something has just moved away from before a face.
        wide_fraction: of scenes on a sensor of 16:9; the others fill the grid.
    """

    camera: CameraPrior = field(
        default_factory=lambda: CameraPrior(
            lux=(1.0, 1000.0), shot_hz=(0.01, 8.0), flicker_fraction=0.0
        )
    )
    face_fraction: tuple[float, float] = (0.7, 0.35)
    thing_fraction: tuple[float, float] = (0.6, 0.35)
    side: tuple[float, float] = (0.1, 1.0)
    speed: tuple[float, float] = (0.03, 4.0)
    turn_rad_per_s: float = 0.5
    still_background_fraction: float = 0.5
    begins_fraction: float = 0.4
    uncovered_fraction: float = 0.15
    wide_fraction: float = 0.45

    def __post_init__(self) -> None:
        for name in ("side", "speed"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"ScenePrior.{name}", (low, high), "0 < low <= high")
        fractions = (
            "still_background_fraction",
            "begins_fraction",
            "uncovered_fraction",
            "wide_fraction",
        )
        for name in fractions:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"ScenePrior.{name}", getattr(self, name), "0 to 1")


@dataclass(frozen=True)
class Scenes:
    """B scenes.

    Attributes:
        inputs: (B, C, height, width) float32 in [0, 1], as `SensorGrid` gives them.
        boxes: (B, 2, 3) float32: middle x, y and longer side of each face box, in cells.
        state: (B, 2) int64: 1 a face to be found, 0 no face, -1 one that may be found or not.
    """

    inputs: Tensor
    boxes: Tensor
    state: Tensor


class SceneSimulator:
    """Draws scenes; one instance per process, seeded.

    Args:
        prior: what to draw from.
        shape: of the face detector's grid.
        seed: of everything it draws.
        device: where it runs.
        images: how many textures, and objects, there are to draw from.
    """

    def __init__(
        self,
        prior: ScenePrior,
        shape: GridShape,
        seed: int,
        device: str = "cpu",
        *,
        images: tuple[int, int] = (256, 96),
    ) -> None:
        self.prior, self.shape = prior, shape
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._recorder = Recorder(shape, self.generator)
        self._textures = texture_bank(images[0], CROP_SIDE_PX, seed).to(self.device)
        objects = F.interpolate(occluder_bank(images[1], seed), CROP_SIDE_PX, mode="bilinear")
        colour, cover = objects[:, :3], objects[:, 3:]
        self._objects = torch.cat([grey(colour), cover], 1).to(self.device)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def _log_uniform(self, bounds: tuple[float, float], *shape: int) -> Tensor:
        low, high = (math.log(bound) for bound in bounds)
        return torch.exp(low + (high - low) * self._uniform(*shape))

    def _chosen(self, bank: Tensor, count: int) -> Tensor:
        index = torch.randint(len(bank), (count,), generator=self.generator, device=self.device)
        return bank[index]

    @torch.no_grad()
    def __call__(self, images: Tensor, points: Tensor) -> Scenes:
        """Faces → half as many scenes, two faces to draw from for each.

        Args:
            images: (2 B, 192, 192) uint8 grey; points: (2 B, 98, 2) pixels of them.
        """
        prior, batch = self.prior, len(images) // 2
        pixels = images[: 2 * batch].to(self.device).float().div_(255)[:, None]
        points = points[: 2 * batch].to(self.device)
        extent = self._extent(batch)
        delay = torch.where(
            self._uniform(batch) < prior.begins_fraction,
            self._uniform(batch) * self._recorder.times_s[0].abs(),
            torch.full((batch,), math.inf, device=self.device),
        )
        present = self._uniform(batch, MAX_FACES) < torch.tensor(
            prior.face_fraction, device=self.device
        )
        present[:, 1] &= present[:, 0]
        layers = [
            self._background(batch, extent),
            self._thing(batch, extent, prior.thing_fraction[0]),
        ]
        for k in range(MAX_FACES):
            rows = slice(k * batch, (k + 1) * batch)
            layers.append(self._face(pixels[rows], points[rows], extent, present[:, k]))
        goes = self._uniform(batch) < prior.uncovered_fraction
        layers.append(self._leaving(layers[2], extent, goes))
        always = torch.full_like(delay, math.inf)
        behind = torch.where(self._uniform(batch) < 0.5, delay, always)
        delays = [behind, delay, delay, delay, torch.where(goes, always, delay)]
        layers = [layer.starting(since) for layer, since in zip(layers, delays, strict=True)]
        camera = prior.camera.sample(batch, self.generator, self.device)
        parts = [
            self._recorder([layer.only(rows) for layer in layers], camera[chunk], self._tone(rows))
            for chunk, rows in _chunks(batch, self.device)
        ]
        covers = [
            torch.cat(columns) for columns in zip(*(part.covers for part in parts), strict=True)
        ]
        recorded = Recorded(
            torch.cat([part.counts for part in parts]) * self._inside(extent)[:, None, None],
            torch.cat([part.moved for part in parts]),
            covers,
        )
        inputs = (
            (recorded.counts / (SATURATION * PIXELS_PER_CELL**2))
            .clamp_(max=1)
            .sqrt_()
            .flatten(1, 2)
        )
        boxes = torch.stack([layer.box(self._side) for layer in layers[2:4]], 1)
        state = torch.stack(
            [
                face_state(boxes[:, k], present[:, k], covers[3 + k :], recorded, extent)
                for k in range(MAX_FACES)
            ],
            1,
        )
        return Scenes(inputs, boxes, state)

    @property
    def _side(self) -> Tensor:
        """Width and height of the scene in cells."""
        return torch.tensor([self.shape.width, self.shape.height], device=self.device)

    def _extent(self, batch: int) -> Tensor:
        """(B, 2) width and height of the sensor in cells."""
        extent = self._side.float().repeat(batch, 1)
        wide = self._uniform(batch) < self.prior.wide_fraction
        extent[:, 1] = torch.where(wide, (extent[:, 0] * 9 / 16).round(), extent[:, 1])
        return extent

    def _inside(self, extent: Tensor) -> Tensor:
        """(B, height, width): 1 on the sensor."""
        x = torch.arange(self.shape.width, device=self.device) < extent[:, :1]
        y = torch.arange(self.shape.height, device=self.device) < extent[:, 1:]
        return (y[:, :, None] & x[:, None]).float()

    def _tone(self, rows: Tensor) -> Tone:
        batch = len(rows)
        return Tone(
            gamma=1.6 + 1.0 * self._uniform(batch, 1, 1, 1),
            stray=self._log_uniform((0.003, 0.08), batch, 1, 1, 1),
        )

    def _motion(self, batch: int, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Velocity in cells a second (B, 2), growth a second, roll in radians a second (B,)."""
        way = self._uniform(batch) * 2 * math.pi
        speed = self._log_uniform(self.prior.speed, batch) * side
        velocity = speed[:, None] * torch.stack([way.cos(), way.sin()], 1)
        drawn = torch.randn(2, batch, generator=self.generator, device=self.device)
        return velocity, 0.3 * drawn[0], self.prior.turn_rad_per_s * drawn[1]

    def _background(self, batch: int, extent: Tensor) -> Layer:
        shorter = extent.amin(1)
        side = extent.amax(1) * (1.2 + 2.0 * self._uniform(batch))
        velocity, growth, roll = self._motion(batch, shorter * 0.5)
        still = self._uniform(batch) < self.prior.still_background_fraction
        velocity[still], growth[still], roll[still] = 0.0, 0.0, 0.0
        texture = self._chosen(self._textures, batch)[:, None]
        # A quarter of the backgrounds is nearly plain: walls.
        plain = (self._uniform(batch) < 0.25).float()[:, None, None, None]
        texture = texture * (1 - 0.9 * plain) + 0.9 * plain * texture.mean((2, 3), keepdim=True)
        texture = torch.cat([texture, torch.ones_like(texture)], 1)
        angle = self._uniform(batch) * 2 * math.pi
        return Layer(
            texture, extent / 2, side, angle, velocity, growth * 0.3, roll * 0.3, edged=False
        )

    def _thing(self, batch: int, extent: Tensor, fraction: float) -> Layer:
        """Hands, objects, and textures in the shape of heads: what is no face."""
        shorter = extent.amin(1)
        side = shorter * self._log_uniform((0.15, 1.6), batch)
        place = extent * self._uniform(batch, 2)
        velocity, growth, roll = self._motion(batch, side)
        drawn = self._chosen(self._objects, batch)
        shaped = plain_layer(self._chosen(self._textures, batch), self._uniform(batch, 3))
        texture = torch.where((self._uniform(batch) < 0.5)[:, None, None, None], drawn, shaped)
        there = (self._uniform(batch) < fraction).float()
        texture[:, 1] *= there[:, None, None]
        angle = 0.5 * torch.randn(batch, generator=self.generator, device=self.device)
        return Layer(texture, place, side, angle, velocity, growth, roll)

    def _leaving(self, face: Layer, extent: Tensor, goes: Tensor) -> Layer:
        """What is before all faces; where it goes, it has hidden the face a moment ago."""
        batch = len(goes)
        layer = self._thing(batch, extent, self.prior.thing_fraction[1])
        hiding = self._thing(batch, extent, 1.0)
        box = face.box(self._side)
        way = self._uniform(batch) * 2 * math.pi
        ahead = torch.stack([way.cos(), way.sin()], 1) * box[:, 2:]
        # In sides of the face; what is twice as large has passed it after one and a half.
        place = box[:, :2] + ahead * (0.5 + 2.5 * self._uniform(batch, 1))
        velocity = ahead * self._log_uniform(_LEAVING, batch, 1)
        side = box[:, 2] * (1.2 + 1.2 * self._uniform(batch))
        row = goes[:, None]
        return replace(
            layer,
            texture=torch.where(row[..., None, None], hiding.texture, layer.texture),
            place=torch.where(row, place, layer.place),
            velocity=torch.where(row, velocity, layer.velocity),
            side=torch.where(goes, side, layer.side),
        )

    def _face(self, pixels: Tensor, points: Tensor, extent: Tensor, present: Tensor) -> Layer:
        prior, batch = self.prior, len(pixels)
        side = extent.amin(1) * self._log_uniform(prior.side, batch)
        side = side.clamp(min=5.0)
        # Anywhere, a part of the face out of view at times.
        margin = 0.35 * side[:, None]
        room = (extent - 2 * margin).clamp(min=0.0)
        place = margin.minimum(extent / 2) + room * self._uniform(batch, 2)
        velocity, growth, roll = self._motion(batch, side)
        flip = self._uniform(batch) < 0.5
        angle = 0.3 * torch.randn(batch, generator=self.generator, device=self.device)
        # The outline may rest while what is within moves: a head that turns, speaks, nods.
        way = self._uniform(batch) * 2 * math.pi
        inner = self._log_uniform(prior.speed, batch) * 0.5 * CROP_SIDE_PX / 2
        inner = inner.clamp(max=80.0) * (self._uniform(batch) < 0.6)
        rests = self._uniform(batch) < 0.25
        velocity[rests], growth[rests], roll[rests] = 0.0, 0.0, 0.0
        layer = face_layer(pixels, points, flip, self._uniform(batch, 4))
        layer.texture[:, 1] *= present.float()[:, None, None]
        return layer.placed(
            place,
            side,
            angle,
            velocity,
            growth,
            roll,
            inner=inner[:, None] * torch.stack([way.cos(), way.sin()], 1),
        )


def _chunks(batch: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Scenes whose pixels fit into a core's cache; on a GPU all at once."""
    count = _CHUNK if device.type == "cpu" else batch
    for start in range(0, batch, count):
        stop = min(start + count, batch)
        yield slice(start, stop), torch.arange(start, stop, device=device)
