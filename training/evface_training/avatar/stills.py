"""Stills of avatars with landmarks: faces for training without data."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_training.avatar.animation import AvatarAnimation
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.parametric import AvatarRenderer
from evface_training.avatar.scene import Light, PinholeCamera, Pose
from evface_training.data.crop import crop_face
from evface_training.data.faces import FaceSet

_SIZE = SensorSize(320, 320)
_FOCAL_PX = 660.0  # a head fills about half of the image
_GAMMA = 2.2
_SECONDS = 10.0


@dataclass(frozen=True)
class AvatarStills:
    """The avatars of a recipe.

    Attributes:
        people: identities to train on; building one takes a second, each still 30 ms.
        validation_people: further identities, to validate on.
        stills: images of each, with different poses, expressions and lights.
        seed: of the first identity.
    """

    people: int = 100
    validation_people: int = 16
    stills: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("people", "validation_people", "stills"):
            if getattr(self, field) < 1:
                raise ConfigError(f"avatars.{field}", getattr(self, field), "1 or more")
        if not 0 <= self.seed < 2**31:
            raise ConfigError("avatars.seed", self.seed, "0 to 2147483647")


def render_stills(
    seeds: range,
    stills: int,
    *,
    processes: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> FaceSet:
    """Render `stills` images of each identity, one identity per seed.

    Args:
        processes: number of processes; the result does not depend on it.
        advance: called after each identity.

    Raises:
        RuntimeUnavailable: no moderngl, or no EGL on this machine.
    """
    images: list[NDArray[np.uint8]] = []
    points: list[NDArray[np.float32]] = []
    for some_images, some_points in _rendered(seeds, stills, processes):
        images += some_images
        points += some_points
        advance()
    people = [f"avatar:{seed}" for seed in seeds for _ in range(stills)]
    return FaceSet(
        np.stack(images),
        np.stack(points),
        np.ones((len(images), 98), np.float32),
        np.array(_names(seeds, stills)),
        np.array(people),
        np.ones(len(images), bool),  # exact labels are as good as human ones
    )


def _names(seeds: range, stills: int) -> list[str]:
    return [f"avatar:{seed}/{index}" for seed in seeds for index in range(stills)]


_Stills = tuple[list[NDArray[np.uint8]], list[NDArray[np.float32]]]


def _rendered(seeds: range, stills: int, processes: int) -> Iterator[_Stills]:
    if processes == 1:
        with AvatarRenderer(_SIZE) as renderer:
            for seed in seeds:
                yield _one_person(renderer, seed, stills)
        return
    # New processes, because an EGL context does not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_in_process, seeds, [stills] * len(seeds), chunksize=4)


def _in_process(seed: int, stills: int) -> _Stills:
    with AvatarRenderer(_SIZE) as renderer:
        return _one_person(renderer, seed, stills)


def _one_person(renderer: AvatarRenderer, seed: int, stills: int) -> _Stills:
    rng = np.random.default_rng(seed)
    identity = AvatarIdentity.sample(rng)
    camera = PinholeCamera(_SIZE, _FOCAL_PX)
    images, points = [], []
    for _ in range(stills):
        animation = AvatarAnimation.sample(
            rng, speed="fast", seconds=_SECONDS, center=Pose(y_mm=10.0, distance_mm=650.0)
        )
        expression, pose = animation.state(rng.uniform(0, _SECONDS * 1e6))
        light = Light.sample(rng)
        avatar = renderer.render(identity, expression, pose, camera, light)
        grey = (avatar.image.clip(0, 1) ** (1 / _GAMMA) * 255).round().astype(np.uint8)
        image, moved = crop_face(grey, avatar.landmarks)
        images.append(image)
        points.append(moved)
    return images, points


def load_stills(path: Path, seeds: range, stills: int) -> FaceSet | None:
    """Read faces that `FaceSet.save` wrote; None if there are none, or of other avatars."""
    try:
        faces = FaceSet.load(path)
    except ConfigError:
        return None
    return faces if faces.names.tolist() == _names(seeds, stills) else None
