"""Clips in the representation of a recipe, as the device computes it."""

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

#: Representations in [0, 1], which can be stored as bytes.
_IN_BYTES = (EventFrame, MultiScaleSurface, TimeSurface, VoxelGrid)


class ClipSource:
    """Simulates clips as a recipe describes them: a `ClipSimulator` and a representation.

    The simulator fills voxel grids itself. Any other representation is computed from lists of
    events as in `Representation.crop`: at the resolution of the sensor, then enlarged.

    Args:
        seed: random seed; `generator` can be seeded again.
        needs: the parts of a batch that the task reads; see `task.Batch`.
        changes: changed fields of `recipe.clips`.

    Attributes:
        in_bytes: whether all values are in [0, 1], so that bytes are enough to store them.
    """

    def __init__(
        self,
        recipe: TrainRecipe,
        seed: int,
        needs: Sequence[str] = (),
        device: str = "cpu",
        **changes: float,
    ) -> None:
        chosen, self._side = recipe.event_representation, recipe.side
        simulated = chosen == VoxelGrid(recipe.clips.bins, "mean")
        self._representation = None if simulated else chosen
        self._keep_lists = "event_lists" in needs
        self.in_bytes = isinstance(chosen, _IN_BYTES)
        self._simulator = ClipSimulator(
            replace(recipe.clips, **changes),  # type: ignore[arg-type]
            recipe.side,
            seed,
            device,
            frames=recipe.frames if "rgb" in needs else None,
            lists=self._keep_lists or not simulated,
        )

    @property
    def generator(self) -> torch.Generator:
        """Return the random generator of the simulator."""
        return self._simulator.generator

    def __call__(self, images: Tensor, points: Tensor) -> Clips:
        """Simulate clips of images and their points; see `ClipSimulator`."""
        clips = self._simulator(images, points)
        if self._representation is None or clips.events is None:
            return clips
        inputs = represent_clips(self._representation, clips.events, len(images), self._side)
        return replace(clips, inputs=inputs, events=clips.events if self._keep_lists else None)


def represent_clips(
    representation: Representation, events: ClipEvents, clips: int, side: int
) -> Tensor:
    """Return the network's inputs (clips, C, side, side) from the events of simulated clips."""
    size = SensorSize(events.side_px, events.side_px)
    batch = EventBatch(events.t_us, events.x, events.y, events.p, events.clip, clips, size)
    unnormalised = representation
    if isinstance(representation, (EventFrame, VoxelGrid)):
        unnormalised = replace(representation, normalisation="none")
    tensors = represent(unnormalised, batch).float()
    if events.side_px != side:
        tensors = F.interpolate(tensors, (side, side), mode="bilinear", align_corners=False)
    return tensors if unnormalised == representation else normalise_counts_(tensors)
