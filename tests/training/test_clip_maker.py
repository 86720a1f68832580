"""`draw_clips`: the same clips for every recipe."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from evface_training.clip_maker import draw_clips
from evface_training.data.faces import FaceSet
from evface_training.networks.student_config import StudentConfig
from evface_training.recipe import TrainRecipe
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.motion import MotionPrior

#: Slow heads in low light: most events are noise or depend on the last digits of the light.
SLOW = ClipPrior(MotionPrior((1.0, 5.0)), CameraPrior(lux=(0.3, 1.0)), steps_per_bin=2)
RECIPE = TrainRecipe(
    name="drawn",
    clips=SLOW,
    student=StudentConfig(side=32, channels=(16, 16, 16, 32), hidden=32),
    batch=4,
)


def test_clips_do_not_depend_on_the_batch(drawn_faces: FaceSet) -> None:
    clips = draw_clips(drawn_faces, RECIPE, 40, seed=1)
    torch.testing.assert_close(
        draw_clips(drawn_faces, replace(RECIPE, batch=8), 40, seed=1).inputs, clips.inputs
    )
    other = draw_clips(drawn_faces, RECIPE, 40, seed=2)
    assert not torch.allclose(other.points, clips.points)


@pytest.mark.parametrize("count", [1, 32, 33])
def test_the_number_of_clips(drawn_faces: FaceSet, count: int) -> None:
    clips = draw_clips(drawn_faces, RECIPE, count, seed=1)
    assert len(clips.inputs) == len(clips.points) == count
    assert clips.presence.all()
