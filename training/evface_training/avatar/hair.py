"""Hair and hats: coverage of the skin, tone, and volume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.layout import Layout

Floats = NDArray[np.floating]


def hairline_y(identity: AvatarIdentity, layout: Layout, angle: Floats) -> Floats:
    """Return the height of the edge of the hair, or hat, at an angle around the head (radians)."""
    degrees = np.degrees(np.abs(angle))
    high = layout.hairline_y
    if identity.hair_style == "hat":
        rim = layout.brow_y + 18.0
        return np.interp(degrees, [0, 40, 80, 120, 180], [rim, rim - 2, rim - 12, 2, -12])
    at = [0, 24, 40, 50, 58, 64, 68, 72, 77, 92, 104, 120, 180]
    line = [high, high + 2, high, high - 5, high - 14, 38, 18, -2, -14, -18, -16, -50, -66]
    if identity.hair_style == "fringe":
        low = layout.brow_y + 9.0
        line[:7] = [low, low + 1, low - 1, low - 2, low - 4, low - 6, 12]
    elif identity.hair_style == "bald":
        line[:7] = [125, 125, 122, 118, 100, 60, 30]
    elif identity.hair_style == "long":
        line[4:10] = [high - 18, 34, 14, -10, -30, -45]
    return np.interp(degrees, at, line)


def _combed(identity: AvatarIdentity, y: Floats, angle: Floats) -> Floats:
    """Return the distance across the strands, mm; their slope depends on the identity."""
    lean = (identity.texture_seed % 17 - 8) / 10.0
    result: Floats = angle * 75.0 + lean * (y - 60.0)
    return result


def hair_volume(identity: AvatarIdentity, layout: Layout, points: Floats, angle: Floats) -> Floats:
    """Return the height of hair over the skin at points (..., 3), mm; angle broadcasts."""
    y, z = points[..., 1], points[..., 2]
    over = y - hairline_y(identity, layout, angle)
    rise = np.clip((over + 1.0) / 15.0, 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    top = np.clip((y - 40) / 60, 0, 1)
    if identity.hair_style == "hat":
        return 9.0 * np.clip((over + 0.5) / 3.0, 0, 1) + 6 * rise * top
    if identity.hair_style == "bald":
        return 2.5 * rise
    thick = {"short": (6, 11), "swept": (7, 20), "fringe": (9, 12), "long": (12, 12)}
    side, crown = thick[identity.hair_style]
    volume = rise * (side + (crown - side) * top)
    if identity.hair_style == "fringe":
        fringe = np.clip((over + 1.0) / 5.0, 0, 1) * np.clip((z - 50) / 30, 0, 1)
        volume = np.maximum(volume, 8.0 * fringe)
    low = np.clip((112 - y) / 20, 0, 1)  # the crown, where all columns meet, stays smooth
    comb = _combed(identity, y, angle)
    waves = 1 + low * (0.07 * np.sin(comb / 9.0) + 0.04 * np.sin(comb / 3.7 + np.sin(y / 11.0)))
    result: Floats = volume * waves
    return result


def hair_cover(
    identity: AvatarIdentity,
    layout: Layout,
    x: Floats,
    y: Floats,
    z: Floats,
    angle: Floats,
    strands: Callable[[Floats, Floats, float, float], Floats],
) -> tuple[Floats, Floats]:
    """Return coverage (...) in 0 to 1 and tone (..., 3) of the hair or hat."""
    across = _combed(identity, y, angle)
    over = y - hairline_y(identity, layout, angle)
    if identity.hair_style == "hat":
        knit = 0.75 + 0.25 * np.sin(across * 1.1) * np.sin(y * 1.3)
        knit = np.where(over < 16, knit * 0.8, knit)
        return np.clip(over / 0.8 + 0.5, 0, 1), np.array(identity.clothes) * knit[..., None]
    fine, coarse = strands(across, y, 0.6, 26.0), strands(across, y, 3.1, 60.0)
    ragged = over - 5.0 * (fine - 0.5) - 5.0 * (coarse - 0.5)
    edge = 4.0 if identity.hair_style != "fringe" else 1.6
    cover = np.clip(ragged / edge + 0.5, 0, 1)
    if identity.hair_style == "bald":
        cover = cover * 0.75
    shade = 0.55 + 0.5 * fine + 0.5 * coarse
    return cover, np.array(identity.hair) * shade[..., None]
