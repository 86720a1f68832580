"""Faces → labelled training clips of a recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evface_edge.head_pose import fit_head_pose
from evface_edge.landmarks import MIRROR
from evface_training.clip_source import ClipSource
from evface_training.data.faces import FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clips import ClipEvents, Clips
from evface_training.ssmer.events import PackedEvents
from evface_training.trainer.data_stream import mixed_seed

_MIRROR = torch.from_numpy(MIRROR)
#: Fraction of non-zero cells above which a clip has its full weight.
ENOUGH_FILLED = 0.01
_FACES, _CLIPS = 3, 4  # random streams of a seed, a rank and an index
_BATCH = 32  # clips of `draw_clips` that are simulated at once


class ClipMaker:
    """Group index → `size` clips: a function of (seed, rank, index); see `stream.MakeClips`.

    Args:
        device: of the simulation and of the result.
        needs: the entries of a batch that the task reads.
    """

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
        self._chances = chances(faces, recipe)
        self._source = ClipSource(recipe, recipe.seed, needs, device)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """Return events, points, weights, presence; rgb and lists if needed; see `tasks.base`."""
        rng = np.random.default_rng(mixed_seed(*self._seed, index, _FACES))
        chosen = rng.choice(len(self._faces), self._size, p=self._chances)
        faces = self._faces
        self._source.generator.manual_seed(mixed_seed(*self._seed, index, _CLIPS))
        clips = self._source(
            torch.from_numpy(faces.images[chosen]), torch.from_numpy(faces.points[chosen])
        )
        weights = torch.from_numpy(faces.weights[chosen]).to(clips.inputs.device)
        # Faces may be mirrored. Clips with few events determine their landmarks badly.
        weights = (weights + weights[:, _MIRROR.to(weights.device)]) / 2
        filled = (clips.inputs != 0).float().mean((1, 2, 3))
        weights = weights * (filled / ENOUGH_FILLED).clamp(0.1, 1.0)[:, None]
        inputs = clips.inputs
        if self._source.in_bytes:  # bytes suffice for INT8 models, and take a quarter of the memory
            inputs = inputs.mul_(255).round_().to(torch.uint8)
        batch = {
            "events": inputs,
            "points": clips.points,
            "weights": weights,
            "presence": clips.presence,
        }
        if clips.rgb is not None:
            batch["rgb"] = clips.rgb.mul_(255).round_().to(torch.uint8)
        if clips.events is not None:
            batch |= PackedEvents.of_clips(clips.events, clips.duration_s).to_batch()
        return batch


def chances(faces: FaceSet, recipe: TrainRecipe) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the probability of each face."""
    video = np.char.startswith(faces.identities, "video:")
    groups = (
        (faces.human, recipe.human_fraction),
        (video, recipe.video_fraction),
        (~faces.human & ~video, 1 - recipe.human_fraction - recipe.video_fraction),
    )
    weight = np.ones(len(faces))
    if recipe.turned_weight:
        yaw_deg = np.array([fit_head_pose(points).yaw_deg for points in faces.points])
        weight += recipe.turned_weight * np.abs(yaw_deg) / 30
    probability = np.zeros(len(faces))
    for members, fraction in groups:
        if members.any():
            probability[members] = fraction * weight[members] / weight[members].sum()
    normalised: np.ndarray[Any, np.dtype[np.float64]] = probability / probability.sum()
    return normalised


def with_fraction_of_people(faces: FaceSet, fraction: float) -> FaceSet:
    """Return the faces of a fraction of the identities; smaller fractions are subsets of larger."""
    if fraction == 1:
        return faces
    people = np.unique(faces.identities)
    order = sorted(people, key=lambda name: hashlib.sha256(str(name).encode()).digest())
    kept = order[: max(1, round(fraction * len(order)))]
    return faces.select(np.isin(faces.identities, kept))


def draw_clips(
    faces: FaceSet, recipe: TrainRecipe, count: int, seed: int, needs: Sequence[str] = ()
) -> Clips:
    """Simulate the same clips every time, each with a face: human-labelled ones if there are any.

    The result does not depend on the recipe's batch: every few clips begin from their own seed,
    because the number of random draws of a simulation depends on the last digits of its light.
    """
    people = faces.select(faces.human) if faces.human.any() else faces
    source = ClipSource(recipe, seed, needs, negative_fraction=0.0, occlusion_fraction=0.0)
    parts = []
    for start in range(0, count, _BATCH):
        source.generator.manual_seed(mixed_seed(seed, start))
        chosen = np.arange(start, min(start + _BATCH, count)) % len(people)
        images, points = people.images[chosen], people.points[chosen]
        parts.append(source(torch.from_numpy(images), torch.from_numpy(points)))
    lists = [part.events for part in parts]
    joined: dict[str, Any] = {
        f.name: None
        if getattr(parts[0], f.name) is None
        else torch.cat([getattr(part, f.name) for part in parts])
        for f in fields(Clips)
        if f.name != "events"
    }
    joined["events"] = None if lists[0] is None else _joined(lists, _BATCH)
    return Clips(**joined)


def _joined(lists: Sequence[ClipEvents | None], clips: int) -> ClipEvents:
    """Join the lists of several batches of `clips` clips, in pixels of the finest sensor."""
    batches = [events for events in lists if events is not None]
    side = max(events.side_px for events in batches)
    parts = [
        replace(
            events,
            clip=events.clip + index * clips,
            x=events.x * side // events.side_px,
            y=events.y * side // events.side_px,
        )
        for index, events in enumerate(batches)
    ]
    columns = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name in ("clip", "t_us", "x", "y", "p")
    }
    return ClipEvents(**columns, side_px=side)


def fingerprint(faces: FaceSet) -> dict[str, Any]:
    """Return the number of faces, and the SHA-256 of their images and labels."""
    digest = hashlib.sha256()
    for array in (faces.images, faces.points, faces.weights):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return {"faces": len(faces), "sha256": digest.hexdigest()}
