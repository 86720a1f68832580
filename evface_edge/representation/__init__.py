"""Events → dense tensors (C, H, W) float32.

Each class owns its shape and its normalisation. `representation(events, size)` covers a whole
sensor; `representation.crop(events, box, (width, height))` goes straight from the events of a box
to a tensor of the wanted size, without a buffer of the sensor's size.
"""

from __future__ import annotations

from evface_edge.representation.base import SATURATION, Representation
from evface_edge.representation.frame import EventFrame
from evface_edge.representation.surface import TimeSurface
from evface_edge.representation.table import REPRESENTATIONS, from_config
from evface_edge.representation.voxel import VoxelGrid

__all__ = [
    "REPRESENTATIONS",
    "SATURATION",
    "EventFrame",
    "Representation",
    "TimeSurface",
    "VoxelGrid",
    "from_config",
]
