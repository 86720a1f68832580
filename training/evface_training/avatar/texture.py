"""The reflectance of the skin, painted on the neutral avatar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from evface_training.avatar.hair import hair_cover
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.layout import Layout, bump
from evface_training.avatar.mesh import NeutralAvatar

Floats = NDArray[np.floating]

SIZE = 1024


def paint(identity: AvatarIdentity, neutral: NeutralAvatar) -> NDArray[np.float32]:
    """Return square roots of the reflectance, linear RGB, and gloss: (SIZE, SIZE, 4), 0 to 1.

    Square roots, because 8 bits then suffice for dark brows and pale skin. Rows and columns are
    those of the grid without the inside of the mouth.
    """
    rng = np.random.default_rng(identity.texture_seed)
    x, y, z, angle = _positions(neutral)
    layout = neutral.layout
    color = _skin(identity, layout, rng, x, y, np.where(np.abs(angle) > 0.7, angle * 80, x))
    front = np.clip((z - 30) / 25, 0, 1)
    _blend(color, np.array(identity.skin) * 0.12, 0.92 * _nostrils(layout, x, y) * front)
    strands = _Strands(rng)
    hair = np.array(identity.hair)
    if identity.beard > 0:
        cover = _beard(identity, layout, x, y) * np.clip((z - 5) / 20, 0, 1)
        bristle = strands(x, y, 0.7, 2.5)
        strength = cover * identity.beard * (0.45 + 0.75 * bristle)
        _blend(color, hair * 1.2 + 0.01, np.clip(strength, 0, 0.95))
    on_lips = _lips(color, identity, layout, strands, x, y, front)
    brow = _brow(layout, strands, x, y) * front * identity.brow_darkness
    _blend(color, np.minimum(hair * 0.55 + 0.004, 0.09), brow)
    cover, tone = hair_cover(identity, layout, x, y, z, angle, strands)
    _blend(color, tone, cover)
    gloss = 0.17 + 0.3 * on_lips - 0.12 * brow
    gloss += (0.25 * (identity.hair_style != "hat") - gloss) * cover
    reflectance = np.sqrt(np.clip(color, 0, 1))
    result = np.concatenate([reflectance, gloss[..., None]], axis=-1)
    texture: NDArray[np.float32] = np.clip(result, 0, 1).astype(np.float32)
    return texture


def _positions(neutral: NeutralAvatar) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x, y, z and column angle of every texel."""
    skin = ~neutral.inside
    skin[neutral.lower_row] = False
    grid = neutral.points[skin]
    rows, columns = grid.shape[:2]
    at = np.meshgrid(
        np.linspace(0, rows - 1, SIZE), np.linspace(0, columns - 1, SIZE), indexing="ij"
    )
    x, y, z = (
        map_coordinates(grid[..., channel], at, order=1, output=np.float32) for channel in range(3)
    )
    angle = np.interp(at[1][:1], np.arange(columns), neutral.angles)
    return x, y, z, np.broadcast_to(angle, x.shape)


def _blend(color: Floats, paint_color: Floats, cover: Floats) -> None:
    color += (paint_color - color) * cover[..., None]


class _Strands:
    """Noise of fine lines, 0 to 1: `strands(across, along, width, length)`, mm."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._noise = rng.random((512, 512)).astype(np.float32)

    def __call__(self, across: Floats, along: Floats, width: float, length: float) -> Floats:
        at = np.stack([across / width, along / length])
        result: Floats = map_coordinates(self._noise, at, order=1, mode="grid-wrap")
        return result


def _cloud(rng: np.random.Generator, x: Floats, y: Floats, size_mm: float) -> Floats:
    """Return smooth noise of mean 0 and standard deviation 1."""
    noise = gaussian_filter(rng.standard_normal((128, 128)), 1.0, mode="wrap")
    noise /= noise.std()
    at = np.stack([y / size_mm + 40, x / size_mm + 40])
    result: Floats = map_coordinates(noise, at, order=1, mode="grid-wrap")
    return result


def _skin(
    identity: AvatarIdentity,
    layout: Layout,
    rng: np.random.Generator,
    x: Floats,
    y: Floats,
    around: Floats,
) -> Floats:
    ax = np.abs(x)
    grain = 0.025 * _cloud(rng, around, y, 6.0) + 0.025 * _cloud(rng, around, y, 1.5)
    grain += 0.025 * _cloud(rng, around, y, 0.6)
    red = 0.7 * bump(ax, y, (38, layout.nose_base_y + 10), (15, 15))
    red += 0.6 * bump(ax, y, (0, layout.nose_base_y + 8), (14, 9))
    red += 0.35 * bump(ax, y, (0, layout.chin_y + 12), (14, 10))
    dark = 0.13 * bump(ax, y, (layout.eye_x - 4, -11), (13, 4.5))
    dark += 0.15 * bump(ax, y, (layout.eye_x - layout.eye_half + 1, 1), (6, 8))
    dark += 0.10 * bump(ax, y, (layout.eye_x, 8), (15, 5))
    freckles = np.clip(_cloud(rng, x, y, 1.6) - 1.25, 0, 1)
    freckles *= bump(ax, y, (22, layout.nose_base_y + 18), (26, 20)) * identity.freckles
    moles = np.zeros_like(x)
    for _ in range(int(rng.integers(0, 5))):
        at = (float(rng.uniform(-55, 55)), float(rng.uniform(layout.chin_y, 60)))
        radius = float(rng.uniform(0.6, 1.4))
        moles += np.exp(-((((x - at[0]) ** 2 + (y - at[1]) ** 2) / radius**2) ** 2))
    tint = np.stack([0.05 * red, -0.16 * red, -0.13 * red], axis=-1)
    tone = np.array(identity.skin, dtype=np.float32) * (1 + grain[..., None] + tint)
    tone *= (1 - dark)[..., None] * np.array([1.0, 1.0, 1.02])
    tone *= 1 - np.clip(0.55 * freckles + 0.6 * moles, 0, 0.8)[..., None]
    result: Floats = tone
    return result


def _nostrils(layout: Layout, x: Floats, y: Floats) -> Floats:
    """Return the coverage by nostrils: slanted drops on the underside of the nose."""
    ax = np.abs(x)
    center = (0.44 * layout.nose_half, layout.nose_base_y + 3.0)
    u = (ax - center[0]) / (0.27 * layout.nose_half)
    v = (y - center[1] - 0.10 * (ax - center[0])) / 1.75
    hole = np.clip(1.6 - 1.1 * (u**2 + v**2), 0, 1)
    wing_x = layout.nose_half + 0.6
    crease = 0.40 * bump(ax, y, (wing_x, layout.nose_base_y + 6), (1.1, 4.5))
    crease += 0.30 * bump(ax, y, (0.62 * layout.nose_half, layout.nose_base_y - 0.4), (5.0, 0.9))
    return np.clip(hole + crease, 0, 1)


def _lips(
    color: Floats,
    identity: AvatarIdentity,
    layout: Layout,
    strands: _Strands,
    x: Floats,
    y: Floats,
    front: Floats,
) -> Floats:
    """Paint the lips and return their coverage."""
    upper, lower, line = layout.upper_lip_y(x), layout.lower_lip_y(x), layout.lip_line_y(x)
    edge = np.clip(np.minimum(upper - y, y - lower) / 0.9 + 0.5, 0, 1)
    inside = (np.abs(x) < layout.mouth_half).astype(np.float32) * front
    ridges = 0.9 + 0.2 * strands(x, y, 0.9, 5.0)
    shade = np.where(y > line, 0.82, 1.0) * ridges
    _blend(color, np.array(identity.lips) * shade[..., None], edge * inside)
    s = np.clip(np.abs(x) / layout.mouth_half, 0, 1.15)
    slit = np.exp(-(((y - line) / 0.85) ** 2)) * np.clip((1.12 - s) / 0.1, 0, 1) * front
    _blend(color, np.array(identity.lips) * 0.16, 0.85 * slit)
    return edge * inside


def _brow(layout: Layout, strands: _Strands, x: Floats, y: Floats) -> Floats:
    t = layout.brow_t(x)
    height = (y - layout.brow_middle_y(t)) / np.maximum(layout.brow_half(t), 0.3)
    ends = np.clip((t + 0.02) / 0.10, 0, 1) * np.clip((1.02 - t) / 0.06, 0, 1)
    # Hairs stand at the inner end and lie along the brow further out.
    slant = np.clip(1.2 - 1.5 * t, -0.35, 1.0)
    across = np.abs(x) * np.cos(0.6) + (y - slant * np.abs(x)) * 0.9
    hairs = strands(across, np.abs(x) + y, 0.55, 4.0)
    soft = np.clip(1.9 - np.abs(height) * (1.05 + 0.6 * hairs), 0, 1)
    cover: Floats = soft * ends * (0.84 + 0.16 * hairs)
    return cover


def _beard(identity: AvatarIdentity, layout: Layout, x: Floats, y: Floats) -> Floats:
    """Return the coverage of moustache, chin and jaw, without cheeks and lips."""
    ax = np.abs(x)
    upper_edge = np.interp(
        ax,
        [0, 10, layout.mouth_half, 40, 58, 66, 75],
        [
            layout.nose_base_y - 3,
            layout.nose_base_y - 4,
            layout.mouth_y + 4,
            layout.mouth_y - 2,
            layout.mouth_y + 22,
            layout.mouth_y + 50,
            layout.mouth_y + 70,
        ],
    )
    cover = np.clip((upper_edge - y) / 5, 0, 1)
    under = layout.mouth_y - layout.lower_lip
    bare = np.clip(1.3 - np.hypot(ax / (layout.mouth_half * 0.8), (y - under + 1) / 3.0), 0, 1)
    result: Floats = cover * (1 - 0.8 * bare) * np.clip((y - layout.chin_y + 30) / 15, 0, 1)
    return result
