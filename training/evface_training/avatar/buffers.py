"""The meshes and the texture of one identity, where OpenGL draws them from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_training.avatar.model import AvatarModel
from evface_training.avatar.scene import Expression, Pose


class LoadedAvatar:
    """The buffers of one identity. Make and use it while its context is current."""

    def __init__(self, context: Any, programs: tuple[Any, Any, Any], model: AvatarModel):
        self.model = model
        self._context = context
        fixed, moving, triangles = model.skin_attributes()
        self._skin_moving = context.buffer(moving.astype("f4").tobytes(), dynamic=True)
        skin_fixed = context.buffer(fixed.astype("f4").tobytes())
        around_eyes = model.eye_triangles()
        self._meshes = [
            context.vertex_array(
                program,
                [
                    (self._skin_moving, "3f 3f", "in_position", "in_normal"),
                    (skin_fixed, *rest),
                ],
                context.buffer(triangles[chosen].astype("i4").tobytes()),
            )
            for program, chosen, rest in (
                (programs[0], ~around_eyes, ("12x 4f", "in_texture")),
                (programs[1], around_eyes, ("3f 4f", "in_rest", "in_texture")),
            )
        ]
        self._paint = context.texture(
            model.texture.shape[1::-1], 4, np.round(model.texture * 255).astype("u1").tobytes()
        )
        self._paint.build_mipmaps()
        self._paint.filter = (context.LINEAR_MIPMAP_LINEAR, context.LINEAR)
        fixed, moving, triangles = model.part_attributes()
        self._part_moving = context.buffer(moving.astype("f4").tobytes(), dynamic=True)
        self._part_mesh = context.vertex_array(
            programs[2],
            [
                (self._part_moving, "3f 3f", "in_position", "in_normal"),
                (context.buffer(fixed.astype("f4").tobytes()), "4f 1f", "in_color", "in_gloss"),
            ],
            context.buffer(triangles.astype("i4").tobytes()),
        )

    def update(
        self,
        skin: NDArray[np.floating],
        normals: NDArray[np.floating],
        expression: Expression,
        pose: Pose,
    ) -> None:
        moving = np.concatenate([skin.reshape(-1, 3), normals.reshape(-1, 3)], axis=1)
        self._skin_moving.write(moving.astype("f4").tobytes())
        self._part_moving.write(self.model.moved_parts(expression, pose).astype("f4").tobytes())

    def draw(self) -> None:
        self._paint.use(0)
        self._context.front_face = "cw"  # the image is upside down for OpenGL
        self._context.enable(self._context.CULL_FACE)
        for mesh in self._meshes:
            mesh.render()
        self._context.disable(self._context.CULL_FACE)
        self._part_mesh.render()

    def release(self) -> None:
        for resource in (*self._meshes, self._part_mesh, self._paint):
            resource.release()
        self._skin_moving.release()
        self._part_moving.release()
