"""The torch twin and the NumPy/Numba representation are one definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evface_edge.events.array import make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.representation import VoxelGrid
from evface_training.representation import normalise_counts_, voxel_grid


@pytest.mark.parametrize("bins", [2, 5])
def test_twins_agree_from_events_to_network_input(bins: int) -> None:
    rng = np.random.default_rng(bins)
    count = 6_000
    events = make_events(
        np.sort(rng.integers(0, 30_000, count)),
        rng.integers(0, 60, count),
        rng.integers(0, 60, count),
        rng.integers(0, 2, count),
    )
    columns = [torch.from_numpy(events[name].astype(np.int64)) for name in ("t", "x", "y", "p")]
    twin = voxel_grid(*columns, bins, 60, 60)
    np.testing.assert_allclose(VoxelGrid(bins)(events, SensorSize(60, 60)), twin, atol=1e-4)
    enlarged = F.interpolate(twin[None], (128, 128), mode="bilinear", align_corners=False)
    expected = normalise_counts_(enlarged)[0].numpy()
    found = VoxelGrid(bins, "mean").crop(events, Box(-0.5, -0.5, 60, 60), (128, 128))
    np.testing.assert_allclose(found, expected, atol=1e-5)
