"""Hair and hats: which skin they cover, in which tone, and how far they stand out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evface_training.head.identity import HeadIdentity
from evface_training.head.layout import Layout

Floats = NDArray[np.floating]


def hairline_y(identity: HeadIdentity, layout: Layout, angle: Floats) -> Floats:
    """Height of the edge of the hair, or hat, at an angle around the head (radians)."""
    degrees = np.degrees(np.abs(angle))
    high = layout.hairline_y
    if identity.hair_style == "hat":
        rim = layout.brow_y + 18.0
        return np.interp(degrees, [0, 40, 80, 120, 180], [rim, rim - 2, rim - 12, 2, -12])
    at = [0, 24, 40, 50, 58, 66, 74, 82, 92, 104, 120, 180]
    line = [high, high + 2, high, high - 6, high - 20, 34, 22, 0, -8, -12, -50, -66]
    if identity.hair_style == "fringe":
        low = layout.brow_y + 9.0
        line[:6] = [low, low + 1, low - 1, low - 2, low - 4, low - 6]
    elif identity.hair_style == "bald":
        line[:6] = [125, 125, 122, 118, 100, 55]
    elif identity.hair_style == "long":
        line[4:9] = [high - 18, 30, 12, -20, -40]
    return np.interp(degrees, at, line)


def hair_volume(identity: HeadIdentity, layout: Layout, points: Floats, angle: Floats) -> Floats:
    """How far hair stands out of the skin at points (..., 3), mm; angle broadcasts."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
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
    waves = 1 + low * (0.10 * np.sin(x / 9.0) ** 2 + 0.07 * np.cos(angle * 23.0))
    result: Floats = volume * waves
    return result


def hair_cover(
    identity: HeadIdentity,
    layout: Layout,
    x: Floats,
    y: Floats,
    z: Floats,
    angle: Floats,
    strands: Callable[[Floats, Floats, float, float], Floats],
) -> tuple[Floats, Floats]:
    """Cover (...) in 0 to 1 and tone (..., 3) of the hair or hat."""
    across = angle * 75.0
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
