"""Views of one event slice: its representations, in batches, with augmentation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_edge.representation import (
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
)
from evface_training.representation import EventBatch, represent
from evface_training.ssmer.events import Augmentation, PackedEvents, disturb, random_crops

VOXEL_BINS = 5

#: frame, voxel and surface are those of the paper; statistic is from EvRepSL, surfaces from
#: SuperEvent.
VIEWS: dict[str, Representation] = {
    "frame": EventFrame("mean"),
    "voxel": VoxelGrid(VOXEL_BINS, "mean"),
    "surface": TimeSurface(),
    "statistic": EventStatistics("mean"),
    "surfaces": MultiScaleSurface(),
}


def check_views(names: tuple[str, ...], field: str) -> None:
    """Check names of views.

    Raises:
        ConfigError: none, an unknown name, or a repeated one.
    """
    if not names or len(set(names)) != len(names) or any(name not in VIEWS for name in names):
        raise ConfigError(field, names, f"different ones of {', '.join(VIEWS)}")


def view(name: str, events: PackedEvents, side: int) -> Tensor:
    """One view of each clip: (B, C, side, side) float32 in [0, 1], net polarity in [-1, 1].

    The same as the device computes from the events inside the crop.
    """
    events = events.inside()
    column, row = (events.x * side).long(), (events.y * side).long()
    t_us = (events.time.double() * events.duration_us[events.clip]).round().long()
    size = SensorSize(side, side)
    batch = EventBatch(t_us, column, row, events.on, events.clip, events.clips, size)
    return represent(VIEWS[name], batch)


def draw_view(
    name: str, events: PackedEvents, side: int, how: Augmentation, maps: Tensor | None = None
) -> Tensor:
    """One view of each clip (B, C, side, side), augmented from torch's global generator.

    Crops are taken from the finished view and enlarged bilinearly, as for small faces, so that
    there are no holes between pixels.

    Args:
        maps: (B, 2, 3) crops of `random_crops`, if several views share them.
    """
    image = view(name, disturb(events, how), side)
    maps = random_crops(events.clips, how, image.device) if maps is None else maps
    grid = F.affine_grid(maps, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, "bilinear", "zeros", align_corners=False)
