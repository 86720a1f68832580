"""Events of the face itself, apart from those of the background in the same crop."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evface_edge.geometry import Box
from evface_edge.tracking.network import Crop

#: Side of the middle of a face box ÷ side of the box. Hair and ears, which move on while a face
#: is still, lie outside.
_MIDDLE = 0.8
#: About this many events of a crop are counted.
_SAMPLE_EVENTS = 512


class FaceEvents(NamedTuple):
    """Events in the middle of a face box.

    Attributes:
        density: events per area there ÷ events per area in the whole crop.
        rate_hz: events per second there.
        newest_fraction: fraction of them in the newest quarter of the crop's duration.
    """

    density: float
    rate_hz: float
    newest_fraction: float


def face_events(crop: Crop, box: Box) -> FaceEvents:
    """Count events of a crop in the middle of a face box."""
    step = 1 + len(crop.events) // _SAMPLE_EVENTS
    events = crop.events[::step]
    if not len(events):
        return FaceEvents(0.0, 0.0, 0.0)
    half_width, half_height = _MIDDLE * box.width / 2, _MIDDLE * box.height / 2
    inside = (np.abs(events["x"] - np.float32(box.center[0])) < half_width) & (
        np.abs(events["y"] - np.float32(box.center[1])) < half_height
    )
    count = int(inside.sum())
    area_fraction = (4 * half_width * half_height) / (crop.box.width * crop.box.height)
    duration_us = max(crop.now_us - int(events["t"][0]), 1)
    newest = int((inside & (events["t"] > crop.now_us - duration_us // 4)).sum())
    return FaceEvents(
        density=count / (len(events) * area_fraction),
        rate_hz=count * step / duration_us * 1e6,
        newest_fraction=newest / max(count, 1),
    )
