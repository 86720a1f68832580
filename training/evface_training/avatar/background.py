"""The background behind an avatar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from evface_edge.geometry import SensorSize
from evface_training.avatar.scene import Light


def background(light: Light, size: SensorSize) -> NDArray[np.float32]:
    """Return linear light (H, W, 3): one tone, a gradient, or blurred rectangles."""
    rng = np.random.default_rng(light.background_seed)
    level = light.background_level
    shape = (size.height, size.width)
    tint = 1 + 0.15 * rng.standard_normal(3)
    if light.background == "plain":
        tone = np.full(shape, level)
    elif light.background == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        x, y = np.meshgrid(np.linspace(-1, 1, size.width), np.linspace(-1, 1, size.height))
        tone = level * (1 + 0.6 * (np.cos(angle) * x + np.sin(angle) * y))
    else:
        tone = np.full(shape, level)
        for _ in range(int(rng.integers(10, 30))):
            left, top = rng.uniform(-0.2, 1.0, 2) * (size.width, size.height)
            wide, high = rng.uniform(0.04, 0.6, 2) * (size.width, size.height)
            rows = slice(max(int(top), 0), max(int(top + high), 0))
            columns = slice(max(int(left), 0), max(int(left + wide), 0))
            tone[rows, columns] = level * rng.uniform(0.2, 2.2)
        tone = gaussian_filter(tone, rng.uniform(0.3, 2.0) * size.width / 346)
        clouds = gaussian_filter(rng.standard_normal(shape), 4.0)
        tone = tone * (1 + 0.08 * clouds / clouds.std())
    pixels: NDArray[np.float32] = np.clip(tone[..., None] * tint, 0, 1).astype(np.float32)
    return pixels
