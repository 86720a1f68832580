"""Light from a rendered avatar: `synthetic:avatar?seed=1&speed=fast&seconds=4`."""

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
from evface_training.avatar.animation import SPEEDS, AvatarAnimation
from evface_training.avatar.ict import IctRenderer
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.parametric import AvatarRenderer
from evface_training.avatar.scene import Light, PinholeCamera, Pose
from evface_training.simulation.light import IMAGES_HZ, LABELS_HZ, Frame, LabelledFrame
from evface_training.simulation.tone import STRAY_LIGHT


@dataclass(frozen=True, eq=False)
class AvatarScene:
    """The ground truth of a recording of an avatar."""

    identity: AvatarIdentity
    light: Light
    camera: PinholeCamera
    animation: AvatarAnimation


@dataclass(frozen=True)
class SyntheticAvatarSource:
    """A moving avatar, rendered image by image; everything follows from the seed.

    Attributes:
        seed: of the identity, the light and the motion.
        speed: "slow", "normal" or "fast".
        focal_px: of the camera; with 0 the avatar is about half as tall as the sensor.
        background: "plain", "gradient", "clutter", or "any".
        ict: path of the user's copy of the ICT head, to render it instead of our avatar.
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
        """Raises: ConfigError: another kind of source, an unknown option, or a wrong value."""
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
        rng = np.random.default_rng(self.seed)
        identity = AvatarIdentity.sample(rng)
        light = Light.sample(rng)
        if self.background != "any":
            light = replace(light, background=self.background)  # type: ignore[arg-type]
        camera = PinholeCamera(self.size, self.focal_px or 1.6 * self.height)
        animation = AvatarAnimation.sample(
            rng,
            speed=self.speed,  # type: ignore[arg-type]
            seconds=self.seconds,
            center=Pose(y_mm=10.0, distance_mm=650.0),
        )
        return AvatarScene(identity, light, camera, animation)

    def __iter__(self) -> Iterator[LabelledFrame]:
        scene = self.scene()
        rate_hz = IMAGES_HZ[self.speed]
        every = max(1, rate_hz // LABELS_HZ)
        with self._renderer() as renderer:
            identity: Any = scene.identity
            if isinstance(renderer, IctRenderer):
                identity = renderer.avatar.sample_identity(np.random.default_rng(self.seed))
            for index in range(int(self.seconds * rate_hz) + 1):
                t_us = round(index * 1e6 / rate_hz)
                expression, pose = scene.animation.state(t_us)
                rendered = renderer.render(identity, expression, pose, scene.camera, scene.light)
                log = torch.from_numpy(np.log(rendered.image + STRAY_LIGHT).astype(np.float32))
                points = None if index % every else rendered.landmarks
                yield LabelledFrame(Frame(t_us, log), points)

    def _renderer(self) -> AvatarRenderer | IctRenderer:
        # Oversampled, because a jump of one jagged edge is an event that no camera would record.
        if self.ict:
            return IctRenderer(self.size, Path(self.ict), oversample=2)
        return AvatarRenderer(self.size, oversample=2)
