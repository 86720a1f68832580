"""The buffers of our parametric avatar, and its renderer."""

from __future__ import annotations

from typing import Any

import numpy as np

from evface_edge.geometry import SensorSize
from evface_edge.landmarks import CONTOUR, NUM_LANDMARKS
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.landmarks import sample_grid, squint
from evface_training.avatar.layout import EYEBALL_RADIUS, IRIS_RADIUS
from evface_training.avatar.mesh import grid_normals
from evface_training.avatar.model import AvatarModel
from evface_training.avatar.outline import outline_cells
from evface_training.avatar.renderer import Landmarks, Renderer
from evface_training.avatar.scene import Expression, Pose

#: Hair roots, lips and lashes do not hide a point; on the contour, a pixel further inside is many
#: millimetres nearer.
_TOLERANCE_MM = np.full(NUM_LANDMARKS, 5.0)
_TOLERANCE_MM[CONTOUR] = 12.0


class AvatarRenderer(Renderer[AvatarIdentity]):
    """Renders parametric avatars; see `Renderer`."""

    def __init__(self, size: SensorSize, *, color: bool = False, oversample: int = 1) -> None:
        super().__init__(size, color=color, oversample=oversample)
        self._programs = (
            self._program("skin", "skin"),
            self._program("skin", "eyes"),
            self._program("part", "part"),
        )

    def _load(self, identity: AvatarIdentity) -> _LoadedParametric:
        return _LoadedParametric(self._context, self._programs, AvatarModel(identity))


class _LoadedParametric:
    """See `LoadedAvatar`."""

    def __init__(self, context: Any, programs: tuple[Any, Any, Any], model: AvatarModel) -> None:
        self.programs = programs
        self._model, self._context = model, context
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

    def update(self, expression: Expression, pose: Pose) -> Landmarks:
        model = self._model
        moving = np.concatenate([part.reshape(-1, 3) for part in model.skin(expression)], axis=1)
        self._skin_moving.write(moving.astype("f4").tobytes())
        self._part_moving.write(model.moved_parts(expression, pose).astype("f4").tobytes())
        self._set_eyes(expression)
        bare = model.bare_skin(expression)
        cells = model.landmarks.cells(expression)
        cells[CONTOUR] = outline_cells(model.neutral, cells, bare, pose)
        points = model.landmarks.points(expression, bare, cells)
        return Landmarks(points, sample_grid(grid_normals(bare), cells), _TOLERANCE_MM)

    def _set_eyes(self, expression: Expression) -> None:
        neutral, identity = self._model.neutral, self._model.identity
        layout, raised = neutral.layout, squint(expression)
        values: dict[str, tuple[float, ...] | float] = {
            "eye_shape": (layout.eye_x, layout.eye_half, layout.eye_height, layout.eye_slope),
            "eyeball": (neutral.eye_z, EYEBALL_RADIUS, IRIS_RADIUS),
            "lids": (expression.blink_right, expression.blink_left, raised, raised),
            "gaze": tuple(expression.gaze),
            "iris_color": identity.iris,
            "lashes": identity.lashes,
        }
        for name, value in values.items():
            self.programs[1][name].value = value

    def draw(self) -> None:
        self._paint.use(0)
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
