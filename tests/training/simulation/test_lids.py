"""Lids that close: what is painted on them goes where the landmarks go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Polygon

from evface_training.data.faces import FaceSet
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.simulation.lids import Blinks, LidPainter, fit_eyelids, sample_blinks
from evface_training.simulation.motion import MotionPrior

UPPER, LOWER = [61, 62, 63, 69, 70, 71], [67, 66, 65, 75, 74, 73]
EYES = ([*range(60, 68)], [*range(68, 76)])
SHUT = torch.ones(1, 2)


def points_of(faces: FaceSet, index: int, scale: float = 2.0) -> torch.Tensor:
    """Landmarks of a face in an image of 384 × 384."""
    return torch.from_numpy(faces.points[index : index + 1] * scale).float()


def inside(points: torch.Tensor, eye: list[int]) -> torch.Tensor:
    y, x = np.mgrid[:384, :384]
    polygon = Polygon(points[0, eye].numpy())
    hit = polygon.contains_points(np.stack([x.ravel(), y.ravel()], 1))
    return torch.from_numpy(hit.reshape(384, 384))


@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("amount", [0.4, 1.0])
def test_spots_on_the_edge_of_a_lid_move_with_its_landmarks(
    drawn_faces: FaceSet, index: int, amount: float
) -> None:
    points = points_of(drawn_faces, index)
    lids = fit_eyelids(points)
    closure = SHUT * amount
    moved = lids.closed(points, closure)
    axis = torch.arange(384.0)
    for landmark in UPPER:
        x, y = points[0, landmark]
        spot = torch.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / 5)
        weight = (lids.cover(spot[None, None], closure)[0, 0] - 0.2).clamp_min(0)
        at = torch.stack([(weight * axis).sum(), (weight * axis[:, None]).sum()]) / weight.sum()
        assert (at - moved[0, landmark]).norm() < 1.0, landmark


def test_only_upper_lids_and_pupils_move(drawn_faces: FaceSet) -> None:
    points = points_of(drawn_faces, 1)
    moved = fit_eyelids(points).closed(points, SHUT)
    before = (points[0, UPPER] - points[0, LOWER]).norm(dim=-1)
    after = (moved[0, UPPER] - moved[0, LOWER]).norm(dim=-1)
    assert (after < 0.25 * before).all()
    rest = [i for i in range(98) if i not in (*UPPER, 96, 97)]
    torch.testing.assert_close(moved[:, rest], points[:, rest])


def test_a_closed_eye_is_covered_and_the_rest_unchanged(drawn_faces: FaceSet) -> None:
    points = points_of(drawn_faces, 2)
    eyes = inside(points, EYES[0]) | inside(points, EYES[1])
    image = eyes.float()[None, None]
    shown = fit_eyelids(points).cover(image, SHUT)[0, 0]
    # What remains white is the rim that lashes cover.
    assert shown[eyes].mean() < 0.25
    low = max(float(points[0, lower, 1].max()) for lower in EYES)
    assert shown[int(low) + 3 :].max() == 0
    half = fit_eyelids(points).cover(image, SHUT * 0.5)[0, 0]
    assert shown[eyes].mean() < half[eyes].mean() - 0.1 < 0.9


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_no_white_of_a_closed_eye_is_visible(drawn_faces: FaceSet, index: int) -> None:
    """Lids dark, eye white: what was seen below the lashes must not come down with them."""
    points = points_of(drawn_faces, index)
    eyes = inside(points, EYES[0]) | inside(points, EYES[1])
    shown = fit_eyelids(points).cover(eyes.float()[None, None], SHUT)[0, 0]
    middle = torch.zeros_like(eyes)
    for upper, lower in ((62, 66), (70, 74)):
        x, top = points[0, upper].long()
        bottom = int(points[0, lower, 1])
        middle[int(top) + 2 : bottom + 6, int(x) - 3 : int(x) + 4] = True
    assert (middle & eyes).sum() > 50
    assert shown[middle].max() < 0.5


def test_closures_do_not_depend_on_earlier_ones(drawn_faces: FaceSet) -> None:
    points = torch.cat([points_of(drawn_faces, index, 1.0) for index in range(3)])
    images = torch.rand(3, 2, 192, 192, generator=torch.Generator().manual_seed(1))
    lids = fit_eyelids(points)
    painter = LidPainter(lids, images, torch.tensor([True, False, True]))
    for closure in ([0.0, 0.9], [1.0, 0.2], [1.0, 0.2], [0.0, 0.0]):
        fractions = torch.tensor([closure, [0.0, 0.0], closure[::-1]])
        torch.testing.assert_close(painter.draw(fractions), lids.cover(images, fractions))
    assert torch.equal(painter.draw(torch.zeros(3, 2)), images)


def test_one_eye_of_one_face(drawn_faces: FaceSet) -> None:
    points = torch.cat([points_of(drawn_faces, 0, 1.0), points_of(drawn_faces, 1, 1.0)])
    images = torch.from_numpy(drawn_faces.images[:2]).float()[:, None]
    lids = fit_eyelids(points)
    closure = torch.tensor([[0.0, 0.0], [0.0, 0.8]])
    shown = lids.cover(images, closure)
    assert torch.equal(shown[0], images[0])
    assert not torch.equal(shown[1], images[1])
    right = points[1, EYES[0]].amax(0).long() + 2
    assert torch.equal(shown[1, 0, :, : right[0]], images[1, 0, :, : right[0]])
    moved = lids.closed(points, closure)
    assert torch.equal(moved[0], points[0])
    assert torch.equal(moved[1, EYES[0]], points[1, EYES[0]])


def test_an_eye_at_the_edge_of_the_image(drawn_faces: FaceSet) -> None:
    points = points_of(drawn_faces, 0, 1.0)
    points = points - points[:, 60:61]  # its outer corner is the image's corner
    image = torch.rand(1, 3, 40, 60)
    shown = fit_eyelids(points).cover(image, SHUT)
    assert shown.shape == image.shape
    assert torch.isfinite(shown).all()


def test_the_closure_over_time() -> None:
    one = torch.ones(1)
    blinks = Blinks(torch.tensor([[0.8, 0.0]]), -0.5 * one, 0.1 * one, 0.2 * one, 0.2 * one)
    course = torch.stack([blinks.at(torch.tensor([t]))[0] for t in np.linspace(-0.6, 0.1, 141)])
    right = course[:, 0]
    assert right[:20].max() == 0
    assert right[40:80].min() == pytest.approx(0.8)
    assert (right[20:40].diff() >= 0).all()
    assert right[30] == pytest.approx(0.4, abs=1e-3)  # half closed at half the time
    assert right[121:].max() == pytest.approx(0.0, abs=1e-6)
    assert course[:, 1].max() == 0


def test_drawn_blinks() -> None:
    blinks = sample_blinks(20_000, 0.3, torch.Generator().manual_seed(1))
    blinking = blinks.depth.amax(1) > 0
    assert blinking.float().mean() == pytest.approx(0.3, abs=0.01)
    one_eye = (blinks.depth.amin(1) == 0)[blinking].float().mean()
    assert one_eye == pytest.approx(0.1, abs=0.01)
    now = blinks.at(torch.zeros(20_000))[blinking].amax(1)
    # Open, shut and in between are all seen at the end of a window.
    assert 0.02 < (now == 0).float().mean() < 0.5
    assert (now > 0.95).float().mean() > 0.2
    assert ((now > 0.2) & (now < 0.8)).float().mean() > 0.15


def test_a_clip_of_a_blink(drawn_faces: FaceSet) -> None:
    """A head at rest gives events at its eyes alone, and the labels' eyes have closed."""
    still = MotionPrior(
        (3.0, 3.0), (0.001, 0.002), pause_fraction=0.0, face_px=0.1, shake_fraction=0.0
    )
    calm = CameraPrior(
        lux=(500.0, 500.0), shot_hz=(0.0, 0.0), leak_hz=(0.0, 0.0), hot_fraction=(0.0, 0.0),
        flicker_fraction=0.0,
    )  # fmt: skip
    prior = ClipPrior(
        still,
        calm,
        (60_000, 60_000),
        negative_fraction=0.0,
        occlusion_fraction=0.0,
        passing_fraction=0.0,
    )
    images = torch.from_numpy(np.repeat(drawn_faces.images[:1], 64, 0))
    points = torch.from_numpy(np.repeat(drawn_faces.points[:1], 64, 0))

    def opening(clips_points: torch.Tensor) -> torch.Tensor:
        height = (clips_points[:, UPPER] - clips_points[:, LOWER]).norm(dim=-1).mean(1)
        return height / (clips_points[:, 60] - clips_points[:, 64]).norm(dim=-1)

    open_eyes, blinking = (
        ClipSimulator(replace(prior, blink_fraction=fraction), 128, 4)(images, points)
        for fraction in (0.0, 1.0)
    )
    assert opening(blinking.points).min() < 0.2 * opening(open_eyes.points).min()
    assert open_eyes.inputs.mean() < 0.2 * blinking.inputs.mean()
