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
    """What an event camera sees of a synthetic avatar; as fast as it is computed, the same each
    time.

    Attributes:
        head: what is seen.
        camera: the name of the event camera.
    """

    live = False

    def __init__(self, head: SyntheticAvatarSource, camera: str = "davis346") -> None:
        """
        Raises:
            ConfigError: no camera has that name.
        """
        if camera not in PRESETS:
            raise ConfigError("synthetic:avatar camera", camera, f"one of {', '.join(PRESETS)}")
        self.head, self.camera = head, camera
        self.size = head.size
        self.counters = Counters()
        self._closed = False

    def __iter__(self) -> Iterator[EventArray]:
        if self._closed:
            raise ConfigError("source", "synthetic:avatar", "a source that is not closed")
        self.counters.events = 0
        generator = torch.Generator().manual_seed(self.head.seed)
        prior = PRESETS[self.camera]
        frames = (labelled.frame for labelled in self.head)
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
    """The factory behind the scheme `synthetic`; see `evface_edge.events.opening`.

    Args:
        options: `camera`, and the fields of SyntheticAvatarSource.
        size: of the sensor; goes before width and height in the options.

    Raises:
        ConfigError: another name than "avatar", or an option that cannot be.
    """
    options = dict(options)
    camera = options.pop("camera", "davis346")
    if size is not None:
        options |= {"width": str(size.width), "height": str(size.height)}
    head = SyntheticAvatarSource.from_uri(f"synthetic:{name}?{urlencode(options)}")
    return SyntheticEvents(head, camera)
