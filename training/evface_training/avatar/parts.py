"""Parts of an avatar besides the skin: ears, teeth, neck, shoulders, long hair, glasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.mesh import NeutralAvatar, grid_normals, grid_triangles

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of mesh.

    Attributes:
        points, normals: (N, 3), head coordinates of a neutral avatar that faces the camera.
        color: (N, 4) linear RGB and fraction of the ambient light.
        gloss: strength of the highlight.
        follows: "head", "jaw", or "body", which turns less than the head.
    """

    points: Floats
    normals: Floats
    triangles: NDArray[np.int32]
    color: Floats
    gloss: float
    follows: Literal["head", "jaw", "body"] = "head"


def build_parts(identity: AvatarIdentity, neutral: NeutralAvatar) -> list[Part]:
    parts = [*_ears(identity, neutral), *_teeth(neutral), *_body(identity, neutral)]
    if identity.hair_style == "long":
        parts.append(_long_hair(identity, neutral))
    if identity.glasses:
        parts.append(_glasses(neutral))
    return parts


def _grid_part(
    grid: Floats,
    color: Floats,
    light: Floats | float,
    gloss: float,
    follows: Literal["head", "jaw", "body"] = "head",
) -> Part:
    normals = grid_normals(grid)
    rgba = np.empty((*grid.shape[:2], 4))
    rgba[..., :3] = color
    rgba[..., 3] = light
    triangles = grid_triangles(*grid.shape[:2])
    return Part(
        grid.reshape(-1, 3), normals.reshape(-1, 3), triangles, rgba.reshape(-1, 4), gloss, follows
    )


def _ears(identity: AvatarIdentity, neutral: NeutralAvatar) -> list[Part]:
    column = int(np.argmin(np.abs(neutral.angles - np.radians(96))))
    side = neutral.points[:, column]
    root = side[np.argmin(np.abs(side[:, 1] + 14.0))]
    r = np.array([0.0, 0.18, 0.34, 0.46, 0.56, 0.66, 0.76, 0.84, 0.92, 1.0, 1.03, 0.9])[:, None]
    turn = np.linspace(0, 2 * np.pi, 33)[None]
    back = (1 + np.cos(turn)) / 2
    upper = np.clip(0.5 + 0.6 * np.sin(turn), 0, 1)
    a = 11 + 16.5 * r * np.cos(turn) * (1 + 0.28 * np.sin(turn))
    b = 31.0 * r * np.sin(turn) - 3.0 * np.sin(turn) * (turn > np.pi)
    helix = (
        4.5 * np.exp(-(((r - 0.90) / 0.10) ** 2)) * np.clip(0.3 + back * 0.5 + upper * 0.5, 0, 1)
    )
    fold = 3.8 * np.exp(-(((r - 0.58) / 0.12) ** 2)) * np.clip(back + 0.2, 0, 1)
    bowl = -3.0 * np.exp(-((r / 0.42) ** 2))
    tragus = 4.0 * np.exp(-(((r - 0.5) / 0.2) ** 2) - ((turn - np.pi) / 0.5) ** 2)
    height = helix + fold + bowl + tragus
    height[-2:] -= np.array([[4.0], [9.0]])
    light = np.clip(0.45 + 0.13 * height, 0.2, 0.95)
    out = np.array([np.sin(0.5), 0.0, -np.cos(0.5)])
    rise = np.array([0.10, 0.985, -0.14])
    normal = np.cross(rise, out)
    grid = root + a[..., None] * out + b[..., None] * rise + height[..., None] * normal
    grid[..., 0] -= 2.0
    tone = np.array(identity.skin) * np.array([1.02, 0.90, 0.88])
    left = _grid_part(grid, tone, light, 0.05)
    other = grid[:, ::-1] * np.array([-1.0, 1, 1])
    right = _grid_part(other, tone, light[:, ::-1], 0.05)
    return [left, right]


def _teeth(neutral: NeutralAvatar) -> list[Part]:
    layout = neutral.layout
    middle = len(neutral.angles) // 2
    lips = neutral.points[neutral.upper_row, middle]
    across = np.linspace(-1, 1, 57)
    tooth = np.abs(((across * 5.2) % 1.0) - 0.5) * 2  # 1 at the gaps
    ivory = np.array([0.62, 0.58, 0.50])
    parts = []
    for top, edge, gum, back in ((True, -1.6, 8.5, 5.5), (False, -2.4, -9.5, 7.0)):
        levels = np.array([gum * 1.7, gum, gum * 0.92, 0.5 * (gum + edge), edge, edge])
        grid = np.empty((6, 57, 3))
        grid[..., 0] = across * layout.mouth_half * 0.92
        scallop = (0.9 if top else 0.5) * tooth**4
        grid[..., 1] = (
            lips[1] + levels[:, None] + (scallop if top else -scallop) * (np.arange(6) > 3)[:, None]
        )
        grid[..., 2] = lips[2] - back - 19.0 * across**2 - np.array([1, 0, 0, 0, 0.6, 5])[:, None]
        pink = (np.arange(6) < 2)[:, None, None]
        shade = 1 - 0.55 * tooth**6
        color = np.where(pink, np.array([0.40, 0.16, 0.15]), ivory * shade[None, :, None])
        light = 0.85 - 0.6 * np.abs(across)[None] ** 1.5 * np.ones((6, 1))
        parts.append(_grid_part(grid, color, light, 0.12, "head" if top else "jaw"))
    return parts


_NECK = np.array(  # y, half width, z front, z behind
    [
        [-40, 40, 5, -60],
        [-75, 50, 24, -68],
        [-100, 52, 32, -70],
        [-120, 53, 35, -72],
        [-145, 56, 39, -75],
        [-165, 64, 43, -80],
        [-180, 85, 46, -84],
        [-195, 125, 50, -88],
        [-215, 165, 56, -92],
    ],
    dtype=float,
)
_SHIRT = np.array(
    [
        [-158, 63, 41, -80],
        [-163, 68, 47, -84],
        [-172, 82, 51, -88],
        [-184, 118, 57, -92],
        [-200, 165, 66, -96],
        [-222, 195, 78, -100],
        [-270, 212, 96, -106],
        [-420, 222, 110, -112],
    ],
    dtype=float,
)


def _body(identity: AvatarIdentity, neutral: NeutralAvatar) -> list[Part]:
    turn = np.linspace(-np.pi, np.pi, 41)
    shift = neutral.layout.chin_y + 108.0 + 14.0
    parts = []
    for table, shirt in ((_NECK, False), (_SHIRT, True)):
        y, half, front, behind = (np.repeat(table, 2, axis=0)[:-1]).T[:, :, None]
        y, half, front, behind = (
            (values + np.roll(values, -1, axis=0)) / 2 for values in (y, half, front, behind)
        )
        y, half, front, behind = (values[:-1] for values in (y, half, front, behind))
        middle, depth = (front + behind) / 2, (front - behind) / 2
        x = half * np.sin(turn)
        z = middle + depth * np.cos(turn)
        # A collar hangs lower in front.
        drop = 16.0 * np.clip((y + 185) / 27, 0, 1) * np.cos(turn / 2) ** 6 if shirt else 0.0
        grid = np.stack(np.broadcast_arrays(x, y + shift - drop, z), axis=-1)
        if shirt:
            folds = 1 + 0.10 * np.sin(turn * 9 + y / 23.0)
            color = np.array(identity.clothes) * folds[..., None]
            light: Floats = np.clip(0.55 + (-150 - y) / 80, 0.5, 1) * np.ones_like(turn)
        else:
            color = np.array(identity.skin) * np.array([0.96, 0.92, 0.92])
            ahead = np.clip(np.cos(turn) + 0.3, 0, 1)
            light = 1 - ahead * (0.75 * np.exp(-(((y + 98) / 36) ** 2)))
            light = light * np.ones_like(y)
        parts.append(_grid_part(grid, color, light, 0.02 if shirt else 0.04, "body"))
    return parts


def _long_hair(identity: AvatarIdentity, neutral: NeutralAvatar) -> Part:
    rng = np.random.default_rng(identity.texture_seed + 1)
    turn = np.radians(np.linspace(74, 286, 81))[None]
    y = np.linspace(70, -190, 30)[:, None]
    fall = np.clip((20 - y) / 60, 0, 1)
    lock = np.interp(np.arange(81), np.arange(0, 84, 4), rng.standard_normal(21))[None]
    spread = np.interp(y, [-190, -120, -40, 30, 70], [98, 94, 90, 86, 74])
    reach = spread * identity.face_width + 2.0 * lock * fall + 1.5 * np.sin(y / 17.0 + 4 * lock)
    x = reach * np.sin(turn)
    z = -10 + np.where(np.cos(turn) > 0, 95, 102) * np.cos(turn)
    z = z * np.ones_like(y) + 3 * lock
    fine = rng.random(81)[None, :, None]
    shade = 0.55 + 0.7 * fine * np.ones_like(y)[..., None]
    color = np.array(identity.hair) * shade
    light = 0.55 + 0.3 * np.clip((y + 190) / 200, 0, 1) * np.ones_like(turn)
    return _grid_part(np.stack(np.broadcast_arrays(x, y, z), axis=-1), color, light, 0.06)


def _glasses(neutral: NeutralAvatar) -> Part:
    layout = neutral.layout
    front_z = neutral.eye_z + 26.0
    turn = np.linspace(0, 2 * np.pi, 37)
    power = 0.72
    rim_x = 25.0 * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    rim_y = 18.5 * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power - 4.0
    paths = []
    for side in (-1.0, 1.0):
        x = side * (layout.eye_x + 0.5 + rim_x)
        paths.append(np.stack([x, rim_y, front_z - 0.006 * (np.abs(x) - 20) ** 2], axis=-1))
        hinge = layout.eye_x + 25.5
        ear = float(neutral.points[..., 0].max()) + 2.0
        arm_z = np.array([front_z - 0.006 * (hinge - 20) ** 2, 55.0, 25.0, -8.0, -20.0])
        arm_x = np.interp(arm_z, [-20, 30, 90], [ear, ear + 1, hinge]) * side
        arm_y = np.array([4.0, 4.0, 5.0, 6.0, -6.0])
        paths.append(np.stack([arm_x, arm_y, arm_z], axis=-1))
    gap = layout.eye_x - 24.0
    bridge = np.linspace(-1, 1, 7)
    paths.append(np.stack([bridge * gap, 4 + 1.5 * (1 - bridge**2), np.full(7, front_z)], axis=-1))
    pieces = [_tube(path, 1.2) for path in paths]
    offsets = np.cumsum([0] + [len(piece.points) for piece in pieces[:-1]])
    return Part(
        np.concatenate([piece.points for piece in pieces]),
        np.concatenate([piece.normals for piece in pieces]),
        np.concatenate(
            [piece.triangles + start for piece, start in zip(pieces, offsets, strict=True)]
        ).astype(np.int32),
        np.concatenate([piece.color for piece in pieces]),
        0.25,
    )


def _tube(path: Floats, radius: float) -> Part:
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, [0.31, 0.33, 0.89])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(along, side)
    turn = np.linspace(0, 2 * np.pi, 9)[None, :, None]
    normals = side[:, None] * np.cos(turn) + other[:, None] * np.sin(turn)
    grid = path[:, None] + radius * normals
    part = _grid_part(grid, np.array([0.02, 0.02, 0.022]), 1.0, 0.25)
    return Part(part.points, normals.reshape(-1, 3), part.triangles, part.color, 0.25)
