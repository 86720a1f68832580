"""Lamps on mains current, as the frames of a recording show them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from evface_training.simulation.recording import Frame

#: Frames of one cycle: between two of them log intensity is nearly a straight line.
_PER_CYCLE = 16


def with_flicker(frames: Iterable[Frame], depth: float, rate_hz: float) -> Iterator[Frame]:
    """Frames under light whose logarithm swings by ± `depth`, with as many in between as it needs.

    With depth 0 these are the frames as they are.
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
