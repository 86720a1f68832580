"""The geometry of one identity: mesh, texture, landmarks and parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_training.avatar.deformation import Deformer, turn_jaw
from evface_training.avatar.hair import hair_volume
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.landmarks import LandmarkModel
from evface_training.avatar.layout import smooth_step
from evface_training.avatar.mesh import build, grid_normals
from evface_training.avatar.parts import build_parts
from evface_training.avatar.scene import Expression, Pose
from evface_training.avatar.texture import paint

Floats = NDArray[np.floating]


class AvatarModel:
    """One identity, independent of the renderer; building it takes under a second."""

    def __init__(self, identity: AvatarIdentity) -> None:
        self.identity = identity
        self.neutral = build(identity)
        self.landmarks = LandmarkModel(self.neutral)
        self.texture = paint(identity, self.neutral)
        self._deformer = Deformer(self.neutral)
        layout, points = self.neutral.layout, self.neutral.points
        self._hair_out = hair_volume(identity, layout, points, self.neutral.angles[None])
        self._hair = self._hair_out[..., None] * grid_normals(self.neutral.points)
        self._parts = build_parts(identity, self.neutral)
        self._last: tuple[Expression, Floats] | None = None

    def bare_skin(self, expression: Expression) -> Floats:
        """Return the skin under the hair (rows, columns, 3), mm, head coordinates."""
        if self._last is None or self._last[0] != expression:
            self._last = (expression, self._deformer.apply(expression))
        return self._last[1]

    def skin(self, expression: Expression) -> tuple[Floats, Floats]:
        """Return the surface to draw, with hair, and its normals (rows, columns, 3)."""
        surface = self.bare_skin(expression) + self._hair
        return surface, grid_normals(surface)

    def skin_attributes(self) -> tuple[Floats, Floats, NDArray[np.int32]]:
        """Return neutral positions, texture coordinates, ambient light and depth in the mouth
        (N, 7); points and normals (N, 6); triangles (T, 3)."""
        neutral = self.neutral
        rows, columns = neutral.points.shape[:2]
        inside = neutral.inside
        drawn = np.cumsum(~inside) - 1.0
        drawn[inside] = neutral.upper_row
        drawn[neutral.lower_row :] -= 1
        v = np.broadcast_to((drawn / drawn[-1])[:, None], (rows, columns))
        u = np.broadcast_to(np.linspace(0, 1, columns), (rows, columns))
        size = self.texture.shape[0]
        place = (np.stack([u, v], axis=-1) * (size - 1) + 0.5) / size
        into = np.zeros((rows, columns))
        hidden = neutral.points[neutral.upper_row][None, :, 2] - neutral.points[..., 2]
        into[inside] = np.clip(hidden[inside] / 30.0, 0, 1)
        light = np.maximum(neutral.occlusion(), 0.75 * (self._hair_out > 3.0))
        fixed = np.concatenate(
            [neutral.points, place, light[..., None], into[..., None]], axis=-1
        ).reshape(-1, 7)
        moving = np.concatenate(self.skin(Expression()), axis=-1).reshape(-1, 6)
        return fixed, moving, neutral.triangles()

    def eye_triangles(self) -> NDArray[np.bool_]:
        """Return (T,): triangles around the eyes, which have their own shader."""
        neutral, layout = self.neutral, self.neutral.layout
        x, y, z = neutral.points.reshape(-1, 3).T
        beside = np.abs(np.abs(x) - layout.eye_x) < 1.3 * layout.eye_half
        near = np.logical_and.reduce([beside, np.abs(y) < 12.5, z > 30])
        result: NDArray[np.bool_] = near[neutral.triangles()].any(axis=1)
        return result

    def part_attributes(self) -> tuple[Floats, Floats, NDArray[np.int32]]:
        """Return colour and gloss (N, 5); points and normals (N, 6); triangles (T, 3)."""
        fixed = [
            np.concatenate([part.color, np.full((len(part.color), 1), part.gloss)], axis=1)
            for part in self._parts
        ]
        starts = np.cumsum([0] + [len(part.points) for part in self._parts[:-1]])
        triangles = [p.triangles + start for p, start in zip(self._parts, starts, strict=True)]
        return (
            np.concatenate(fixed),
            self.moved_parts(Expression(), Pose()),
            np.concatenate(triangles).astype(np.int32),
        )

    def moved_parts(self, expression: Expression, pose: Pose) -> Floats:
        """Return points and normals (N, 6) of all parts, in head coordinates."""
        moved = []
        for part in self._parts:
            points, normals = part.points, part.normals
            if part.follows == "jaw":
                points = turn_jaw(points, np.ones(len(points)), expression.jaw_open)
            elif part.follows == "body":
                back = pose.rotation.T @ Pose(yaw_deg=0.15 * pose.yaw_deg).rotation
                fraction = smooth_step(-190, -80, points[:, 1:2])
                points = fraction * points + (1 - fraction) * (points @ back.T)
                normals = fraction * normals + (1 - fraction) * (normals @ back.T)
            moved.append(np.concatenate([points, normals], axis=1))
        return np.concatenate(moved)
