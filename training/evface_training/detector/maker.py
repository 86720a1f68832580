"""Faces → labelled scenes of a recipe; the `clip_maker` of the face detector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from evface_training.data.faces import FaceSet
from evface_training.detector.scenes import MAX_FACES, Scenes, SceneSimulator
from evface_training.recipe import TrainRecipe
from evface_training.trainer.data_stream import mixed_seed

_FACES, _SCENES = 5, 6  # random streams of a seed, a rank and an index


class SceneMaker:
    """Group index → `size` scenes: a function of (seed, rank, index); see `stream.MakeClips`."""

    def __init__(
        self,
        faces: FaceSet,
        recipe: TrainRecipe,
        size: int,
        rank: int,
        device: str = "cpu",
        needs: Sequence[str] = (),
    ) -> None:
        self._faces, self._size, self._seed = faces, size, (recipe.seed, rank)
        self._simulator = SceneSimulator(recipe.scenes, recipe.detector.grid, recipe.seed, device)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """Return events (bytes), boxes, state; see `Scenes`."""
        rng = np.random.default_rng(mixed_seed(*self._seed, index, _FACES))
        chosen = rng.choice(len(self._faces), MAX_FACES * self._size)
        self._simulator.generator.manual_seed(mixed_seed(*self._seed, index, _SCENES))
        scenes = self._simulator(
            torch.from_numpy(self._faces.images[chosen]),
            torch.from_numpy(self._faces.points[chosen]),
        )
        events = scenes.inputs.mul_(255).round_().to(torch.uint8)
        return {"events": events, "boxes": scenes.boxes, "state": scenes.state}


def draw_scenes(
    faces: FaceSet, recipe: TrainRecipe, count: int, seed: int, needs: Sequence[str] = ()
) -> Scenes:
    """Simulate the same scenes every time."""
    simulator = SceneSimulator(recipe.scenes, recipe.detector.grid, seed)
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, count, recipe.batch):
        some = min(recipe.batch, count - start)
        chosen = rng.choice(len(faces), MAX_FACES * some)
        images, points = faces.images[chosen], faces.points[chosen]
        parts.append(simulator(torch.from_numpy(images), torch.from_numpy(points)))
    return Scenes(
        *(
            torch.cat([getattr(part, name) for part in parts])
            for name in ("inputs", "boxes", "state")
        )
    )
