"""A small set of faces that we draw ourselves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.tasks.base import Task
from evface_training.teacher.network import front_view


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Threads of PyTorch that wait for each other on a busy machine make tests ten times slower."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def built_once() -> Iterator[None]:
    """An avatar is built once for all renderers; it takes seconds."""
    from evface_training.avatar import parametric

    with pytest.MonkeyPatch.context() as patch:
        build = functools.lru_cache(maxsize=16)(parametric.AvatarModel)
        patch.setattr(parametric, "AvatarModel", build)
        yield


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> Iterator[None]:
    """All simulators share their textures and objects, whatever their seed; they take seconds."""
    from evface_training.simulation import clips

    with pytest.MonkeyPatch.context() as patch:
        for name in ("texture_bank", "occluder_bank"):
            draw = functools.cache(getattr(clips, name))
            patch.setattr(clips, name, lambda *sizes, draw=draw: draw(*sizes[:-1], 0))
        yield


def draw_face(seed: int) -> tuple[Image.Image, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """A cartoon of a face in a 192-pixel crop, and its 98 points."""
    rng = np.random.default_rng(seed)
    side = CROP_SIDE_PX
    x, y = side / 2 + rng.uniform(-2, 2, 2)
    points = np.zeros((98, 2), np.float32)

    def arc(
        first: int,
        last: int,
        start_deg: float,
        end_deg: float,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
    ) -> None:
        angle = np.radians(np.linspace(start_deg, end_deg, last - first + 1))
        points[first : last + 1, 0] = cx + rx * np.cos(angle)
        points[first : last + 1, 1] = cy + ry * np.sin(angle)

    arc(0, 32, 180, 0, x, y - 15, 42, 62)
    for first, sign in ((33, -1), (42, 1)):
        points[first : first + 5] = [
            [x + sign * 20 + k - 4, y - 32] for k in np.linspace(-8, 16, 5)
        ]
        points[first + 5 : first + 9] = [
            [x + sign * 20 + k - 4, y - 28] for k in np.linspace(16, -8, 4)
        ]
    points[51:55] = [[x, y - 20 + 8 * k] for k in range(4)]
    points[55:60] = [[x - 10 + 5 * k, y + 8] for k in range(5)]
    for first, sign in ((60, -1), (68, 1)):
        angle = np.radians(180 + 45 * np.arange(8))
        points[first : first + 8, 0] = x + sign * 20 + 9 * np.cos(angle)
        points[first : first + 8, 1] = y - 20 + 4 * np.sin(angle)
    arc(76, 87, 180, 510, x, y + 25, 18, 8)
    arc(88, 95, 180, 495, x, y + 25, 14, 3)
    points[96], points[97] = (x - 20, y - 20), (x + 20, y - 20)
    image = Image.new("L", (side, side), int(rng.integers(20, 60)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((x - 44, y - 75, x + 44, y + 48), fill=int(rng.integers(150, 220)))
    for first, last in ((33, 42), (42, 51), (60, 68), (68, 76), (76, 88)):
        draw.polygon(
            [tuple(p) for p in points[first:last].tolist()], fill=int(rng.integers(20, 80))
        )
    return image, points


@pytest.fixture(scope="session")
def drawn_faces() -> FaceSet:
    """Twelve cartoons of twelve identities, all taken as labelled by hand."""
    drawn = [draw_face(seed) for seed in range(12)]
    names = np.array([f"drawn_{index}_1.png" for index in range(12)])
    return FaceSet(
        np.stack([np.asarray(image) for image, _ in drawn]),
        np.stack([points for _, points in drawn]),
        np.ones((12, 98), np.float32),
        names,
        np.array([f"drawn:{index}" for index in range(12)]),
        np.ones(12, bool),
    )


def _dots(points: Tensor, channels: int, side: int) -> Tensor:
    """Points (N, 98, 2) in fractions of the crop → blurred dots (N, channels, side, side)."""
    axis = (torch.arange(side) + 0.5) / side
    near = torch.exp(-0.5 * ((axis - points[..., None]) / 0.02) ** 2)
    blobs = near[:, :, 1, :, None] * near[:, :, 0, None, :]
    return torch.stack([blobs[:, c::channels].amax(1) for c in range(channels)], 1)


@pytest.fixture(scope="session")
def point_clips() -> Callable[..., dict[str, Tensor]]:
    """(count, side, channels=10) → a batch in which landmarks are plain to see."""

    def draw(count: int, side: int, channels: int = 10) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        scale = 0.8 + 0.3 * torch.rand(count, 1, 2, generator=generator)
        shift = 0.06 * torch.randn(count, 1, 2, generator=generator)
        points = (front_view(1.4) - 0.5) * scale + 0.5 + shift
        return {
            "events": (255 * _dots(points, channels, side)).round().to(torch.uint8),
            "rgb": _dots(points, 3, side),
            "points": points,
            "weights": torch.ones(count, 98),
            "presence": torch.ones(count),
        }

    return draw


@pytest.fixture(scope="session")
def teach() -> Callable[..., list[dict[str, float]]]:
    """(task, batch, steps, rate) → the losses of plain steps on one batch."""

    def run(
        task: Task, batch: dict[str, Tensor], steps: int, rate: float
    ) -> list[dict[str, float]]:
        weights = [p for p in task.parameters() if p.requires_grad]
        optimiser = torch.optim.Adam(weights, lr=rate)
        history = []
        for step in range(steps):
            task.train()
            losses = task(batch, step)
            optimiser.zero_grad()
            losses["total"].backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, 5.0)
            optimiser.step()
            history.append({name: float(value.detach()) for name, value in losses.items()})
        return history

    return run


@pytest.fixture(scope="session")
def left_out() -> Callable[..., list[str]]:
    """(task, batch) → weights to learn that take no part in a step; DDP would stop there."""

    def names(task: Task, batch: dict[str, Tensor]) -> list[str]:
        task.train()
        task(batch, 0)["total"].backward()
        return [n for n, p in task.named_parameters() if p.requires_grad and p.grad is None]

    return names
