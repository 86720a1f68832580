"""A network's inputs in training equal those that the device computes from the same events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from evface_edge.events.array import make_events
from evface_edge.geometry import Box
from evface_edge.representation import REPRESENTATIONS, from_config
from evface_training.clip_maker import ClipMaker, draw_clips
from evface_training.clip_source import represent_clips
from evface_training.data.faces import FaceSet
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clips import ClipEvents
from evface_training.student_card import student_card

SIDE = 64


def recipe_of(name: str, **parameters: str) -> TrainRecipe:
    channels = from_config({"name": name, "width": 1, "height": 1})[0].channels
    student = StudentConfig(
        in_channels=channels, side=SIDE, channels=(16, 16, 32, 32), blocks=(0, 0, 1), hidden=32
    )
    return TrainRecipe(
        "r", student=student, representation={"name": name, **parameters}, batch=4, reuse=1.0
    )


@pytest.mark.parametrize("name", sorted(REPRESENTATIONS))
def test_inputs_equal_those_of_the_model_card(name: str) -> None:
    """Two lists of events on a sensor of 48 pixels, enlarged to the network's input."""
    counts = {"normalisation": "mean"} if name in ("event_frame", "voxel_grid") else {}
    recipe = recipe_of(name, **counts)
    rng = np.random.default_rng(1)
    lists = [
        make_events(
            np.sort(rng.integers(0, 20_000, n)), *rng.integers(0, 48, (2, n)), rng.integers(0, 2, n)
        )
        for n in (900, 300)
    ]
    joined = np.concatenate(lists)
    columns = [torch.from_numpy(joined[key].astype(np.int64)) for key in ("t", "x", "y", "p")]
    clip = torch.repeat_interleave(torch.arange(2), torch.tensor([900, 300]))
    found = represent_clips(recipe.event_representation, ClipEvents(clip, *columns, 48), 2, SIDE)
    on_device, size = from_config(student_card(recipe).representation)
    for image, events in zip(found, lists, strict=True):
        expected = on_device.crop(events, Box(-0.5, -0.5, 48, 48), size)
        np.testing.assert_allclose(image, expected, atol=2e-4)


def test_simulated_voxels_match_the_lists_of_events(drawn_faces: FaceSet) -> None:
    """They differ in the time of an event within a step of the simulation."""
    recipe = recipe_of("voxel_grid", normalisation="mean")
    clips = draw_clips(drawn_faces, recipe, 4, seed=2, needs=("event_lists",))
    assert clips.events is not None
    again = represent_clips(recipe.event_representation, clips.events, 4, SIDE)
    for simulated, listed in zip(clips.inputs.sum(1), again.sum(1), strict=True):
        both = torch.stack([simulated.flatten(), listed.flatten()])
        assert float(torch.corrcoef(both)[0, 1]) > 0.9


@pytest.mark.parametrize("name", ["multi_scale_surface", "adaptive_surface"])
def test_dtype_and_shape_in_a_batch(name: str, drawn_faces: FaceSet) -> None:
    recipe = recipe_of(name)
    batch = ClipMaker(drawn_faces, recipe, 3, rank=0, needs=("events",))(0)
    assert batch["events"].shape == (3, recipe.student.in_channels, SIDE, SIDE)
    signed = name == "adaptive_surface"
    assert batch["events"].dtype == (torch.float32 if signed else torch.uint8)
    assert "event_lists" not in batch
    assert replace(recipe, seed=2) != recipe
