"""Our own head as a source of light: `synthetic:avatar?seed=1&speed=fast&seconds=4`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import torch

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_training.avatar import (
    AvatarAnimation,
    AvatarIdentity,
    AvatarRenderer,
    Light,
    PinholeCamera,
    Pose,
)
from evface_training.avatar.animation import SPEEDS
from evface_training.avatar.ict import IctRenderer
from evface_training.simulation.recording import Frame
from evface_training.simulation.sources import IMAGES_HZ, LABELS_HZ, Labelled

_STRAY_LIGHT = 0.01


@dataclass(frozen=True, eq=False)
class AvatarScene:
    """All that a recording of a head shows: its truth."""

    identity: AvatarIdentity
    light: Light
    camera: PinholeCamera
    animation: AvatarAnimation


@dataclass(frozen=True)
class SyntheticAvatarSource:
    """A head that moves, rendered image by image; a seed decides all of it.

    Attributes:
        speed: "slow", "normal" or "fast".
        focal_px: of the camera; 0 means that a head is about half as high as the sensor.
        background: "plain", "gradient", "clutter", or "any".
        ict: path of the user's copy of the ICT head, to render it instead of our own.
    """

    seed: int = 0
    speed: str = "normal"
    seconds: float = 4.0
    width: int = 346
    height: int = 260
    focal_px: float = 0.0
    background: str = "any"
    ict: str = ""

    def __post_init__(self) -> None:
        if self.speed not in SPEEDS:
            raise ConfigError("synthetic:avatar speed", self.speed, f"one of {', '.join(SPEEDS)}")
        if not 0 < self.seconds <= 3600:
            raise ConfigError("synthetic:avatar seconds", self.seconds, "above 0, at most 3600")

    @classmethod
    def from_uri(cls, uri: str) -> SyntheticAvatarSource:
        """Raises: ConfigError: another kind of source, an unknown option, or no number."""
        kind, _, query = uri.removeprefix("synthetic:").partition("?")
        if kind != "avatar":
            raise ConfigError("source", uri, "synthetic:avatar")
        types: dict[str, type[int] | type[float] | type[str]] = {
            field.name: type(getattr(cls, field.name)) for field in fields(cls)
        }
        values: dict[str, int | float | str] = {}
        for key, text in parse_qsl(query, keep_blank_values=True):
            if key not in types:
                raise ConfigError(f"{uri}: {key}", text, f"one of {', '.join(types)}")
            try:
                values[key] = types[key](text)
            except ValueError:
                raise ConfigError(f"{uri}: {key}", text, types[key].__name__) from None
        return cls(**values)  # type: ignore[arg-type]

    @property
    def size(self) -> SensorSize:
        return SensorSize(self.width, self.height)

    @property
    def duration_us(self) -> int:
        return round(self.seconds * 1e6)

    def scene(self) -> AvatarScene:
        """Who moves how, and in front of what camera."""
        rng = np.random.default_rng(self.seed)
        identity = AvatarIdentity.sample(rng)
        light = Light.sample(rng)
        if self.background != "any":
            light = replace(light, background=self.background)  # type: ignore[arg-type]
        focal_px = self.focal_px or 1.6 * self.height
        camera = PinholeCamera(self.size, focal_px)
        animation = AvatarAnimation.sample(
            rng,
            speed=self.speed,  # type: ignore[arg-type]
            seconds=self.seconds,
            center=Pose(y_mm=10.0, distance_mm=650.0),
        )
        return AvatarScene(identity, light, camera, animation)

    def __iter__(self) -> Iterator[Labelled]:
        scene = self.scene()
        fps = IMAGES_HZ[self.speed]
        every = max(1, fps // LABELS_HZ)
        with self._renderer() as renderer:
            identity: Any = scene.identity
            if isinstance(renderer, IctRenderer):
                identity = renderer.head.sample_identity(np.random.default_rng(self.seed))
            for index in range(int(self.seconds * fps) + 1):
                t_us = round(index * 1e6 / fps)
                expression, pose = scene.animation.state(t_us)
                head = renderer.render(
                    identity, expression, pose, scene.camera, scene.light, contour="outline"
                )
                log = torch.from_numpy(np.log(head.image + _STRAY_LIGHT).astype(np.float32))
                yield Labelled(Frame(t_us, log), None if index % every else head.landmarks)

    def _renderer(self) -> AvatarRenderer:
        # Twice as fine, because a jump of one jagged edge is an event that no camera would see.
        if self.ict:
            return IctRenderer(self.size, Path(self.ict), oversample=2)
        return AvatarRenderer(self.size, oversample=2)


def open_avatar(uri: str) -> SyntheticAvatarSource:
    """Raises: ConfigError: another kind of source, an unknown option, or no number."""
    return SyntheticAvatarSource.from_uri(uri)
