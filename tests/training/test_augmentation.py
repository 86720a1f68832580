"""Clips shown again, otherwise."""

from __future__ import annotations

import torch

from evface_edge.landmarks import MIRROR
from evface_training.augmentation import MAX_SHIFT, augmented

SIDE, CLIPS = 64, 40


def _clips() -> dict[str, torch.Tensor]:
    """Point 0 and the point that it is mirrored to lie on marked pixels of their own."""
    generator = torch.Generator().manual_seed(1)
    cells = torch.randint(8, SIDE - 8, (CLIPS, 98, 2), generator=generator)
    events = torch.zeros(CLIPS, 98, SIDE, SIDE, dtype=torch.uint8)
    clip, point = torch.arange(CLIPS)[:, None], torch.arange(98)[None]
    events[clip, point, cells[..., 1], cells[..., 0]] = 255  # a channel for each point
    return {
        "events": events,
        "points": (cells + 0.5) / SIDE,
        "weights": torch.rand(CLIPS, 98, generator=generator),
        "presence": torch.ones(CLIPS),
    }


def test_points_stay_on_their_pixels() -> None:
    batch = _clips()
    before = {name: tensor.clone() for name, tensor in batch.items()}
    torch.manual_seed(5)
    result = augmented(batch)
    for name, tensor in before.items():
        torch.testing.assert_close(batch[name], tensor, rtol=0, atol=0)
    clip, channel, y, x = torch.nonzero(result["events"], as_tuple=True)
    assert len(clip) == CLIPS * 98
    marked = torch.stack([x, y], -1).add(0.5).div(SIDE)
    kept = moved_mirrored = 0
    for index in range(CLIPS):
        own = marked[clip == index][torch.argsort(channel[clip == index])]
        points, weights = result["points"][index], result["weights"][index]
        if torch.allclose(points, own, atol=1e-6):
            kept += 1
            torch.testing.assert_close(weights, before["weights"][index])
        else:
            moved_mirrored += 1
            torch.testing.assert_close(points, own[MIRROR.copy()], rtol=0, atol=1e-6)
            torch.testing.assert_close(weights, before["weights"][index][MIRROR.copy()])
    assert kept >= 10
    assert moved_mirrored >= 10


def test_shifts_are_small_and_different() -> None:
    batch = _clips()
    torch.manual_seed(5)
    result = augmented(batch)
    mean = result["points"].mean(1)
    straight, mirrored = batch["points"].mean(1), batch["points"].mean(1) * torch.tensor([-1, 1])
    mirrored = mirrored + torch.tensor([1, 0])
    moved = torch.minimum((mean - straight).abs().amax(1), (mean - mirrored).abs().amax(1))
    assert float(moved.max()) <= MAX_SHIFT
    assert len(set((mean - straight)[:, 1].mul(SIDE).round().tolist())) > 4


def test_the_same_seed_gives_the_same_clips() -> None:
    batch = _clips()
    results = []
    for _ in range(2):
        torch.manual_seed(9)
        results.append(augmented(batch))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_frames_move_with_the_events_or_alone() -> None:
    batch = _clips()
    batch["rgb"] = batch["events"][:, :3].clone()
    torch.manual_seed(5)
    both = augmented(batch)
    torch.testing.assert_close(both["rgb"], both["events"][:, :3], rtol=0, atol=0)
    torch.manual_seed(5)
    alone = augmented({name: batch[name] for name in ("rgb", "points", "weights", "presence")})
    assert "events" not in alone
    torch.testing.assert_close(alone["rgb"], both["rgb"], rtol=0, atol=0)
    torch.testing.assert_close(alone["points"], both["points"], rtol=0, atol=0)
