"""Packed events: their views, batches and augmentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box
from evface_training.data.faces import FaceSet
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.ssmer.events import (
    UNCHANGED,
    Augmentation,
    PackedEvents,
    disturb,
    random_crops,
)
from evface_training.ssmer.views import VIEWS, check_views, draw_view, view

SIDE = 24
BOXES = (Box(3.5, 1.5, SIDE, SIDE), Box(-0.5, -0.5, SIDE, SIDE))


def recording(seed: int, count: int = 3000) -> EventArray:
    """No two events at the same time, so that their order is unique."""
    rng = np.random.default_rng(seed)
    return make_events(
        1000 + np.sort(rng.choice(60_000, count, replace=False)),
        rng.integers(0, 32, count),
        rng.integers(0, 32, count),
        rng.integers(0, 2, count),
    )


def packed(slices: list[tuple[EventArray, Box]]) -> PackedEvents:
    """Slices of recordings, each with the box that becomes its crop."""
    columns: list[tuple[torch.Tensor, ...]] = []
    durations = []
    for index, (events, box) in enumerate(slices):
        t = events["t"].astype(np.float64)
        durations.append(t[-1] - t[0])
        # Pixel centres are integers; a box goes from outer edge to outer edge.
        numbers = (
            (t - t[0]) / durations[-1],
            (events["x"] - box.x) / box.width,
            (events["y"] - box.y) / box.height,
        )
        floats = (torch.from_numpy(np.asarray(n, np.float32)) for n in numbers)
        on = torch.from_numpy(events["p"].astype(np.int64))
        columns.append((torch.full((len(t),), index), *floats, on))
    clip, time, x, y, on = (torch.cat(column) for column in zip(*columns, strict=True))
    return PackedEvents(clip, time, x, y, on, torch.tensor(durations, dtype=torch.float32))


RECORDINGS = (recording(0), recording(1, 700))
PACKED = packed(list(zip(RECORDINGS, BOXES, strict=True)))


@pytest.mark.parametrize("name", VIEWS)
def test_views_equal_the_representations_of_the_device(name: str) -> None:
    actual = view(name, PACKED, SIDE).numpy()
    for clip, events, box in zip(actual, RECORDINGS, BOXES, strict=True):
        x, y = events["x"] - box.x, events["y"] - box.y
        inside = events[(x > 0) & (x < SIDE) & (y > 0) & (y < SIDE)]
        expected = VIEWS[name].crop(inside, box, (SIDE, SIDE))
        np.testing.assert_allclose(clip, expected, atol=2e-3)


@pytest.mark.parametrize("name", VIEWS)
def test_the_view_of_no_events_is_zero(name: str) -> None:
    nothing = PACKED.select(torch.zeros(len(PACKED), dtype=torch.bool))
    image = view(name, nothing, SIDE)
    assert image.shape == (2, VIEWS[name].channels, SIDE, SIDE)
    assert not image.any()


@pytest.mark.parametrize("name", VIEWS)
def test_an_empty_clip_does_not_change_its_neighbour(name: str) -> None:
    first = PACKED.select(PACKED.clip == 0)
    both, alone = view(name, PACKED, SIDE), view(name, first, SIDE)
    torch.testing.assert_close(alone[0], both[0])
    assert not alone[1].any()


@pytest.mark.parametrize("name", VIEWS)
def test_no_augmentation_gives_the_view_itself(name: str) -> None:
    torch.testing.assert_close(
        draw_view(name, PACKED, SIDE, UNCHANGED),
        view(name, PACKED, SIDE),
        atol=1e-4,
        rtol=0,
    )


def many(clips: int = 40, each: int = 500) -> PackedEvents:
    clip = torch.arange(clips).repeat_interleave(each)
    time = torch.rand(clips, each).sort(1).values.flatten()
    x, y = torch.rand(2, len(clip))
    on = (clip % 2 == 0).long()  # every other clip is all ON
    return PackedEvents(clip, time, x, y, on, torch.full((clips,), 5e4))


def only(**change: float) -> Augmentation:
    return Augmentation(**{**vars(UNCHANGED), **change})


def test_drops_are_drawn_per_clip() -> None:
    torch.manual_seed(0)
    kept = torch.bincount(disturb(many(), only(drop=0.6)).clip, minlength=40) / 500
    assert float(kept.mean()) == pytest.approx(0.7, abs=0.08)
    assert float(kept.min()) < 0.5
    assert float(kept.max()) > 0.9


def test_all_events_of_a_clip_change_polarity_or_none() -> None:
    torch.manual_seed(0)
    events = many()
    changed = disturb(events, only(flip_polarity=0.5)).on != events.on
    per_clip = changed.view(40, 500)
    assert bool((per_clip == per_clip[:, :1]).all())
    assert 10 < int(per_clip[:, 0].sum()) < 30


def test_jitter_and_noise_leave_events_in_order() -> None:
    torch.manual_seed(0)
    events = disturb(many(), only(jitter=0.05, noise=0.5))
    assert 40 * 500 < len(events) < 40 * 750
    assert float(events.time.min()) >= 0
    assert float(events.time.max()) <= 1
    order = events.clip.double() * 2 + events.time
    assert bool((order.diff() >= 0).all())


def test_crops_have_the_set_areas_and_aspect_ratios() -> None:
    torch.manual_seed(0)
    how = Augmentation(crop_area=(0.2, 0.9), crop_aspect=1.1, mirror=0.5)
    maps = random_crops(2000, how, torch.device("cpu"))
    width, height = maps[:, 0, 0].abs(), maps[:, 1, 1]
    area = width * height
    assert 0.18 < float(area.min()) < 0.25
    assert 0.85 < float(area.max()) <= 0.9001
    assert float((width / height).max()) < 1.1001
    # None reaches beyond the image.
    assert float((maps[:, 0, 2].abs() + width).max()) <= 1.0001
    assert float((maps[:, 1, 2].abs() + height).max()) <= 1.0001
    assert float((maps[:, 0, 0] < 0).float().mean()) == pytest.approx(0.5, abs=0.05)


def test_events_survive_a_batch() -> None:
    batch = PACKED.to_batch()
    assert all(len(tensor) == 2 for tensor in batch.values())
    again = PackedEvents.of_batch(batch)
    inside = (PACKED.x > 0) & (PACKED.x < 1) & (PACKED.y > 0) & (PACKED.y < 1)
    for name, value in vars(PACKED.select(inside)).items():
        torch.testing.assert_close(getattr(again, name), value, atol=2e-5, rtol=0)
    # A time of 1/32767 of the slice is 2 µs here, of a shortest scale of 1 ms.
    actual, expected = (view("surfaces", e, SIDE) for e in (again, PACKED))
    torch.testing.assert_close(actual, expected, atol=5e-3, rtol=0)


def test_long_lists_are_thinned_evenly() -> None:
    events = many(clips=2, each=1000)
    half = PackedEvents.of_batch(events.to_batch(most=500))
    assert torch.bincount(half.clip).tolist() == [500, 500]
    torch.testing.assert_close(half.time[:500], events.time[1:1000:2], atol=2e-5, rtol=0)
    for most in (1, 3, 333, 999, 1000, 1001):
        kept = torch.bincount(PackedEvents.of_batch(events.to_batch(most)).clip)
        assert kept.tolist() == [min(most, 1000)] * 2


def test_lists_of_simulated_clips_agree_with_their_inputs(drawn_faces: FaceSet) -> None:
    """The simulator's own tensor and the view of its list of events have the same support."""
    simulator = ClipSimulator(ClipPrior(), 64, seed=3, lists=True)
    simulator.RESOLUTIONS = ((64, 1.0),)  # type: ignore[misc, assignment]
    clips = simulator(
        torch.from_numpy(drawn_faces.images[:4]), torch.from_numpy(drawn_faces.points[:4])
    )
    assert clips.events is not None
    packed = PackedEvents.of_clips(clips.events, clips.duration_s)
    assert packed.clips == 4
    frame = view("frame", packed, 64)
    # The simulator counts in the same cells; its voxels summed over time have the same support.
    support = clips.inputs.unflatten(1, (2, 5)).sum(2) > 0
    torch.testing.assert_close(frame > 0, support)


def test_settings_of_views_are_checked() -> None:
    for names in (("frame", "frame"), ("voxels",)):
        with pytest.raises(ConfigError, match="frame, voxel", check=lambda e: e.field == "views"):
            check_views(names, "views")
    with pytest.raises(ConfigError, check=lambda e: e.field == "Augmentation.crop_area"):
        Augmentation(crop_area=(0.0, 1.0))
