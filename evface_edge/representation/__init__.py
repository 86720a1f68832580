"""Representations: the events of a window → a float32 tensor (C, H, W).

Each class defines its channels and its normalisation. `representation(events, size)` covers the
whole sensor; `representation.crop(events, box, (width, height))` covers a box, scaled to the size
of a network's input.
"""

from __future__ import annotations

from evface_edge.representation.adaptive import AdaptiveSurface
from evface_edge.representation.base import SATURATION, Representation
from evface_edge.representation.frame import EventFrame
from evface_edge.representation.statistics import EventStatistics
from evface_edge.representation.surface import MultiScaleSurface, TimeSurface
from evface_edge.representation.table import REPRESENTATIONS, from_config, to_config
from evface_edge.representation.voxel import VoxelGrid

__all__ = [
    "REPRESENTATIONS",
    "SATURATION",
    "AdaptiveSurface",
    "EventFrame",
    "EventStatistics",
    "MultiScaleSurface",
    "Representation",
    "TimeSurface",
    "VoxelGrid",
    "from_config",
    "to_config",
]
