"""Renders a head with moderngl on EGL: no screen and no GPU needed (Mesa's llvmpipe)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import CONTOUR
from evface_training.avatar import shaders
from evface_training.avatar.background import background
from evface_training.avatar.buffers import LoadedAvatar
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.landmarks import eyeballs, squint
from evface_training.avatar.layout import EYEBALL_RADIUS, IRIS_RADIUS
from evface_training.avatar.model import AvatarModel
from evface_training.avatar.outline import outline_cells
from evface_training.avatar.scene import Expression, Light, PinholeCamera, Pose
from evface_training.avatar.visibility import visible_points

Contour = Literal["skin", "outline"]

_NEAR, _FAR = 40.0, 4000.0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class RenderedAvatar:
    """One image and its exact labels.

    Attributes:
        image: (H, W) float32 linear light in [0, 1], or (H, W, 3) where colour was asked for.
        landmarks: (98, 2) float32 pixels, centres at integers; outside the image too.
        visible: (98,) bool: inside the image and hidden by nothing.
        depth: (H, W) float32 mm along the optical axis; inf where the background is.
        landmark_depth: (98,) float32 mm along the optical axis.
    """

    image: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    visible: NDArray[np.bool_]
    depth: NDArray[np.float32]
    landmark_depth: NDArray[np.float32]
    pose: Pose


class Drawable(Protocol):
    def draw(self) -> None: ...


class AvatarRenderer:
    """Renders avatars at one size; a context manager. Use it from the thread that made it.

    Args:
        size: of the images.
        color: RGB images instead of luminance.
        oversample: renders at so many times the width and height and averages, 1 to 4. Eyes,
            lips and brows are smooth at 1; an outline that moves less than a pixel a frame is
            four steps at 1 and sixteen at 2, which takes about twice as long.
        antialias: four samples to a pixel of the render; without, outlines are jagged and Mesa
            takes less than half the time.

    Raises:
        ConfigError: `oversample` out of range.
        RuntimeUnavailable: no moderngl, or no EGL on this machine.
    """

    def __init__(
        self,
        size: SensorSize,
        *,
        color: bool = False,
        oversample: int = 1,
        antialias: bool = True,
    ) -> None:
        if oversample not in (1, 2, 3, 4):
            raise ConfigError("AvatarRenderer.oversample", oversample, "1 to 4")
        self.size, self.color = size, color
        self._context = _create_context()
        self._models: OrderedDict[AvatarIdentity, LoadedAvatar] = OrderedDict()
        context = self._context
        self._skin, self._eyes, self._part = (
            context.program(vertex, shaders.fragment(body, color))
            for vertex, body in (
                (shaders.SKIN_VERTEX, shaders.SKIN_FRAGMENT),
                (shaders.SKIN_VERTEX, shaders.EYES_FRAGMENT),
                (shaders.PART_VERTEX, shaders.PART_FRAGMENT),
            )
        )
        self._channels = 4 if color else 2
        self._oversample = oversample
        shape = (size.width * oversample, size.height * oversample)
        samples = min(4, context.max_samples) if antialias else 0
        self._target = context.framebuffer(
            context.renderbuffer(shape, self._channels, samples=samples, dtype="f2"),
            context.depth_renderbuffer(shape, samples=samples),
        )
        self._resolved = context.framebuffer(
            context.renderbuffer(shape, self._channels, dtype="f2"),
            context.depth_renderbuffer(shape),
        )
        self._back: tuple[object, NDArray[np.float32]] | None = None

    def __enter__(self) -> AvatarRenderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the context; the renderer cannot be used after it."""
        self._models.clear()
        self._context.release()

    def render(
        self,
        identity: AvatarIdentity,
        expression: Expression,
        pose: Pose,
        camera: PinholeCamera,
        light: Light | None = None,
        *,
        contour: Contour = "skin",
    ) -> RenderedAvatar:
        """One image with its labels; the first of an identity builds its mesh and texture.

        Args:
            contour: "skin" keeps the 33 contour points on the same skin, hidden when it turns
                away; "outline" lets them slide to the visible edge of the face, as the
                annotators of 300-W and WFLW place them.

        Raises:
            ConfigError: a camera of another size than the renderer, or an unknown contour.
        """
        if contour not in ("skin", "outline"):
            raise ConfigError("contour", contour, "skin or outline")
        if camera.size != self.size:
            raise ConfigError("camera.size", str(camera.size), f"the renderer's, {self.size}")
        light = light or Light()
        with self._context:  # makes it current: there may be other renderers
            loaded = self._loaded(identity)
            self._set_scene(loaded, expression, pose, camera, light)
            loaded.update(*loaded.model.skin(expression), expression, pose)
            image, depth = self._draw(loaded, light)
        bare, placing = loaded.model.bare_skin(expression), loaded.model.landmarks
        cells = placing.cells(expression)
        if contour == "outline":
            cells[CONTOUR] = outline_cells(loaded.model.head, cells, bare, pose)
        points = placing.points(expression, bare, cells)
        in_camera = pose.to_camera(points)
        landmarks = camera.project(in_camera)
        visible = visible_points(loaded.model, expression, pose, cells, in_camera, landmarks, depth)
        return RenderedAvatar(
            image,
            landmarks.astype(np.float32),
            visible,
            depth,
            in_camera[:, 2].astype(np.float32),
            pose,
        )

    def _loaded(self, identity: AvatarIdentity) -> LoadedAvatar:
        if identity not in self._models:
            while len(self._models) >= 8:
                self._models.popitem(last=False)[1].release()
            self._models[identity] = LoadedAvatar(
                self._context, (self._skin, self._eyes, self._part), AvatarModel(identity)
            )
        self._models.move_to_end(identity)
        return self._models[identity]

    def _set_scene(
        self,
        loaded: LoadedAvatar,
        expression: Expression,
        pose: Pose,
        camera: PinholeCamera,
        light: Light,
    ) -> None:
        self._place((self._skin, self._eyes, self._part), pose, camera, light)
        head, identity = loaded.model.head, loaded.model.identity
        layout = head.layout
        _, gaze = eyeballs(head, expression)
        raised = squint(expression)
        eyes: dict[str, tuple[float, ...] | float] = {
            "eye_shape": (layout.eye_x, layout.eye_half, layout.eye_height, layout.eye_slope),
            "eyeball": (head.eye_z, EYEBALL_RADIUS, IRIS_RADIUS),
            "lids": (expression.blink_right, expression.blink_left, raised, raised),
            "gaze": tuple(gaze),
            "iris_color": identity.iris,
            "lashes": identity.lashes,
        }
        for name, value in eyes.items():
            self._eyes[name].value = value

    def _place(
        self, programs: tuple[Any, ...], pose: Pose, camera: PinholeCamera, light: Light
    ) -> None:
        """Where the head stands, and the lamp."""
        rotation, translation = pose.rotation, pose.translation
        values: dict[str, tuple[float, ...] | float] = {
            "rotation": tuple(rotation.T.ravel()),
            "translation": tuple(translation),
            "scale": (
                2 * camera.focal_px / self.size.width,
                2 * camera.focal_px / self.size.height,
            ),
            "lamp": tuple(rotation.T @ light.direction),
            "up": tuple(rotation.T @ np.array([0.0, -1.0, 0.0])),
            "eye_point": tuple(-rotation.T @ translation),
            "key": light.key,
            "ambient": light.ambient,
        }
        for program in programs:
            for name, value in values.items():
                program[name].value = value

    def _draw(
        self, loaded: Drawable, light: Light
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        context = self._context
        self._target.use()
        self._target.clear(depth=1.0)
        context.enable(context.DEPTH_TEST)
        loaded.draw()
        context.copy_framebuffer(self._resolved, self._target)
        height, width, times = self.size.height, self.size.width, self._oversample
        raw = self._resolved.read(components=self._channels, dtype="f2")
        pixels = np.frombuffer(raw, np.float16).astype(np.float32)
        pixels = pixels.reshape(height, times, width, times, -1).mean(axis=(1, 3))
        image = pixels[..., :-1] + (1 - pixels[..., -1:]) * self._background(light)
        if not self.color:
            image = image[..., 0]
        raw = self._resolved.read(components=1, attachment=-1, dtype="f4")
        stored = np.frombuffer(raw, np.float32).reshape(height * times, width * times)
        stored = stored[times // 2 :: times, times // 2 :: times]
        depth = _NEAR * _FAR / (_FAR - stored * (_FAR - _NEAR))
        return image, np.where(stored >= 1.0, np.inf, depth).astype(np.float32)

    def _background(self, light: Light) -> NDArray[np.float32]:
        """(H, W, 3), or (H, W, 1) luminance; the last one is kept."""
        wanted = (light.background, light.background_level, light.background_seed)
        if self._back is None or self._back[0] != wanted:
            pixels = background(light, self.size)
            self._back = wanted, pixels if self.color else pixels @ _LUMINANCE[:, None]
        return self._back[1]


def _create_context() -> Any:
    try:
        import moderngl
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            "rendering avatars needs moderngl: pip install 'evface-edge[train]'"
        ) from error
    try:
        egl: Any = "egl"
        return moderngl.create_context(standalone=True, backend=egl, require=330)
    except Exception as error:  # moderngl raises bare Exception and ImportError here
        raise RuntimeUnavailable(
            f"rendering avatars needs EGL, and it did not start ({error}): "
            "apt-get install -y libegl1 libgl1-mesa-dri libglvnd0"
        ) from error
