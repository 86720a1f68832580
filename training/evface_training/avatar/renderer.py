"""Renders an avatar with moderngl on EGL: no screen and no GPU needed (Mesa's llvmpipe)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import LEFT_PUPIL, RIGHT_PUPIL
from evface_training.avatar.background import background
from evface_training.avatar.scene import Expression, Light, PinholeCamera, Pose
from evface_training.avatar.shaders import fragment_shader, vertex_shader

if TYPE_CHECKING:
    from typing_extensions import Self

Floats = NDArray[np.floating]

_NEAR, _FAR = 40.0, 4000.0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
#: Identities whose buffers are kept.
_MAX_LOADED = 8
#: A lid that is closed further hides the pupil.
_PUPIL_HIDDEN = 0.6


@dataclass(frozen=True, eq=False)
class RenderedAvatar:
    """One image with exact labels.

    Attributes:
        image: (H, W) float32 linear light in [0, 1], or (H, W, 3) from a renderer in colour.
        landmarks: (98, 2) float32 pixels, centres at integers; they may lie outside the image.
        visible: (98,) bool: inside the image and not hidden.
        depth: (H, W) float32 mm along the optical axis; inf at the background.
        landmark_depth: (98,) float32 mm along the optical axis.
    """

    image: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    visible: NDArray[np.bool_]
    depth: NDArray[np.float32]
    landmark_depth: NDArray[np.float32]
    pose: Pose


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The landmarks of one expression and pose.

    Attributes:
        points: (98, 3) mm, head coordinates.
        normals: (98, 3) of the skin, unit vectors; None if unknown.
        tolerance_mm: (98,) depth by which a surface in front of a point does not hide it.
    """

    points: Floats
    normals: Floats | None
    tolerance_mm: Floats


class LoadedAvatar(Protocol):
    """The buffers of one identity. All methods need the current context of its renderer."""

    @property
    def programs(self) -> tuple[Any, ...]:
        """The shader programs that draw it."""

    def update(self, expression: Expression, pose: Pose) -> Landmarks:
        """Move the mesh and return the landmarks on it."""

    def draw(self) -> None: ...

    def release(self) -> None: ...


IdentityT = TypeVar("IdentityT", bound=Hashable)


class Renderer(ABC, Generic[IdentityT]):
    """Renders avatars of one kind at one size; a context manager. Not for use across threads.

    Args:
        size: of the images.
        color: RGB images instead of luminance.
        oversample: factor on width and height at which the scene is rendered and averaged, 1 to 4.
            Eyes, lips and brows are smooth at 1; an outline that moves by a pixel takes four steps
            at 1 and sixteen at 2, which takes about twice as long.

    Raises:
        ConfigError: `oversample` out of range.
        RuntimeUnavailable: moderngl or EGL is missing.
    """

    def __init__(self, size: SensorSize, *, color: bool = False, oversample: int = 1) -> None:
        if oversample not in (1, 2, 3, 4):
            raise ConfigError("AvatarRenderer.oversample", oversample, "1 to 4")
        self.size, self.color = size, color
        self._context = _create_context()
        self._avatars: OrderedDict[IdentityT, LoadedAvatar] = OrderedDict()
        self._channels = 4 if color else 2
        self._oversample = oversample
        context, shape = self._context, (size.width * oversample, size.height * oversample)
        samples = min(4, context.max_samples)
        self._target = context.framebuffer(
            context.renderbuffer(shape, self._channels, samples=samples, dtype="f2"),
            context.depth_renderbuffer(shape, samples=samples),
        )
        self._resolved = context.framebuffer(
            context.renderbuffer(shape, self._channels, dtype="f2"),
            context.depth_renderbuffer(shape),
        )
        self._back: tuple[object, NDArray[np.float32]] | None = None

    @abstractmethod
    def _load(self, identity: IdentityT) -> LoadedAvatar:
        """Build the buffers of an identity."""

    def _program(self, vertex: str, fragment: str) -> Any:
        return self._context.program(vertex_shader(vertex), fragment_shader(fragment, self.color))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the context; the renderer cannot be used afterwards."""
        self._avatars.clear()
        self._context.release()

    def render(
        self,
        identity: IdentityT,
        expression: Expression,
        pose: Pose,
        camera: PinholeCamera,
        light: Light | None = None,
    ) -> RenderedAvatar:
        """Render one image with its labels; the first of an identity also builds its mesh.

        Raises:
            ConfigError: a camera of another size than the renderer.
        """
        if camera.size != self.size:
            raise ConfigError("camera.size", str(camera.size), f"the renderer's, {self.size}")
        light = light or Light()
        with self._context:  # makes it current: there may be other renderers
            avatar = self._loaded(identity)
            on_head = avatar.update(expression, pose)
            self._set_uniforms(avatar.programs, pose, camera, light)
            image, depth = self._draw(avatar, light)
        in_camera = pose.to_camera(on_head.points)
        landmarks = camera.project(in_camera)
        visible = _uncovered(landmarks, in_camera[:, 2] - on_head.tolerance_mm, depth)
        if on_head.normals is not None:
            visible &= _facing(on_head.normals @ pose.rotation.T, in_camera)
        visible[RIGHT_PUPIL] &= expression.blink_right < _PUPIL_HIDDEN
        visible[LEFT_PUPIL] &= expression.blink_left < _PUPIL_HIDDEN
        return RenderedAvatar(
            image,
            landmarks.astype(np.float32),
            visible,
            depth,
            in_camera[:, 2].astype(np.float32),
            pose,
        )

    def _loaded(self, identity: IdentityT) -> LoadedAvatar:
        if identity not in self._avatars:
            while len(self._avatars) >= _MAX_LOADED:
                self._avatars.popitem(last=False)[1].release()
            self._avatars[identity] = self._load(identity)
        self._avatars.move_to_end(identity)
        return self._avatars[identity]

    def _set_uniforms(
        self, programs: tuple[Any, ...], pose: Pose, camera: PinholeCamera, light: Light
    ) -> None:
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
        self, avatar: LoadedAvatar, light: Light
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return image and depth."""
        context = self._context
        self._target.use()
        self._target.clear(depth=1.0)
        context.enable(context.DEPTH_TEST)
        context.front_face = "cw"  # the image is upside down for OpenGL
        avatar.draw()
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
        """Return (H, W, 3), or (H, W, 1) luminance; the last one is cached."""
        key = (light.background, light.background_level, light.background_seed)
        if self._back is None or self._back[0] != key:
            pixels = background(light, self.size)
            self._back = key, pixels if self.color else pixels @ _LUMINANCE[:, None]
        return self._back[1]


def _uncovered(
    landmarks: Floats, nearest_mm: Floats, depth: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(98,): inside the image, and no surface in its 3 × 3 pixels is all nearer than that depth."""
    height, width = depth.shape
    column, row = np.round(landmarks).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    farthest = np.zeros(len(landmarks))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = depth[np.clip(row + down, 0, height - 1), np.clip(column + right, 0, width - 1)]
            farthest = np.maximum(farthest, near)
    result: NDArray[np.bool_] = inside & (nearest_mm <= farthest)
    return result


def _facing(normals: Floats, in_camera: Floats) -> NDArray[np.bool_]:
    """(98,): the skin faces the camera; points on an outline are seen edge on."""
    sight = -in_camera / np.linalg.norm(in_camera, axis=1, keepdims=True)
    facing: NDArray[np.bool_] = np.einsum("ij,ij->i", normals, sight) > -0.3
    facing[[RIGHT_PUPIL, LEFT_PUPIL]] = True
    return facing


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
