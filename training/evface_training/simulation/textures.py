"""Images without a face: textures, lines, shapes, blobs; drawn, so free of any licence."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor


@functools.lru_cache(maxsize=2)  # sets of clips are often drawn one after the other
def texture_bank(count: int, side: int, seed: int) -> Tensor:
    """Return (count, side, side) float32 grey images in [0, 1]; do not change them."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([_texture(rng, side) for _ in range(count)]))


def _noise(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Return noise with a spectrum that falls as 1/f^a: clouds, cloth, foliage."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / frequency ** rng.uniform(0.5, 2.0)
    field = np.fft.irfft2(spectrum, (side, side))
    low, high = np.percentile(field, [2, 98])
    clouds: NDArray[np.float32] = np.clip((field - low) / (high - low), 0, 1).astype(np.float32)
    return clouds


def _texture(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    base = _noise(rng, side) * rng.uniform(0.1, 1.0)
    image = Image.fromarray((base * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 25)):
        shade = int(rng.integers(0, 256))
        x, y = rng.uniform(-0.2, 1.2, 2) * side
        width, height = rng.uniform(0.03, 0.7, 2) ** 1.5 * side
        kind = rng.integers(5)
        if kind == 0:
            draw.rectangle((x, y, x + width, y + height), fill=shade)
        elif kind == 1:
            draw.ellipse((x, y, x + width, y + height), fill=shade)
        elif kind == 2:
            end = rng.uniform(-0.2, 1.2, 2) * side
            draw.line((x, y, *end), fill=shade, width=int(rng.integers(1, 9)))
        elif kind == 3:
            corners = rng.uniform(-0.3, 0.3, (int(rng.integers(3, 7)), 2)) * side + (x, y)
            draw.polygon([tuple(corner) for corner in corners], fill=shade)
        else:  # parallel bars: blinds, keys, print
            pitch = float(rng.uniform(3, 20))
            for index in range(int(rng.integers(3, 12))):
                left = x + index * pitch
                draw.rectangle((left, y, left + pitch * 0.45, y + height), fill=shade)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.5))))
    return np.asarray(image, np.float32) / np.float32(255)
