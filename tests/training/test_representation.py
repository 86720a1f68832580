"""The representations in PyTorch equal those of `evface_edge`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import open_events
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation import (
    REPRESENTATIONS,
    AdaptiveSurface,
    EventFrame,
    EventStatistics,
    MultiScaleSurface,
    Representation,
    TimeSurface,
    VoxelGrid,
)
from evface_training.representation import EventBatch, normalise_counts_, represent

SIZE = SensorSize(45, 30)
EPOCH_US = 1_700_000_000_000_000
CASES: list[Representation] = [
    EventFrame(),
    EventFrame("mean"),
    VoxelGrid(2),
    VoxelGrid(5, "mean"),
    TimeSurface(9_000),
    TimeSurface(9_000, "linear"),
    MultiScaleSurface(),
    EventStatistics(),
    EventStatistics("mean"),
    AdaptiveSurface("rate"),
    AdaptiveSurface("log", patch=7),
    AdaptiveSurface("spectrum"),
]
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    ),
]


def random_clip(seed: int, count: int, duration_us: int = 30_000) -> EventArray:
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, duration_us, count)) + EPOCH_US * (seed % 2),
        np.minimum(rng.exponential(12, count), SIZE.width - 1).astype(int),
        rng.integers(0, SIZE.height, count),
        rng.integers(0, 2, count),
    )


def assert_equal(
    representation: Representation, found: torch.Tensor, clips: list[EventArray], size: SensorSize
) -> None:
    expected = np.stack([representation(events, size) for events in clips])
    assert found.dtype == torch.float32
    # Deviations are in µs and may be as long as the window.
    atol = 0.05 if representation == EventStatistics() else 2e-5
    np.testing.assert_allclose(found.cpu(), expected, rtol=1e-4, atol=atol)


def test_there_is_a_case_for_every_representation() -> None:
    assert {type(case) for case in CASES} == set(REPRESENTATIONS.values())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("representation", CASES, ids=repr)
def test_a_batch_of_clips(representation: Representation, device: str) -> None:
    """Clips with many events, few, none, one, and many at the same time."""
    clips = [
        random_clip(1, 6_000),
        random_clip(2, 40),
        random_clip(3, 0),
        random_clip(4, 1),
        random_clip(5, 300, duration_us=1),
    ]
    batch = EventBatch.of(clips, SIZE, device)
    assert_equal(representation, represent(representation, batch), clips, SIZE)


@pytest.mark.parametrize("representation", [TimeSurface(9_000), MultiScaleSurface()], ids=repr)
def test_a_later_instant(representation: Representation) -> None:
    clips = [random_clip(6, 500), random_clip(8, 500)]
    later = torch.tensor(
        [events["t"][-1] + wait for events, wait in zip(clips, (400, 9_000), strict=True)]
    )
    found = represent(representation, EventBatch.of(clips, SIZE), t_us=later)
    for events, now, one in zip(clips, later.tolist(), found, strict=True):
        np.testing.assert_allclose(one, representation(events, SIZE, t_us=now), atol=1e-6)


@pytest.mark.parametrize("name", ["faery/evt2.raw", "aestream/davis.aedat4"])
def test_real_recordings(name: str, shared_data: Path) -> None:
    path = shared_data / "events" / name
    with open_events(path) as source:
        size, packets, count = source.size, [], 0
        for packet in source:
            packets.append(packet)
            count += len(packet)
            if count > 30_000:
                break
    events = np.concatenate(packets)
    clips = [events[:3_000], events[3_000:13_000], events[13_000:30_000]]
    batch = EventBatch.of(clips, size)
    for representation in CASES:
        assert_equal(representation, represent(representation, batch), clips, size)


def test_an_empty_batch() -> None:
    assert represent(EventFrame(), EventBatch.of([], SIZE)).shape == (0, 2, 30, 45)


def test_invalid_events_are_rejected() -> None:
    events = random_clip(1, 10)
    events["x"][4] = SIZE.width
    with pytest.raises(EventFormatError, match="event 4"):
        EventBatch.of([events], SIZE)


def test_an_unknown_representation_is_rejected() -> None:
    class Other(EventFrame):
        pass

    with pytest.raises(ConfigError, match="Other"):
        represent(Other(), EventBatch.of([], SIZE))


@pytest.mark.parametrize("bins", [2, 5])
def test_network_inputs_are_equal(bins: int) -> None:
    events = random_clip(bins, 6_000)
    twin = represent(VoxelGrid(bins), EventBatch.of([events], SIZE))
    enlarged = F.interpolate(twin, (128, 128), mode="bilinear", align_corners=False)
    expected = normalise_counts_(enlarged)[0].numpy()
    whole = Box(-0.5, -0.5, SIZE.width, SIZE.height)
    found = VoxelGrid(bins, "mean").crop(events, whole, (128, 128))
    np.testing.assert_allclose(found, expected, atol=1e-5)
