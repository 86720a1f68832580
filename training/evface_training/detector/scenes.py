"""Simulated scenes for the face detector: faces and objects in motion in front of a background.

    images ─▶ layers (texture, cover, trajectory) ─▶ light over time ─▶ pixels ─▶ counts on the grid

A scene is simulated with two by two pixels per cell of the grid. Inputs are events per pixel, so
that sensors with more pixels give nearly the same values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_edge.tracking.detector_grid import SATURATION, GridShape
from evface_training.data.faces import CROP_SIDE_PX
from evface_training.detector.labels import face_state
from evface_training.detector.layers import Layer, face_layer, plain_layer
from evface_training.detector.recorder import PIXELS_PER_CELL, Recorded, Recorder
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.occluders import occluder_bank
from evface_training.simulation.ranges import check_fractions, check_ranges, log_uniform
from evface_training.simulation.textures import texture_bank
from evface_training.simulation.tone import Tone, grey

#: Most faces of one scene.
MAX_FACES = 2
#: Scenes that are simulated together on a CPU: their pixels fit into the cache of a core.
_CHUNK = 8
#: Speed of objects that leave a face they have hidden, in sides of the face per second.
_LEAVING = (3.0, 15.0)


@dataclass(frozen=True)
class ScenePrior:
    """The distribution of scenes.

    Attributes:
        camera: the distribution of event cameras.
        face_fraction: of scenes with a face; and of those, with a second one.
        object_fraction: of scenes with an object behind the faces, and in front of them.
        side: longer side of the face box ÷ shorter side of the sensor, log-uniform.
        speed: of each layer, in its sides per second, log-uniform.
        turn_rad_per_s: standard deviation of the roll of each layer.
        still_background_fraction: of scenes with a static camera.
        begins_fraction: of scenes in which faces and objects begin to move during the window; in
            half of these, the background too.
        uncovered_fraction: of scenes in which an object has just uncovered a face.
        wide_fraction: of scenes on a sensor of 16:9; the others fill the grid.
    """

    camera: CameraPrior = field(
        default_factory=lambda: CameraPrior(
            lux=(1.0, 1000.0), shot_hz=(0.01, 8.0), flicker_fraction=0.0
        )
    )
    face_fraction: tuple[float, float] = (0.7, 0.35)
    object_fraction: tuple[float, float] = (0.6, 0.35)
    side: tuple[float, float] = (0.1, 1.0)
    speed: tuple[float, float] = (0.03, 4.0)
    turn_rad_per_s: float = 0.5
    still_background_fraction: float = 0.5
    begins_fraction: float = 0.4
    uncovered_fraction: float = 0.15
    wide_fraction: float = 0.45

    def __post_init__(self) -> None:
        check_ranges(self, "side", "speed")
        check_fractions(self)


@dataclass(frozen=True)
class Scenes:
    """B scenes.

    Attributes:
        inputs: (B, C, height, width) float32 in [0, 1], as from `SensorGrid`.
        boxes: (B, 2, 3) float32: centre x, y and longer side of each face box, in cells.
        state: (B, 2) int64: 1 a face, 0 no face, -1 a face that is ignored.
    """

    inputs: Tensor
    boxes: Tensor
    state: Tensor


class SceneSimulator:
    """Simulates scenes; one instance per process.

    Args:
        prior: the distribution of scenes.
        shape: of the face detector's grid.
        seed: random seed.
        device: of the computation.
        images: number of textures, and of objects.
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
        return log_uniform(bounds, self._uniform(*shape))

    def _chosen(self, bank: Tensor, count: int) -> Tensor:
        index = torch.randint(len(bank), (count,), generator=self.generator, device=self.device)
        return bank[index]

    @torch.no_grad()
    def __call__(self, images: Tensor, points: Tensor) -> Scenes:
        """Simulate B scenes from 2 B faces.

        Args:
            images: (2 B, 192, 192) uint8 grey; points: (2 B, 98, 2) pixels of the images.
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
            self._object(batch, extent, prior.object_fraction[0]),
        ]
        for k in range(MAX_FACES):
            rows = slice(k * batch, (k + 1) * batch)
            layers.append(self._face(pixels[rows], points[rows], extent, present[:, k]))
        leaves = self._uniform(batch) < prior.uncovered_fraction
        layers.append(self._leaving(layers[2], extent, leaves))
        always = torch.full_like(delay, math.inf)
        behind = torch.where(self._uniform(batch) < 0.5, delay, always)
        delays = [behind, delay, delay, delay, torch.where(leaves, always, delay)]
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
        """Draw velocity in cells per second (B, 2), growth and roll (radians) per second (B,)."""
        heading = self._uniform(batch) * 2 * math.pi
        speed = self._log_uniform(self.prior.speed, batch) * side
        velocity = speed[:, None] * torch.stack([heading.cos(), heading.sin()], 1)
        drawn = torch.randn(2, batch, generator=self.generator, device=self.device)
        return velocity, 0.3 * drawn[0], self.prior.turn_rad_per_s * drawn[1]

    def _background(self, batch: int, extent: Tensor) -> Layer:
        shorter = extent.amin(1)
        side = extent.amax(1) * (1.2 + 2.0 * self._uniform(batch))
        velocity, growth, roll = self._motion(batch, shorter * 0.5)
        still = self._uniform(batch) < self.prior.still_background_fraction
        velocity[still], growth[still], roll[still] = 0.0, 0.0, 0.0
        texture = self._chosen(self._textures, batch)[:, None]
        # A quarter of the backgrounds is nearly uniform, like walls.
        plain = (self._uniform(batch) < 0.25).float()[:, None, None, None]
        texture = texture * (1 - 0.9 * plain) + 0.9 * plain * texture.mean((2, 3), keepdim=True)
        texture = torch.cat([texture, torch.ones_like(texture)], 1)
        angle = self._uniform(batch) * 2 * math.pi
        return Layer(
            texture, extent / 2, side, angle, velocity, growth * 0.3, roll * 0.3, edged=False
        )

    def _object(self, batch: int, extent: Tensor, fraction: float) -> Layer:
        """Draw hands, objects, and textures in the shape of heads."""
        shorter = extent.amin(1)
        side = shorter * self._log_uniform((0.15, 1.6), batch)
        place = extent * self._uniform(batch, 2)
        velocity, growth, roll = self._motion(batch, side)
        drawn = self._chosen(self._objects, batch)
        shaped = plain_layer(self._chosen(self._textures, batch), self._uniform(batch, 3))
        texture = torch.where((self._uniform(batch) < 0.5)[:, None, None, None], drawn, shaped)
        visible = (self._uniform(batch) < fraction).float()
        texture[:, 1] *= visible[:, None, None]
        angle = 0.5 * torch.randn(batch, generator=self.generator, device=self.device)
        return Layer(texture, place, side, angle, velocity, growth, roll)

    def _leaving(self, face: Layer, extent: Tensor, leaves: Tensor) -> Layer:
        """Draw an object in front of all faces; where `leaves`, it has just uncovered the face."""
        batch = len(leaves)
        layer = self._object(batch, extent, self.prior.object_fraction[1])
        hiding = self._object(batch, extent, 1.0)
        box = face.box(self._side)
        heading = self._uniform(batch) * 2 * math.pi
        ahead = torch.stack([heading.cos(), heading.sin()], 1) * box[:, 2:]
        # In sides of the face; an object twice as large has passed it after 1.5.
        place = box[:, :2] + ahead * (0.5 + 2.5 * self._uniform(batch, 1))
        velocity = ahead * self._log_uniform(_LEAVING, batch, 1)
        side = box[:, 2] * (1.2 + 1.2 * self._uniform(batch))
        row = leaves[:, None]
        return replace(
            layer,
            texture=torch.where(row[..., None, None], hiding.texture, layer.texture),
            place=torch.where(row, place, layer.place),
            velocity=torch.where(row, velocity, layer.velocity),
            side=torch.where(leaves, side, layer.side),
        )

    def _face(self, pixels: Tensor, points: Tensor, extent: Tensor, present: Tensor) -> Layer:
        prior, batch = self.prior, len(pixels)
        side = extent.amin(1) * self._log_uniform(prior.side, batch)
        side = side.clamp(min=5.0)
        # Anywhere, sometimes partly out of view.
        margin = 0.35 * side[:, None]
        room = (extent - 2 * margin).clamp(min=0.0)
        place = margin.minimum(extent / 2) + room * self._uniform(batch, 2)
        velocity, growth, roll = self._motion(batch, side)
        flip = self._uniform(batch) < 0.5
        angle = 0.3 * torch.randn(batch, generator=self.generator, device=self.device)
        # The outline may rest while the inside moves, as when a head turns, speaks or nods.
        heading = self._uniform(batch) * 2 * math.pi
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
            inner=inner[:, None] * torch.stack([heading.cos(), heading.sin()], 1),
        )


def _chunks(batch: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Yield parts of a batch of scenes; on a GPU all at once."""
    count = _CHUNK if device.type == "cpu" else batch
    for start in range(0, batch, count):
        stop = min(start + count, batch)
        yield slice(start, stop), torch.arange(start, stop, device=device)
