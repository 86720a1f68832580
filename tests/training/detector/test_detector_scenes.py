"""Scenes: labels lie where events are, and the same seed gives the same scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from evface_edge.errors import ConfigError
from evface_edge.tracking.detector_grid import GridShape
from evface_training.data.avatars import load_avatars
from evface_training.detector.layers import face_layer
from evface_training.detector.scenes import ScenePrior, Scenes, SceneSimulator

SHAPE = GridShape(width=48, height=32)
QUIET = ScenePrior().camera
QUIET = replace(QUIET, shot_hz=(0.0, 0.0), hot_fraction=(0.0, 0.0), leak_hz=(0.0, 0.0))


def _scenes(prior: ScenePrior, count: int, seed: int = 0) -> Scenes:
    avatars = load_avatars()
    chosen = np.random.default_rng(seed).choice(len(avatars), 2 * count)
    simulator = SceneSimulator(prior, SHAPE, seed, images=(6, 6))
    return simulator(
        torch.from_numpy(avatars.images[chosen]), torch.from_numpy(avatars.points[chosen])
    )


def test_the_events_of_a_face_are_in_its_box() -> None:
    """No noise, a background at rest, nothing else in most scenes: what moves is the face."""
    prior = ScenePrior(
        camera=replace(QUIET, threshold=(0.15, 0.2)),
        face_fraction=(1.0, 0.0),
        object_fraction=(0.0, 0.0),
        side=(0.3, 0.4),
        speed=(0.5, 0.8),
        still_background_fraction=1.0,
        begins_fraction=0.0,
    )
    scenes = _scenes(prior, 24)
    fractions = []
    for cells, boxes, state in zip(scenes.inputs, scenes.boxes, scenes.state, strict=True):
        if state[0] != 1:
            continue
        x, y, side = boxes[0].tolist()
        busy = cells[-2:].sum(0)
        across = (torch.arange(SHAPE.width) + 0.5 - x).abs() < 0.9 * side
        down = (torch.arange(SHAPE.height) + 0.5 - y).abs() < 1.1 * side
        fractions.append(float(busy[down][:, across].sum() / busy.sum()))
    assert len(fractions) > 10
    assert np.median(fractions) > 0.9


def test_windows_contain_each_other_and_rest_gives_no_events() -> None:
    scenes = _scenes(ScenePrior(), 6)
    latest, longer, longest = scenes.inputs.unflatten(1, (3, 2)).unbind(1)
    assert ((latest <= longer + 1e-6) & (longer <= longest + 1e-6)).all()
    assert float(scenes.inputs.min()) >= 0
    assert float(scenes.inputs.max()) <= 1
    prior = ScenePrior(
        camera=QUIET, speed=(1e-9, 2e-9), turn_rad_per_s=0.0, still_background_fraction=1.0
    )
    # Heads that grow make events; those at rest, and faces there, are neither found nor missed.
    scenes = _scenes(prior, 8)
    assert float((scenes.inputs > 0).float().mean()) < 0.1


def test_the_same_seed_gives_the_same_scenes() -> None:
    one, same, other = (_scenes(ScenePrior(), 3, seed) for seed in (1, 1, 2))
    assert torch.equal(one.inputs, same.inputs)
    assert torch.equal(one.boxes, same.boxes)
    assert not torch.equal(one.inputs, other.inputs)


def test_a_face_is_placed_by_the_box_of_its_landmarks() -> None:
    avatars = load_avatars()
    images = torch.from_numpy(avatars.images[:4]).float()[:, None] / 255
    points = torch.from_numpy(avatars.points[:4])
    place = torch.tensor([[10.0, 8.0]]).expand(4, 2)
    side, angle = torch.full((4,), 6.0), torch.tensor([0.0, 0.3, -0.2, 0.0])
    flip = torch.tensor([False, True, False, True])
    still = torch.zeros(4)
    layer = face_layer(images, points, flip, torch.rand(4, 4)).placed(
        place, side, angle, torch.zeros(4, 2), still, still, torch.zeros(4, 2)
    )
    box = layer.box(torch.tensor([48, 32]))
    torch.testing.assert_close(box, torch.cat([place, side[:, None]], 1))


@pytest.mark.parametrize(
    ("field", "value"), [("side", (0.5, 0.2)), ("begins_fraction", 1.5), ("speed", (0.0, 1.0))]
)
def test_wrong_priors_are_rejected(field: str, value: object) -> None:
    with pytest.raises(ConfigError) as error:
        ScenePrior(**{field: value})  # type: ignore[arg-type]
    assert error.value.field == f"ScenePrior.{field}"
