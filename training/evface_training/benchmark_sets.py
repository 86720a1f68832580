"""Benchmark sets: short recordings of still faces that move, made from a seed, not kept as files.

Each is an event list on a sensor of 192 × 192 pixels with a face about 96 pixels tall, and the
truth at its end. They go through the list form of the camera and through `Predictor`, so they share
no step with training but the motion fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.geometry import Box, SensorSize
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.motion import MotionPrior, basis_fields, sample_courses
from evface_training.simulation.recording import Frame, one_camera, record

_SETTLE_US = 30_000


@dataclass(frozen=True)
class Condition:
    """Light and speed of a benchmark set.

    Attributes:
        speed_px_per_s: root-mean-square speed of the head (low, high), log-uniform; faces are
            96 pixels tall.
        max_travel_px: a recording ends after this way, or after `max_duration_us`.
        camera: from which each recording's camera is drawn.
    """

    name: str
    speed_px_per_s: tuple[float, float]
    camera: CameraPrior
    max_travel_px: float = 14.0
    max_duration_us: int = 250_000


_ORDINARY = CameraPrior(
    threshold=(0.15, 0.4),
    mismatch=(0.03, 0.06),
    cutoff_hz=(150.0, 400.0),
    shot_hz=(0.05, 1.0),
    leak_hz=(0.02, 0.2),
    refractory_us=(50.0, 800.0),
    flicker_share=0.0,
)

CONDITIONS: dict[str, Condition] = {
    condition.name: condition
    for condition in (
        Condition("normal", (40.0, 160.0), _ORDINARY),
        Condition("fast", (500.0, 1500.0), _ORDINARY, max_travel_px=24.0),
        Condition(
            "dark",
            (40.0, 160.0),
            replace(_ORDINARY, threshold=(0.2, 0.5), cutoff_hz=(12.0, 40.0), shot_hz=(4.0, 15.0)),
        ),
        Condition("still", (3.0, 10.0), _ORDINARY),
    )
}


@dataclass(frozen=True, eq=False)
class LabelledRecording:
    """Events, the face box, and where the 98 points are when the recording ends.

    Attributes:
        points: (98, 2) float32 sensor pixels at the last instant.
        box: the true face box, moved and scaled a little as a tracker's would be.
    """

    events: EventArray
    size: SensorSize
    points: NDArray[np.float32]
    box: Box
    name: str
    speed_px_per_s: float


def recordings(
    faces: FaceSet, condition: Condition, seed: int = 0, box_jitter: float = 0.04
) -> Iterator[LabelledRecording]:
    """One recording of each face."""
    for index in range(len(faces)):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        yield _one(faces, index, condition, generator, box_jitter)


def _one(
    faces: FaceSet,
    index: int,
    condition: Condition,
    generator: torch.Generator,
    box_jitter: float,
) -> LabelledRecording:
    side = CROP_SIDE_PX
    size = SensorSize(side, side)
    points = torch.from_numpy(faces.points[index])
    low, high = (math.log(v) for v in condition.speed_px_per_s)
    speed = math.exp(low + (high - low) * float(torch.rand(1, generator=generator)))
    duration_us = min(condition.max_duration_us, condition.max_travel_px / speed * 1e6)
    # The course is drawn for a crop 128 wide; here the picture itself is the crop.
    travel = speed * duration_us * 1e-6 * 128 / side
    motion = MotionPrior(displacement_px=(travel, travel), pause_share=0.0)
    steps = max(12, math.ceil(2.5 * travel * side / 128))
    times = torch.linspace(0, 1, steps + 1)
    courses = sample_courses(motion, 1, times, generator)
    basis = basis_fields(((points + 0.5) / side)[None])
    image = torch.from_numpy(faces.images[index]).float().div(255)
    light = torch.log(image.clamp_min(1e-4) ** 2.2 + 0.01)[None, None]
    axis = torch.linspace(0.5 / side, 1 - 0.5 / side, basis.shape[-1])
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))

    def frame(k: int) -> Frame:
        flow = torch.einsum("k,kchw->chw", courses[0, :, k], basis[0])
        places = F.interpolate(
            (grid - flow)[None], (side, side), mode="bilinear", align_corners=True
        )
        shown = F.grid_sample(
            light,
            places.permute(0, 2, 3, 1) * 2 - 1,
            mode="bicubic",
            padding_mode="border",
            align_corners=False,
        )
        return Frame(round(_SETTLE_US + float(times[k]) * duration_us), shown[0, 0])

    def frames() -> Iterator[Frame]:
        first = frame(0)
        yield Frame(0, first.log_intensity)  # noise alone, while nothing moves
        for k in range(steps + 1):
            yield frame(k)

    camera = one_camera(condition.camera, generator)
    parts = list(record(frames(), camera, size, generator))
    events = np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)
    tight = Box.around(faces.points[index])
    shift = torch.randn(2, generator=generator).numpy() * box_jitter
    scale = math.exp(float(torch.randn(1, generator=generator)) * box_jitter)
    longer = max(tight.width, tight.height)
    x, y = tight.center
    box = Box(
        x + shift[0] * longer - tight.width * scale / 2,
        y + shift[1] * longer - tight.height * scale / 2,
        tight.width * scale,
        tight.height * scale,
    )
    return LabelledRecording(events, size, faces.points[index], box, str(faces.names[index]), speed)


def condition_named(name: str) -> Condition:
    """Raises: ConfigError, with the names there are."""
    if name not in CONDITIONS:
        raise ConfigError("condition", name, f"one of {', '.join(CONDITIONS)}")
    return CONDITIONS[name]
