"""The neutral skin as a grid of vertices, with the inside of the mouth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates

from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.layout import EYEBALL_RADIUS, LID_THICKNESS, Layout
from evface_training.avatar.relief import eyelids, relief
from evface_training.avatar.skull import column_angles, loft, row_levels

Floats = NDArray[np.floating]

#: Rows of the inside of the mouth, between the row of the upper lip and that of the lower one.
BAG_ROWS = 5
_BAG_DEPTH = (6.0, 26.0, 30.0, 26.0, 6.0)
_BAG_HEIGHT = (1.5, 6.0, 0.0, -6.0, -1.5)


@dataclass(frozen=True, eq=False)
class NeutralAvatar:
    """The skin of a neutral avatar.

    Attributes:
        points: (rows, columns, 3) mm, head coordinates; the last column repeats the first.
        angles: (columns,) radians, 0 in front.
        upper_row, lower_row: rows of the upper and the lower lip along the lip line.
        eye_z: z of the centres of both eyeballs.
    """

    layout: Layout
    points: Floats
    angles: Floats
    upper_row: int
    lower_row: int
    eye_z: float

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(rows,): rows of the inside of the mouth."""
        rows = np.arange(len(self.points))
        return (rows > self.upper_row) & (rows < self.lower_row)

    def triangles(self) -> NDArray[np.int32]:
        """(T, 3) indices into the flattened grid, counter-clockwise from outside."""
        return grid_triangles(*self.points.shape[:2])

    def occlusion(self) -> Floats:
        """Return (rows, columns): the fraction of ambient light that reaches the skin, 0 to 1.

        It falls with the depth below the surroundings, in a height map of the face at three scales.
        """
        frontal = grid_normals(self.points)[..., 2]
        skin = ~self.inside[:, None] & (np.abs(self.angles) < 1.45)[None] & (frontal > 0.1)
        near = self.points[skin]
        x, y = np.meshgrid(np.arange(-80.0, 81.0), np.arange(-130.0, 111.0))
        z = LinearNDInterpolator(near[:, :2], near[:, 2])(x, y)
        known = np.isfinite(z)
        filled = np.where(known, z, 0.0)
        trust = np.clip(gaussian_filter(known.astype(float), 6.0) * 2 - 1, 0, 1)
        norms = {scale: gaussian_filter(known.astype(float), scale) for scale in (2.0, 5.0, 11.0)}
        hidden = sum(
            weight
            * np.maximum(gaussian_filter(filled, scale) / (norms[scale] + 1e-3) - filled, 0)
            * trust
            for scale, weight in ((2.0, 0.16), (5.0, 0.085), (11.0, 0.03))
        )
        fraction = np.exp(-np.asarray(hidden))
        at = np.stack([self.points[..., 1] + 130, self.points[..., 0] + 80])
        result = map_coordinates(fraction, at, order=1, mode="nearest")
        facing = np.clip(frontal * 2.5 - 0.2, 0, 1)
        light: Floats = 1 + (result - 1) * facing
        return light


def grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    """Return triangles (T, 3) of a grid, in blocks of columns that share cached vertices."""
    corner = np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)
    blocks = [corner[:, start : start + 24].ravel() for start in range(0, columns - 1, 24)]
    corner = np.concatenate(blocks)
    right, down = corner + 1, corner + columns
    quads = np.stack([corner, down, right, right, down, down + 1], axis=-1)
    return quads.reshape(-1, 3).astype(np.int32)


def grid_normals(points: Floats) -> Floats:
    """Return unit normals (rows, columns, 3) of a grid whose first and last column coincide."""
    along = np.empty_like(points)
    along[:, 1:-1] = points[:, 2:] - points[:, :-2]
    along[:, 0] = along[:, -1] = points[:, 1] - points[:, -2]
    down = np.empty_like(points)
    down[1:-1] = points[2:] - points[:-2]
    down[0], down[-1] = points[1] - points[0], points[-1] - points[-2]
    normal = np.empty_like(points)
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        normal[..., a] = down[..., b] * along[..., c] - down[..., c] * along[..., b]
    length = np.sqrt(np.einsum("rci,rci->rc", normal, normal))
    normal /= np.maximum(length, 1e-9)[..., None]
    for pole, near in ((0, 1), (-1, -2)):  # a row that is one point has no direction
        if length[pole].max() < 1e-9:
            normal[pole] = normal[near].mean(axis=0)
    return normal


def build(identity: AvatarIdentity) -> NeutralAvatar:
    """Build the neutral avatar of an identity, in about 20 ms."""
    layout = Layout.of(identity)
    levels, lip_row = row_levels()
    angles = column_angles()
    points = loft(identity, layout, levels, angles)
    _bend_rows_to_lips(points, layout, lip_row)
    x, y = points[..., 0], points[..., 1]
    front = np.clip(np.cos(angles) * 1.8 - 0.1, 0, 1)[None] ** 1.5
    front = front * (levels < 17)[:, None]
    points[..., 2] += relief(identity, layout, x, y) * front
    eye_z = _eye_depth(layout, points)
    raised = eyelids(layout, x, y, points[..., 2], eye_z)
    points[..., 2] = np.where(front > 0.3, raised, points[..., 2])
    points = _with_bag(points, layout, lip_row)
    return NeutralAvatar(layout, points, angles, lip_row, lip_row + BAG_ROWS + 1, eye_z)


def _bend_rows_to_lips(points: Floats, layout: Layout, lip_row: int) -> None:
    """Move rows near the mouth so that `lip_row` follows the lip line."""
    x, y = points[..., 0], points[..., 1]
    shift = layout.lip_line_y(x[lip_row]) - y[lip_row]
    s = np.abs(x[lip_row]) / layout.mouth_half
    shift = shift * np.clip(1.8 - s, 0, 1) * (np.abs(x[lip_row]) < 60)
    distance = y - y[lip_row][None]
    front = (np.arange(len(y)) > 20)[:, None]
    points[..., 1] += shift[None] * np.exp(-((distance / 10.0) ** 2)) * front


def _eye_depth(layout: Layout, points: Floats) -> float:
    """Return z of the eyeballs' centres: the lids stand out a little from brow and cheek."""
    near = np.hypot(np.abs(points[..., 0]) - layout.eye_x, points[..., 1] - 0.0) < 2.5
    near &= points[..., 2] > 30
    return float(points[near][:, 2].mean()) + 3.0 - EYEBALL_RADIUS - LID_THICKNESS


def _with_bag(points: Floats, layout: Layout, lip_row: int) -> Floats:
    lips = points[lip_row]
    s = np.abs(lips[:, 0]) / layout.mouth_half
    open_part = np.where(lips[:, 2] > 40, np.sqrt(np.maximum(1 - s**2, 0)), 0.0)
    bag = np.repeat(lips[None], BAG_ROWS, axis=0)
    for row, (depth, height) in enumerate(zip(_BAG_DEPTH, _BAG_HEIGHT, strict=True)):
        bag[row, :, 2] -= depth * open_part
        bag[row, :, 1] += height * open_part
    return np.concatenate([points[: lip_row + 1], bag, points[lip_row:]])
