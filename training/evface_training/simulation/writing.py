"""Light → a recording on disk, with the landmarks in a file of the same name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events import EventWriter
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.light import Frame, LightSource
from evface_training.simulation.recording import one_camera, record


@dataclass(frozen=True)
class WrittenRecording:
    """What was written.

    Attributes:
        landmarks: the file of the landmarks; None where none are known.
        instants: number of instants with landmarks.
    """

    path: Path
    events: int
    seconds: float
    landmarks: Path | None
    instants: int


def write_recording(
    light: LightSource,
    output: Path,
    prior: CameraPrior,
    *,
    seed: int = 0,
    max_seconds: float = 60.0,
    advance: Callable[[int], None] = lambda t_us: None,
) -> WrittenRecording:
    """Record a source with a camera drawn from the prior.

    The landmarks are written to `<output's stem>.landmarks.npz`: t_us (N,) int64, points98
    (N, 98, 2) float32 pixels.

    Args:
        advance: called with the current time, µs.

    Raises:
        ConfigError: the source gives no event.
        EventFormatError: the source cannot be read, or the output's format is unknown.
    """
    labels: list[tuple[int, NDArray[np.float32]]] = []
    generator = torch.Generator().manual_seed(seed)
    end_us = round(max_seconds * 1e6)
    first_us = last_us = 0
    with EventWriter(output, light.size) as writer:

        def frames() -> Iterator[Frame]:
            for labelled in light:
                t_us = labelled.frame.t_us
                if t_us > end_us:
                    return
                if labelled.points is not None:
                    labels.append((t_us, labelled.points))
                advance(t_us)
                yield labelled.frame

        camera = one_camera(prior, generator)
        for events in record(frames(), camera, light.size, generator, prior.readout):
            first_us = first_us if writer.events else int(events["t"][0])
            last_us = int(events["t"][-1])
            writer.write(events)
        count = writer.events
        if not count:
            raise ConfigError("source", "no event", "images that move or change")
    landmarks = output.with_name(output.stem + ".landmarks.npz") if labels else None
    if landmarks is not None:
        times, points = zip(*labels, strict=True)
        np.savez(landmarks, t_us=np.array(times, np.int64), points98=np.stack(points))
    seconds = (last_us - first_us) * 1e-6
    return WrittenRecording(output, count, seconds, landmarks, len(labels))
