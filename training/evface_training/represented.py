"""Clips in the representation that a recipe names: what the device computes, in batched PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from evface_edge.geometry import SensorSize
from evface_edge.representation import (
    EventFrame,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
)
from evface_training.recipe import TrainRecipe
from evface_training.representation import EventBatch, normalise_counts_, represent
from evface_training.simulation.clips import ClipEvents, Clips, ClipSimulator

#: In [0, 1], so that bytes are enough to keep them.
_BYTES = (EventFrame, MultiScaleSurface, TimeSurface, VoxelGrid)


class ClipSource:
    """Draws clips as a recipe wants them: a `ClipSimulator` and a representation.

    The simulator fills voxel grids by itself; any other representation is computed from the lists
    of events, as `Representation.crop` does it: at the resolution of the sensor, then enlarged.

    Args:
        seed: of everything it draws; `generator` can be seeded again.
        needs: what the task reads of a batch; see `task.Batch`.
        changes: to the recipe's prior.
    """

    def __init__(
        self,
        recipe: TrainRecipe,
        seed: int,
        needs: Sequence[str] = (),
        device: str = "cpu",
        **changes: float,
    ) -> None:
        found, self._side = recipe.event_representation, recipe.side
        own = found == VoxelGrid(recipe.clips.bins, "mean")
        self._representation = None if own else found
        self._wanted = "event_lists" in needs
        self.in_bytes = isinstance(found, _BYTES)
        self._simulator = ClipSimulator(
            replace(recipe.clips, **changes),  # type: ignore[arg-type]
            recipe.side,
            seed,
            device,
            frames=recipe.frames if "rgb" in needs else None,
            lists=self._wanted or not own,
        )

    @property
    def generator(self) -> torch.Generator:
        return self._simulator.generator

    def __call__(self, images: Tensor, points: Tensor) -> Clips:
        """Images and points of them, as `ClipSimulator` takes them → clips."""
        clips = self._simulator(images, points)
        if self._representation is None or clips.events is None:
            return clips
        inputs = represented(self._representation, clips.events, len(images), self._side)
        return replace(clips, inputs=inputs, events=clips.events if self._wanted else None)


def represented(
    representation: Representation, events: ClipEvents, clips: int, side: int
) -> Tensor:
    """The lists of simulated clips → (clips, C, side, side)."""
    size = SensorSize(events.side_px, events.side_px)
    batch = EventBatch(events.t_us, events.x, events.y, events.p, events.clip, clips, size)
    plain, counts = representation, isinstance(representation, (EventFrame, VoxelGrid))
    if isinstance(representation, (EventFrame, VoxelGrid)):
        plain = replace(representation, normalisation="none")
    images = represent(plain, batch).float()
    if events.side_px != side:
        images = F.interpolate(images, (side, side), mode="bilinear", align_corners=False)
    if counts and getattr(representation, "normalisation", "none") == "mean":
        images = normalise_counts_(images)
    return images
