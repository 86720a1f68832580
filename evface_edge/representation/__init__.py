"""Events → dense tensors (C, H, W) float32.

Each class owns its shape and its normalisation. `representation(events, size)` covers a whole
sensor; `representation.crop(events, box, (width, height))` goes straight from the events of a box
to a tensor of the wanted size, without a buffer of the sensor's size;
`representation.incremental(...)` keeps either up to date while events arrive;
`representation.canvas(size)` draws window after window into one tensor.
"""

from __future__ import annotations

from evface_edge.representation.adaptive import AdaptiveSurface
from evface_edge.representation.base import SATURATION, Representation
from evface_edge.representation.canvas import Canvas
from evface_edge.representation.frame import EventFrame
from evface_edge.representation.incremental import Incremental
from evface_edge.representation.statistics import EventStatistics
from evface_edge.representation.surface import MultiScaleSurface, TimeSurface
from evface_edge.representation.table import REPRESENTATIONS, from_config, to_config
from evface_edge.representation.voxel import VoxelGrid

__all__ = [
    "REPRESENTATIONS",
    "SATURATION",
    "AdaptiveSurface",
    "Canvas",
    "EventFrame",
    "EventStatistics",
    "Incremental",
    "MultiScaleSurface",
    "Representation",
    "TimeSurface",
    "VoxelGrid",
    "from_config",
    "to_config",
]
