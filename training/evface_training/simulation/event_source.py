"""`synthetic:avatar?seed=1&speed=fast&camera=evk4`: a simulation as a source of events."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlencode

import torch

from evface_edge.errors import ConfigError
from evface_edge.events import Counters, EventArray
from evface_edge.geometry import SensorSize
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record
from evface_training.simulation.synthetic import SyntheticAvatarSource


class SyntheticEvents:
    """The events of a synthetic avatar, as fast as they are computed, the same each time.

    Attributes:
        avatar: the scene.
        camera: the name of the event camera.

    Raises:
        ConfigError: no camera has that name.
    """

    live = False

    def __init__(self, avatar: SyntheticAvatarSource, camera: str = "davis346") -> None:
        if camera not in PRESETS:
            raise ConfigError("synthetic:avatar camera", camera, f"one of {', '.join(PRESETS)}")
        self.avatar, self.camera = avatar, camera
        self.size = avatar.size
        self.counters = Counters()
        self._closed = False

    def __iter__(self) -> Iterator[EventArray]:
        if self._closed:
            raise ConfigError(
                "source",
                "synthetic:avatar",
                "an open source",
                reason="the source is closed; open it again",
            )
        self.counters.events = 0
        generator = torch.Generator().manual_seed(self.avatar.seed)
        prior = PRESETS[self.camera]
        frames = (labelled.frame for labelled in self.avatar)
        camera = one_camera(prior, generator)
        for events in record(frames, camera, self.size, generator, prior.readout):
            if self._closed:
                return
            self.counters.events += len(events)
            yield events

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> SyntheticEvents:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_synthetic(
    name: str, options: dict[str, str], *, size: SensorSize | None
) -> SyntheticEvents:
    """Open a source of the scheme `synthetic`; see `evface_edge.events.opening`.

    Args:
        options: `camera`, and the fields of SyntheticAvatarSource.
        size: of the sensor; overrides width and height in the options.

    Raises:
        ConfigError: another name than "avatar", or an invalid option.
    """
    options = dict(options)
    camera = options.pop("camera", "davis346")
    if size is not None:
        options |= {"width": str(size.width), "height": str(size.height)}
    avatar = SyntheticAvatarSource.from_uri(f"synthetic:{name}?{urlencode(options)}")
    return SyntheticEvents(avatar, camera)
