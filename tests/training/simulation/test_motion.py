"""Trajectories in time, against numbers integrated by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate

from evface_edge.errors import ConfigError
from evface_training.simulation.motion import (
    CAMERA,
    HEAD,
    MotionPrior,
    Trajectories,
    sample_motion,
)

BATCH = 400


def drawn(prior: MotionPrior, seed: int = 0) -> tuple[Trajectories, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lever, longest = torch.full((BATCH,), 0.5), torch.full((BATCH,), 0.2)
    return sample_motion(prior, BATCH, lever, (0.003, longest), -0.25, generator)


def test_the_distance_is_the_integral_of_the_speed() -> None:
    trajectories = drawn(MotionPrior(pause_fraction=1.0))[0][slice(0, 6)]
    t = np.linspace(-0.25, 1.2, 20_001)
    for clip in range(6):
        for field in (0, 8):
            swing, rate, phase = (
                float(getattr(trajectories, name)[clip, field])
                for name in ("swing", "rate", "phase")
            )
            speed = 1 + swing * np.sin(2 * math.pi * rate * t + phase)
            speed[(t < float(trajectories.begins[clip])) | (t > float(trajectories.ends[clip]))] = 0
            way = integrate.cumulative_trapezoid(speed, t, initial=0)
            found = trajectories.travelled(torch.from_numpy(t).float())[clip, field].numpy()
            np.testing.assert_allclose(found - found[0], way, atol=2e-3)


def test_there_is_no_displacement_at_the_end() -> None:
    trajectories, _, _ = drawn(MotionPrior(shake_fraction=1.0))
    assert trajectories.at(torch.tensor([0.3])).abs().amax() > 0.01
    torch.testing.assert_close(
        trajectories.at(torch.tensor([1.0])), torch.zeros(BATCH, 14, 1), atol=1e-6, rtol=0
    )


def test_speeds_and_distances_are_those_of_the_prior() -> None:
    trajectories, duration_s, speed = drawn(MotionPrior(shake_fraction=0.0))
    assert float(speed.min()) >= 2.99
    assert float(speed.max()) <= 1000.1
    assert float(torch.log10(speed).mean()) == pytest.approx(
        (math.log10(3) + math.log10(1000)) / 2, abs=0.15
    )
    assert 0.0029 < float(duration_s.min()) <= float(duration_s.max()) < 0.2001
    # The root of the sum of squares over the head's fields is the way that speed and time make.
    way = torch.cat([trajectories.peak[:, :4], trajectories.turn_rad * 0.5], 1)
    expected = torch.deg2rad(speed) * 0.5 * duration_s
    capped = trajectories.turn_rad.norm(dim=1) > math.radians(10.5)
    torch.testing.assert_close(way.norm(dim=1)[~capped], expected[~capped], atol=1e-5, rtol=1e-3)
    assert bool(trajectories.turn_rad.any())


def test_nothing_moves_in_a_pause() -> None:
    trajectories, _, _ = drawn(MotionPrior(pause_fraction=1.0, shake_fraction=0.0))
    stopped = torch.isfinite(trajectories.ends[:, 0])
    started = torch.isfinite(trajectories.begins[:, 0])
    assert (stopped | started).float().mean() > 0.95
    late = trajectories.at(torch.tensor([0.91, 0.95]))[stopped]
    early = trajectories.at(torch.tensor([-0.1, 0.15]))[started]
    for still in (late, early):
        torch.testing.assert_close(still[..., 0], still[..., 1], atol=1e-7, rtol=0)
    moving = trajectories.at(torch.tensor([0.1, 0.25]))[stopped]
    assert (moving[..., 0] - moving[..., 1]).abs().amax(1).gt(1e-5).float().mean() > 0.9


def test_camera_shake_moves_the_whole_image() -> None:
    trajectories, duration_s, _ = drawn(MotionPrior(shake_fraction=1.0, shake_px=2.0))
    quiet = replace(trajectories, shake=torch.zeros_like(trajectories.shake))
    times = torch.linspace(0, 1, 50)
    shaken = trajectories.at(times) - quiet.at(times)
    assert not shaken[:, HEAD].any()
    assert 0 < float(shaken[:, CAMERA].abs().max()) * 128 <= 4.0
    hertz = trajectories.shake[..., 1] / duration_s[:, None]
    assert 4 <= float(hertz.min()) <= float(hertz.max()) <= 18.1


def test_turns_stay_within_the_limit() -> None:
    trajectories, _, _ = drawn(
        MotionPrior(displacement_px=(60.0, 60.0), speed_deg_per_s=(900, 1000))
    )
    assert math.degrees(float(trajectories.farthest_turn().norm(dim=1).max())) < 30


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("speed_deg_per_s", (0.0, 5.0)),
        ("displacement_px", (5.0, 1.0)),
        ("pause_fraction", 1.5),
        ("shake_px", 0.0),
    ],
)
def test_wrong_priors_are_rejected(field: str, value: object) -> None:
    with pytest.raises(ConfigError) as error:
        MotionPrior(**{field: value})  # type: ignore[arg-type]
    assert error.value.field == f"MotionPrior.{field}"
