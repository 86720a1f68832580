"""Light over time: what a sensor receives, with the landmarks where they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evface_edge.geometry import SensorSize

#: Images per second for each speed of motion: between two images nothing moves over a pixel.
IMAGES_HZ = {"slow": 200, "normal": 400, "fast": 1000}
LABELS_HZ = 100
#: Frames per cycle of a lamp: between two of them log intensity is nearly a straight line.
_PER_CYCLE = 16


@dataclass(frozen=True)
class Frame:
    """Light on the sensor at one instant: log intensity (H, W) float32."""

    t_us: int
    log_intensity: Tensor


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame, and the landmarks (98, 2) in its pixels where they are known."""

    frame: Frame
    points: NDArray[np.float32] | None


class LightSource(Protocol):
    """Light over time.

    Attributes:
        size: of the images, and so of the sensor.
        duration_us: approximate duration, 0 if unknown.
    """

    @property
    def size(self) -> SensorSize: ...

    @property
    def duration_us(self) -> int: ...

    def __iter__(self) -> Iterator[LabelledFrame]: ...


def with_flicker(frames: Iterable[Frame], depth: float, rate_hz: float) -> Iterator[Frame]:
    """Add the flicker of lamps on mains current: ± `depth` in log intensity at `rate_hz`.

    Frames are inserted by interpolation where the flicker needs them. With depth 0 the frames are
    unchanged.
    """
    if not depth:
        yield from frames
        return
    longest_us = 1e6 / rate_hz / _PER_CYCLE
    before: Frame | None = None
    for frame in frames:
        parts = 1
        if before is not None:
            parts = max(1, math.ceil((frame.t_us - before.t_us) / longest_us))
            for part in range(1, parts):
                t_us = before.t_us + (frame.t_us - before.t_us) * part // parts
                light = before.log_intensity.lerp(frame.log_intensity, part / parts)
                yield _lit(Frame(t_us, light), depth, rate_hz)
        yield _lit(frame, depth, rate_hz)
        before = frame


def _lit(frame: Frame, depth: float, rate_hz: float) -> Frame:
    swing = depth * math.sin(2 * math.pi * rate_hz * frame.t_us * 1e-6)
    return Frame(frame.t_us, frame.log_intensity + swing)
