"""One crop, and its mirror image."""

from __future__ import annotations

import numpy as np

from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box
from evface_edge.landmarks import MIRROR
from evface_edge.models import find_model
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import LandmarkNetwork

WIDTH = 320
#: Symmetrical about the middle of the sensor in pixels, whose centres are whole numbers.
BOX = Box((WIDTH - 1) / 2 - 50, 60, 100, 100)


def _ring() -> EventArray:
    """An ellipse with two clusters inside; nothing is symmetrical."""
    rng = np.random.default_rng(3)
    angle = rng.uniform(0, 2 * np.pi, 12_000)
    x = 150 + 32 * np.cos(angle) + rng.normal(0, 1, 12_000)
    y = 108 + 44 * np.sin(angle) + rng.normal(0, 1, 12_000)
    x[:3000], y[:3000] = rng.normal(135, 4, 3000), rng.normal(95, 2, 3000)
    x[3000:5000], y[3000:5000] = rng.normal(168, 4, 2000), rng.normal(97, 2, 2000)
    order = rng.permutation(12_000)
    x, y = x[order].astype(int), y[order].astype(int)
    return make_events(np.arange(12_000) * 3, x, y, rng.integers(0, 2, 12_000))


def _buffer(events: EventArray) -> EventBuffer:
    buffer = EventBuffer(10**6)
    buffer.append(events)
    return buffer


def test_a_mirrored_crop_equals_a_crop_of_mirrored_events() -> None:
    events = _ring()
    mirrored = events.copy()
    mirrored["x"] = WIDTH - 1 - mirrored["x"]
    network = LandmarkNetwork(find_model("evface-s-fp32"))
    try:
        buffer, now_us = _buffer(events), int(events["t"][-1])
        straight = network.detect(buffer, [BOX], now_us)[0]
        detection = network.infer([network.crop(buffer, BOX, now_us, mirrored=True)])[0]
        expected = network.detect(_buffer(mirrored), [BOX], now_us)[0]
    finally:
        network.close()
    points = expected.landmarks[MIRROR].copy()
    points[:, 0] = WIDTH - 1 - points[:, 0]
    # Which cell takes an event on the edge between two differs.
    np.testing.assert_allclose(detection.landmarks, points, atol=1.0)
    np.testing.assert_allclose(detection.sigma, expected.sigma[MIRROR], rtol=0.1)
    assert abs(detection.presence - expected.presence) < 0.05
    # The errors differ, so that the mean of both is better than one.
    apart = np.linalg.norm(detection.landmarks - straight.landmarks, axis=1).mean()
    assert apart > 2 * np.linalg.norm(detection.landmarks - points, axis=1).mean()
