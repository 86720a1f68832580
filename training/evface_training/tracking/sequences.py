"""Simulated recordings of a whole sensor with known faces.

Heads cut from still photos move over a moving background. Everything is drawn from a seed; nothing
is stored. With the training of the face detector they share only the textures and objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.geometry import SensorSize
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.light import Frame
from evface_training.simulation.occluders import occluder_bank
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record
from evface_training.simulation.relief import fit_head, head_mask
from evface_training.simulation.textures import texture_bank
from evface_training.simulation.tone import Tone, grey
from evface_training.tracking.trajectories import APPEARANCES, Phases, Pose, Trajectory

#: Other textures than those of training.
_SEED = 7_700_000
_TONE = Tone(gamma=torch.full((1, 1, 1, 1), 2.2), stray=torch.full((1, 1, 1, 1), 0.01))
#: Largest motion between two frames, in pixels of the sensor or of the photo, whichever is coarser.
_STEP_PX = 0.8
_SHORTEST_US, _LONGEST_US = 1_000, 20_000
#: Interval of the labels.
TRUTH_US = 5_000
#: Side of the object that hides a face, and how far it moves away, in sides of the face.
_COVER_SIDE, _COVER_TRAVEL = 2.1, 2.3


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels of one face over time.

    Attributes:
        points: (T, 98, 2) float32 sensor pixels, at `times_us` of the sequence.
        covered: (T,) bool, whether it is hidden, fully or in part.
        phases: what happens when.
    """

    points: NDArray[np.float32]
    covered: NDArray[np.bool_]
    phases: Phases


@dataclass(frozen=True, eq=False)
class FullSequence:
    """A recording of a whole sensor.

    Attributes:
        times_us: (T,) int64, instants of the labels.
        faces: none in a negative.
    """

    name: str
    size: SensorSize
    events: EventArray
    times_us: NDArray[np.int64]
    faces: tuple[Truth, ...]

    @property
    def duration_s(self) -> float:
        return float(self.times_us[-1]) * 1e-6


@dataclass
class _Sprite:
    """A flat photo with its opacity (2, P, P), and the position of its centre (x, y)."""

    texture: Tensor
    anchor: tuple[float, float]
    unit: float  # pixels of the texture in one side of the face box, or of the object

    def paint(self, light: Tensor, pose: Pose) -> None:
        """Draw it over an image (H, W), in place."""
        height, width = light.shape
        size = self.texture.shape[-1]
        scale = pose.side / self.unit  # sensor px ÷ texture px
        reach = scale * size * 0.75
        left, right = (math.floor(pose.x + sign * reach) for sign in (-1, 1))
        top, bottom = (math.floor(pose.y + sign * reach) for sign in (-1, 1))
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right + 1, width), min(bottom + 1, height)
        if left >= right or top >= bottom:
            return
        x = (torch.arange(left, right) - pose.x) / scale
        y = ((torch.arange(top, bottom) - pose.y) / scale)[:, None]
        cos, sin = math.cos(pose.roll), math.sin(pose.roll)
        u = cos * x + sin * y + self.anchor[0]
        v = cos * y - sin * x + self.anchor[1]
        grid = torch.stack([u, v], -1).add_(0.5).mul_(2 / size).sub_(1)
        shown = F.grid_sample(
            self.texture[None], grid[None], "bilinear", "zeros", align_corners=False
        )[0]
        part = light[top:bottom, left:right]
        part.lerp_(shown[0], shown[1])


def _shrunk(texture: Tensor, scale: float) -> Tensor:
    """The texture without details finer than a pixel when drawn at a smaller scale."""
    if scale >= 0.75:
        return texture
    size = texture.shape[-1]
    small = max(8, round(size * scale))
    coarse = F.interpolate(texture[None], (small, small), mode="bilinear", antialias=True)
    return F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)[0]


def _head(image: NDArray[np.uint8], points: NDArray[np.float32], side_px: float) -> _Sprite:
    """A head cut from its photo."""
    still = torch.from_numpy(points)[None]
    crop = (still + 0.5) / CROP_SIDE_PX
    axis = (torch.arange(CROP_SIDE_PX) + 0.5) / CROP_SIDE_PX
    places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(1, -1, 2)
    cover = head_mask(fit_head(crop), places).reshape(CROP_SIDE_PX, CROP_SIDE_PX)
    photo = torch.from_numpy(image).float().div(255)
    if photo.ndim == 3:
        photo = grey(photo.permute(2, 0, 1)[None])[0, 0]
    low, high = points.min(0), points.max(0)
    middle = (low + high) / 2
    unit = float((high - low).max())
    texture = _shrunk(torch.stack([photo, cover]), side_px / unit)
    return _Sprite(texture, (float(middle[0]), float(middle[1])), unit)


def _object(grey_: Tensor, cover: Tensor, side_px: float) -> _Sprite:
    size = grey_.shape[-1]
    texture = _shrunk(torch.stack([grey_, cover]), side_px / size)
    return _Sprite(texture, ((size - 1) / 2, (size - 1) / 2), float(size))


class _Background:
    """The texture behind everything; it pans, and stops at given times."""

    def __init__(
        self,
        texture: Tensor,
        size: SensorSize,
        rng: np.random.Generator,
        stops: Sequence[tuple[float, float]],
    ) -> None:
        self._texture = texture[None, None]
        self._size, self._stops = size, stops
        self._side = max(size.width, size.height) * rng.uniform(1.3, 2.2)
        still = rng.random() < 0.4
        self.speed = 0.0 if still else size.height * math.exp(rng.uniform(math.log(0.02), 0.0))
        angle = rng.uniform(0, 2 * math.pi)
        self._direction = np.array([math.cos(angle), math.sin(angle)])
        self._phase = rng.uniform(0, 2 * math.pi)
        x = torch.arange(size.width) - (size.width - 1) / 2
        y = torch.arange(size.height) - (size.height - 1) / 2
        self._grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1) * (2 / self._side)
        self._last: tuple[float, Tensor] | None = None

    def show(self, t_s: float) -> Tensor:
        """A new image (H, W), gamma-coded."""
        clock = t_s - sum(min(max(t_s - a, 0.0), b - a) for a, b in self._stops)
        # It swings, like a hand-held camera.
        reach = 0.15 * self._side
        along = reach * math.sin(self.speed * clock / reach + self._phase)
        if self._last is None or self._last[0] != along:
            offset = torch.from_numpy(self._direction * along * 2 / self._side).float()
            shown = F.grid_sample(
                self._texture, (self._grid + offset)[None], "bilinear", "reflection",
                align_corners=False,
            )  # fmt: skip
            self._last = along, shown[0, 0]
        return self._last[1].clone()


class _MovingObject:
    """An object without a face that swings."""

    def __init__(self, sprite: _Sprite, size: SensorSize, side: float, rng: np.random.Generator):
        self._sprite, self._side = sprite, side
        self._home = rng.uniform(0.1, 0.9, 2) * [size.width, size.height]
        self._reach = rng.uniform(0.2, 1.0, 2) * side
        speed = math.exp(rng.uniform(math.log(0.2), math.log(2.0))) * side
        self._rate = speed / float(np.hypot(*self._reach))
        self._offsets = rng.uniform(0, 2 * math.pi, 3)
        self._ratio, self._roll = rng.uniform(0.5, 1.1), rng.uniform(0, 0.4)
        self.speed = speed

    def paint(self, light: Tensor, t_s: float) -> None:
        angle = self._rate * t_s
        a, b, c = self._offsets
        x, y = self._home + self._reach * [math.sin(angle + a), math.sin(self._ratio * angle + b)]
        roll = self._roll * math.sin(0.6 * angle + c)
        self._sprite.paint(light, Pose(float(x), float(y), self._side, roll))


def camera_of(size: SensorSize) -> CameraPrior:
    """A camera of about this sensor size."""
    return PRESETS["evk4" if size.width > 640 else "davis346"]


class SequenceMaker:
    """Draws sequences; the same number gives the same sequence.

    Args:
        faces: photos of the heads.
        size: of the sensor.
        seed: random seed.
        textures, objects: how many to draw from.
    """

    def __init__(
        self,
        faces: FaceSet,
        size: SensorSize,
        seed: int = 0,
        *,
        textures: int = 96,
        objects: int = 48,
    ) -> None:
        self._faces, self.size, self._seed = faces, size, seed
        self._textures = texture_bank(textures, 384, _SEED + seed)
        bank = occluder_bank(objects, _SEED + seed)
        self._objects = torch.cat([grey(bank[:, :3]), bank[:, 3:]], 1)

    def sequence(self, number: int, faces: int | None = None) -> FullSequence:
        """A sequence with faces.

        Args:
            faces: 1 or 2; by default two in every third sequence.
        """
        size = self.size
        rng = np.random.default_rng((self._seed, number, size.width))
        count = faces or (2 if number % 3 == 2 else 1)
        if count == 1:
            trajectories = [Trajectory(size, rng, APPEARANCES[number % len(APPEARANCES)])]
        else:
            halves = [(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)]
            trajectories = [
                Trajectory(
                    size,
                    rng,
                    APPEARANCES[(number + k) % len(APPEARANCES)],
                    halves[k],
                    delay_s=0.4 * k,
                )
                for k in range(2)
            ]
        chosen = rng.choice(len(self._faces), count, replace=False)
        # In half of the sequences with one face the background stops while the face pauses.
        stops = [trajectories[0].phases.paused] if rng.random() < 0.5 and count == 1 else []
        background = self._background(rng, stops)
        heads = [
            _head(self._faces.images[index], self._faces.points[index], trajectory.side)
            for index, trajectory in zip(chosen, trajectories, strict=True)
        ]
        covers = [self._cover(rng, trajectory.side) for trajectory in trajectories]
        signs = rng.choice([-1.0, 1.0], count)

        def paint(light: Tensor, t_s: float) -> None:
            for trajectory, head in zip(trajectories, heads, strict=True):
                head.paint(light, trajectory.pose(t_s))
            for trajectory, cover, sign in zip(trajectories, covers, signs, strict=True):
                at = trajectory.cover(t_s)
                if at is not None:
                    cover.paint(light, _beside(trajectory, t_s, at * sign))

        def step_us(t_s: float) -> float:
            fastest = background.speed / 3
            for trajectory in trajectories:
                before, after = trajectory.pose(t_s), trajectory.pose(t_s + 0.002)
                moved = math.hypot(after.x - before.x, after.y - before.y) / 0.002
                moved += abs(after.roll - before.roll) / 0.002 * trajectory.side
                # An enlarged photo has no finer details.
                fastest = max(fastest, moved / max(trajectory.side / 96, 1.0))
                if (at := trajectory.cover(t_s)) is not None and (
                    at or trajectory.cover(t_s + 0.003)
                ):
                    fastest = max(fastest, trajectory.side * 4)
            return 1e6 * _STEP_PX / max(fastest, 1e-3)

        end_s = max(trajectory.phases.end for trajectory in trajectories)
        events = self._record(background, paint, step_us, end_s, rng)
        times_us = np.arange(0, round(end_s * 1e6) + 1, TRUTH_US)
        truths = tuple(
            self._truth(trajectory, self._faces.points[index], times_us)
            for trajectory, index in zip(trajectories, chosen, strict=True)
        )
        return FullSequence(f"sequence {number}", size, events, times_us, truths)

    def negative(self, number: int, seconds: float = 10.0) -> FullSequence:
        """A sequence of moving textures and objects without a face."""
        size = self.size
        rng = np.random.default_rng((self._seed, number, size.width, 1))
        background = self._background(rng, [])
        objects = []
        for _ in range(int(rng.integers(0, 4))):
            side = size.height * math.exp(rng.uniform(math.log(0.15), 0.0))
            objects.append(_MovingObject(self._any_object(rng, side), size, side, rng))

        def paint(light: Tensor, t_s: float) -> None:
            for one in objects:
                one.paint(light, t_s)

        fastest = max([background.speed / 2, 20.0, *(one.speed for one in objects)])
        step_us = 1e6 * 1.2 / fastest
        events = self._record(background, paint, lambda t_s: step_us, seconds, rng)
        times_us = np.arange(0, round(seconds * 1e6) + 1, TRUTH_US)
        return FullSequence(f"negative {number}", size, events, times_us, ())

    def _background(
        self, rng: np.random.Generator, stops: Sequence[tuple[float, float]]
    ) -> _Background:
        texture = self._textures[int(rng.integers(len(self._textures)))]
        if rng.random() < 0.3:  # a wall
            texture = 0.1 * texture + 0.9 * texture.mean()
        return _Background(texture, self.size, rng, stops)

    def _any_object(self, rng: np.random.Generator, side: float) -> _Sprite:
        """A hand or an object; or a texture in the shape of a head."""
        if rng.random() < 0.5:
            drawn = self._objects[int(rng.integers(len(self._objects)))]
            return _object(drawn[0], drawn[1], side)
        texture = self._textures[int(rng.integers(len(self._textures)))]
        size = texture.shape[-1]
        axis = (torch.arange(size) + 0.5) * (2 / size) - 1
        radius = ((axis / rng.uniform(0.6, 0.95)) ** 2)[None] + (axis / 0.95)[:, None] ** 2
        return _object(texture, ((1 - radius.sqrt()) / 0.05).clamp(0, 1), side)

    def _cover(self, rng: np.random.Generator, side: float) -> _Sprite:
        """A square that hides a face completely."""
        texture = self._textures[int(rng.integers(len(self._textures)))]
        size = texture.shape[-1]
        axis = ((torch.arange(size) + 0.5) * (2 / size) - 1).abs()
        edge = torch.maximum(axis[None], axis[:, None])
        return _object(texture, ((0.98 - edge) / 0.03).clamp(0, 1), _COVER_SIDE * side)

    def _truth(
        self, trajectory: Trajectory, points: NDArray[np.float32], times_us: NDArray[np.int64]
    ) -> Truth:
        low, high = points.min(0), points.max(0)
        middle, unit = (low + high) / 2, float((high - low).max())
        shown = np.empty((len(times_us), *points.shape), np.float32)
        covered = np.zeros(len(times_us), bool)
        for index, t_us in enumerate(times_us):
            pose = trajectory.pose(t_us * 1e-6)
            cos, sin = math.cos(pose.roll), math.sin(pose.roll)
            turned = (points - middle) @ np.array([[cos, sin], [-sin, cos]])
            shown[index] = turned * (pose.side / unit) + [pose.x, pose.y]
            at = trajectory.cover(t_us * 1e-6)
            # It has left the box when it has moved by half of both sides.
            covered[index] = at is not None and abs(at) * _COVER_TRAVEL < (1 + _COVER_SIDE) / 2
        return Truth(shown, covered, trajectory.phases)

    def _record(
        self,
        background: _Background,
        paint: Callable[[Tensor, float], None],
        step_us: Callable[[float], float],
        end_s: float,
        rng: np.random.Generator,
    ) -> EventArray:
        prior = camera_of(self.size)
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))

        def frames() -> Iterator[Frame]:
            t_us = 0.0
            while t_us <= end_s * 1e6:
                light = background.show(t_us * 1e-6)
                paint(light, t_us * 1e-6)
                log = _TONE.log_light(light[None, None])[0, 0]
                yield Frame(round(t_us), log)
                t_us += min(max(step_us(t_us * 1e-6), _SHORTEST_US), _LONGEST_US)

        camera = one_camera(prior, generator)
        parts = list(record(frames(), camera, self.size, generator, prior.readout))
        return np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)


def _beside(trajectory: Trajectory, t_s: float, distance: float) -> Pose:
    pose = trajectory.pose(t_s)
    return Pose(
        pose.x + distance * _COVER_TRAVEL * trajectory.side,
        pose.y,
        _COVER_SIDE * trajectory.side,
        0.0,
    )
