"""Turning stills in depth, against a rigid body turned by hand."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evface_training.simulation import relief
from evface_training.simulation.fields import grid_places, turning_fields
from evface_training.simulation.relief import (
    FittedHead,
    fit_head,
    source_places,
    surface_points,
    turn_matrix,
    turned_points,
)

SCALE = 0.7 / 200
#: Inner points that lie on bare skin, and not on eyeballs or in the mouth.
SKIN = [*range(33, 60), *range(76, 88)]


def posed(yaw_deg: list[float], pitch_deg: list[float]) -> tuple[Tensor, Tensor]:
    """The canonical landmarks as a rigid body in some poses: (B, 98, 3), rotations (B, 3, 3)."""
    points = relief._canonical()[0]
    yaw, pitch = (torch.tensor(a).deg2rad() for a in (yaw_deg, pitch_deg))
    rotation = turn_matrix(yaw, pitch) @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return SCALE * points @ rotation.transpose(1, 2) + torch.tensor([0.52, 0.47, 0.0]), rotation


def test_the_stored_head_is_the_average_avatar() -> None:
    script = Path(__file__).parents[3] / "tools" / "write_canonical_head.py"
    points, height = runpy.run_path(str(script))["canonical_head"]()
    np.testing.assert_allclose(relief._canonical()[0].numpy(), points, atol=0.01)
    np.testing.assert_allclose(relief._canonical()[1].numpy(), height, atol=0.05)


def test_a_fit_finds_pose_scale_and_place() -> None:
    points, rotation = posed([0.0, 20.0, -35.0], [0.0, -10.0, 8.0])
    head = fit_head(points[..., :2])
    torch.testing.assert_close(head.rotation, rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(head.scale, torch.full((3,), SCALE), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        head.offset[:, :2], torch.tensor([[0.52, 0.47]]).expand(3, 2), atol=1e-4, rtol=0
    )


def test_no_turn_is_the_still_itself() -> None:
    points, _ = posed([10.0], [5.0])
    # Landmarks of nobody: the fit is poor, and a turn by nothing still changes nothing.
    points = points[..., :2] + 0.03 * torch.randn(
        1, 98, 2, generator=torch.Generator().manual_seed(0)
    )
    places = torch.rand(1, 500, 2, generator=torch.Generator().manual_seed(1))
    zero = torch.zeros(1)
    head = fit_head(points)
    torch.testing.assert_close(source_places(head, zero, zero, places), places, atol=1e-5, rtol=0)


@pytest.mark.parametrize("turn_deg", [8.0, -20.0])
def test_points_move_as_on_a_rigid_head(turn_deg: float) -> None:
    points, _ = posed([0.0, 12.0], [0.0, 6.0])
    head = fit_head(points[..., :2])
    yaw, pitch = (torch.full((2,), math.radians(a)) for a in (turn_deg, turn_deg / 2))
    moved, _ = turned_points(head, yaw, pitch, points[..., :2])
    pivot = head.pivot[:, None]
    rigid = (points - pivot) @ turn_matrix(yaw, pitch).transpose(1, 2) + pivot
    error_px = (moved - rigid[..., :2]).norm(dim=-1)[:, SKIN] * 128
    travelled_px = (rigid - points)[..., :2].norm(dim=-1)[:, SKIN] * 128
    assert travelled_px.max() > 7
    assert error_px.mean() < 0.05 * travelled_px.mean()


def test_near_parts_move_farther() -> None:
    points, _ = posed([0.0], [0.0])
    head = fit_head(points[..., :2])
    yaw, zero = torch.tensor([0.1]), torch.zeros(1)
    way = (turned_points(head, yaw, zero, points[..., :2])[0] - points[..., :2])[0, :, 0]
    assert way[54] > 1.1 * way[51] > 0  # tip of the nose, its root
    assert way[51] > 1.1 * way[60]  # outer corner of the eye
    assert way[60] > 1.6 * way[0]  # contour before the ear


def test_landmarks_follow_the_warp() -> None:
    """Where a point is said to go, the warped image shows what was at the point."""
    points, _ = posed([0.0, 15.0, -10.0], [0.0, -8.0, 12.0])
    head = fit_head(points[..., :2])
    for turn in (0.1, -0.25, 0.4):
        yaw, pitch = torch.full((3,), turn), torch.full((3,), -0.4 * turn)
        moved, seen = turned_points(head, yaw, pitch, points[..., :2])
        back = source_places(head, yaw, pitch, moved)
        error_px = (back - points[..., :2]).norm(dim=-1) * 128
        assert seen[:, SKIN].float().mean() > 0.8
        assert error_px[seen].mean() < 0.05
        assert error_px[seen].max() < 1.0


def test_a_head_hides_its_far_side() -> None:
    points, _ = posed([0.0], [0.0])
    head = fit_head(points[..., :2])
    # An image that says at each place how far left or right of the nose it is.
    yaw, zero = torch.tensor([math.radians(40.0)]), torch.zeros(1)
    _, seen = turned_points(head, yaw, zero, points[..., :2])
    # To the right of the image: the subject's left cheek goes behind, the right one comes.
    assert seen[0, 2:10].float().mean() > 0.9
    assert seen[0, 23:31].float().mean() < 0.2
    # A nose in profile hides the inner corner of the far eye and nothing of the near one.
    assert seen[0, 60:68].all()


def test_rays_end_at_their_first_hit() -> None:
    """Against a search in fine steps along each ray."""
    points, _ = posed([25.0], [0.0])
    head = fit_head(points[..., :2])
    places = torch.rand(1, 300, 2, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.25
    found = surface_points(head, places)[0]
    depth = torch.linspace(-0.6, 0.6, 6001)
    rays = torch.cat(
        [places[0, :, None].expand(-1, len(depth), 2), depth.expand(300, -1)[..., None]], -1
    )
    inside_head = (rays - head.offset[:, None]) @ head.rotation[0] / head.scale[0]
    height = inside_head[..., 2] - relief._surface(inside_head[..., 0], inside_head[..., 1])
    first = depth[(height <= 0).float().argmax(1)]
    error_mm = (found[:, 2] - first).abs() / head.scale[0]
    assert (error_mm < 0.5).float().mean() > 0.97
    assert error_mm.median() < 0.05


def test_a_turn_is_nearly_a_parabola() -> None:
    points, _ = posed([5.0], [0.0])
    head = fit_head(points[..., :2])
    places = grid_places(25, 128, points.device)
    farthest = torch.deg2rad(torch.tensor([[11.0, -4.0]]))
    half, full = turning_fields(head, farthest, places)[0]
    flat = places.reshape(1, -1, 2)
    for fraction in (0.25, 0.75):
        exact = flat - source_places(head, *(fraction * farthest).unbind(1), flat)
        parabola = 4 * fraction * (1 - fraction) * half + fraction * (2 * fraction - 1) * full
        error_px = (parabola.flatten(1).T - exact[0]).norm(dim=-1) * 128
        assert error_px.mean() < 0.1
        assert error_px.quantile(0.95) < 0.5


def test_slices_of_fitted_heads() -> None:
    points, rotation = posed([0.0, 20.0], [0.0, 0.0])
    part = fit_head(points[..., :2])[1:2]
    assert isinstance(part, FittedHead)
    torch.testing.assert_close(part.rotation, rotation[1:], atol=1e-4, rtol=0)
