"""The ICT head (USC Institute for Creative Technologies, MIT), from the user's own copy of it.

It takes the same expressions, poses, cameras and lights as the parametric avatar, and gives the
same labels. The file holds a neutral mesh in centimetres (x to the subject's left, y up, z
forward), identity and expression shapes as bytes with a scale each, and the vertices of the 68
points of iBUG.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import LEFT_PUPIL, RIGHT_PUPIL
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.renderer import Landmarks, Renderer
from evface_training.avatar.scene import Expression, Pose
from evface_training.data.schemes import from_68

Floats = NDArray[np.floating]

_SHAPE_ARRAYS = ("identity_q8", "identity_scale", "expression_q8", "expression_scale")
_ARRAYS = ("neutral", *_SHAPE_ARRAYS, "expression_names", "tri", "lm68")
_MM = 10.0
#: The origin of head coordinates lies this far behind the plane of the eyes' corners.
_BEHIND_EYES_MM = 80.0
_IRIS_MM = 5.8
_TOLERANCE_MM = 6.0
#: Each field of Expression as a sum of the file's shapes: (shape, weight).
_SHAPES: dict[str, tuple[tuple[str, float], ...]] = {
    "jaw_open": (("jawOpen", 0.7),),
    "smile": (("mouthSmile_L", 1.0), ("mouthSmile_R", 1.0)),
    "-smile": (("mouthFrown_L", 1.0), ("mouthFrown_R", 1.0)),
    "pucker": (("mouthPucker", 1.0),),
    "lips_apart": (
        ("mouthLowerDown_L", 0.7),
        ("mouthLowerDown_R", 0.7),
        ("mouthUpperUp_L", 0.6),
        ("mouthUpperUp_R", 0.6),
    ),
    "brow_right": (("browOuterUp_R", 1.0), ("browInnerUp_R", 0.8)),
    "brow_left": (("browOuterUp_L", 1.0), ("browInnerUp_L", 0.8)),
    "-brow_right": (("browDown_R", 1.0),),
    "-brow_left": (("browDown_L", 1.0),),
    "frown": (("browDown_R", 0.7), ("browDown_L", 0.7)),
    "blink_right": (("eyeBlink_R", 1.0),),
    "blink_left": (("eyeBlink_L", 1.0),),
}


@dataclass(frozen=True)
class IctIdentity:
    """Shape and appearance of one ICT avatar.

    Attributes:
        coefficients: of the identity shapes, each about N(0, 1).
        appearance: an identity of the parametric avatar, for the colours of skin, lips, iris, hair.
    """

    coefficients: tuple[float, ...]
    appearance: AvatarIdentity


class IctAvatar:
    """The mesh of the file.

    Raises:
        ConfigError: a missing file, or arrays that do not fit.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise ConfigError(
                "ICT head", str(path), f"arrays {', '.join(_ARRAYS)} ({error})"
            ) from None
        vertices = len(arrays["neutral"])
        if arrays["lm68"].shape != (68,) or arrays["identity_q8"].shape[1:] != (vertices, 3):
            raise ConfigError("ICT head", str(path), "68 landmarks and shapes of every vertex")
        names = [str(name) for name in arrays["expression_names"]]
        missing = {n for parts in _SHAPES.values() for n, _ in parts} - set(names)
        if missing:
            raise ConfigError("ICT head", str(path), f"expressions {', '.join(sorted(missing))}")
        self._row = {name: index for index, name in enumerate(names)}
        self._neutral = arrays["neutral"].astype(np.float64)
        self._identities, self._identity_scale = arrays["identity_q8"], arrays["identity_scale"]
        self._expressions, self._expression_scale = (
            arrays["expression_q8"],
            arrays["expression_scale"],
        )
        self.lm68: NDArray[np.int64] = arrays["lm68"].astype(np.int64)
        self._split(arrays["tri"])

    def _split(self, triangles: NDArray[np.int32]) -> None:
        """Separate the skin from the eyeballs; drop the transparent shells in front of those."""
        edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
        count = len(self._neutral)
        graph = coo_matrix((np.ones(len(edges)), edges.T), (count, count))
        _, part = connected_components(graph, directed=False)
        sizes = np.bincount(part)
        self._eyes = []
        dropped = np.zeros(count, bool)
        for side in (-1, 1):  # the subject's right, then left
            eye = (self.lm68[36:42], self.lm68[42:48])[int(side > 0)]
            near = self._neutral[eye].mean(axis=0)
            balls = [
                index
                for index in range(len(sizes))
                if index != int(np.argmax(sizes))
                and np.linalg.norm(self._neutral[part == index].mean(axis=0) - near) < 2.5
            ]
            if not balls:
                raise ConfigError("ICT head", "no eyeballs", "a mesh with two of them")
            # The smaller of two shells about one centre is the eyeball.
            balls.sort(key=lambda index: float(np.ptp(self._neutral[part == index][:, 0])))
            self._eyes.append(np.flatnonzero(part == balls[0]))
            for index in balls[1:]:
                dropped |= part == index
        self.triangles: NDArray[np.int32] = triangles[~dropped[triangles[:, 0]]]

    def sample_identity(self, rng: np.random.Generator) -> IctIdentity:
        coefficients = np.clip(0.8 * rng.standard_normal(len(self._identities)), -2, 2)
        return IctIdentity(tuple(coefficients.tolist()), AvatarIdentity.sample(rng))

    def neutral(self, identity: IctIdentity) -> Floats:
        """Vertices (V, 3), mm, head coordinates."""
        weights = (
            np.array(identity.coefficients) * self._identity_scale[: len(identity.coefficients)]
        )
        shape = np.tensordot(weights, self._identities[: len(weights)].astype(np.float32), 1)
        points = (self._neutral + shape) * _MM
        corners = points[self.lm68[[36, 39, 42, 45]]].mean(axis=0)
        result: Floats = points - (0.0, corners[1], corners[2] - _BEHIND_EYES_MM)
        return result

    def moved(self, neutral: Floats, expression: Expression) -> tuple[Floats, Floats]:
        """Return vertices (V, 3) and pupils (2, 3), right then left; mm, head coordinates."""
        points = neutral.copy()
        for name, parts in _SHAPES.items():
            value = getattr(expression, name.lstrip("-"))
            weight = max(-value if name.startswith("-") else value, 0.0)
            for shape, fraction in parts if weight else ():
                row = self._row[shape]
                points += self._expressions[row] * (
                    weight * fraction * float(self._expression_scale[row]) * _MM
                )
        pupils = np.empty((2, 3))
        gaze = expression.gaze
        for index, ball in enumerate(self._eyes):
            center = (neutral[ball].min(axis=0) + neutral[ball].max(axis=0)) / 2
            turn = _rotation_to(gaze)
            points[ball] = (neutral[ball] - center) @ turn.T + center
            forward = float((neutral[ball] - center)[:, 2].max())
            pupils[index] = center + gaze * forward
        return points, pupils

    def colors(self, neutral: Floats, appearance: AvatarIdentity) -> Floats:
        """(V, 5): RGB reflectance, ambient light, gloss."""
        colors = np.empty((len(neutral), 5))
        colors[:, :3], colors[:, 3], colors[:, 4] = appearance.skin, 1.0, 0.06
        rng = np.random.default_rng(appearance.texture_seed)
        waves = rng.normal(0, 0.06, (12, 3))
        mottle = sum(np.sin(neutral @ wave * (1 + k / 3)) for k, wave in enumerate(waves))
        colors[:, :3] *= (1 + 0.025 * np.asarray(mottle))[:, None]
        skin68 = neutral[self.lm68]
        lips = np.concatenate([skin68[48:60], skin68[60:68], (skin68[49:54] + skin68[61:66]) / 2])
        _tint(colors, neutral, lips, np.array(appearance.lips), 3.5)
        for brow in (skin68[17:22], skin68[22:27]):
            between = [(1 - s) * brow[:-1] + s * brow[1:] for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
            line = np.concatenate(between)
            _tint(
                colors,
                neutral,
                line,
                np.array(appearance.hair),
                0.45 * appearance.brow_thickness_mm,
            )
        # The socket of the mouth: well behind the lips, between the corners.
        mouth = skin68[48:60]
        margin = np.array([0, 12, 0])
        low, high = mouth.min(axis=0) - margin, mouth.max(axis=0) + margin
        within = ((neutral > low) & (neutral < high))[:, :2].all(axis=1)
        depth = skin68[60:68, 2].min() - 6.0 - neutral[:, 2]
        colors[within & (depth > 0) & (neutral[:, 2] > 0), :3] = (0.12, 0.03, 0.03)
        top = neutral[:, 1] > appearance.forehead_height_mm
        behind = neutral[:, 2] < -20.0
        if appearance.hair_style != "bald":
            colors[(top | (behind & (neutral[:, 1] > -40))), :3] = appearance.hair
        for ball in self._eyes:
            center = (neutral[ball].min(axis=0) + neutral[ball].max(axis=0)) / 2
            offset = neutral[ball] - center
            away = np.hypot(offset[:, 0], offset[:, 1])
            front = offset[:, 2] > 0
            colors[ball, :3], colors[ball, 4] = (0.75, 0.72, 0.70), 0.3
            colors[ball[front & (away < _IRIS_MM)], :3] = appearance.iris
            colors[ball[front & (away < 0.4 * _IRIS_MM)], :3] = 0.01
        return colors


def _rotation_to(direction: Floats) -> Floats:
    """Return the shortest rotation (3, 3) of the forward axis to a direction."""
    x, y, z = direction
    cross = np.array([[0, 0, x], [0, 0, y], [-x, -y, 0]])
    result: Floats = np.eye(3) + cross + cross @ cross / (1 + z)
    return result


def _tint(colors: Floats, points: Floats, around: Floats, color: Floats, reach_mm: float) -> None:
    distance = np.linalg.norm(points[:, None] - around[None], axis=-1).min(axis=1)
    fraction = np.clip(1.5 - distance / reach_mm, 0, 1)[:, None]
    colors[:, :3] = colors[:, :3] * (1 - fraction) + color * fraction


class IctRenderer(Renderer[IctIdentity]):
    """Renders ICT avatars; see `Renderer`. Contour points are those of the mesh, lower brows are
    guesses.

    Args:
        path: of the user's copy.

    Raises:
        ConfigError: a missing file, or arrays that do not fit.
    """

    def __init__(
        self, size: SensorSize, path: Path, *, color: bool = False, oversample: int = 1
    ) -> None:
        self.avatar = IctAvatar(path)
        super().__init__(size, color=color, oversample=oversample)
        self._part = self._program("part", "part")

    def _load(self, identity: IctIdentity) -> _LoadedIct:
        return _LoadedIct(self._context, self._part, self.avatar, identity)


class _LoadedIct:
    """See `LoadedAvatar`."""

    def __init__(
        self, context: Any, program: Any, avatar: IctAvatar, identity: IctIdentity
    ) -> None:
        self.programs = (program,)
        self._context, self._avatar = context, avatar
        self._neutral = avatar.neutral(identity)
        colors = avatar.colors(self._neutral, identity.appearance).astype("f4")
        self._moving = context.buffer(reserve=len(self._neutral) * 6 * 4, dynamic=True)
        self._mesh = context.vertex_array(
            program,
            [
                (self._moving, "3f 3f", "in_position", "in_normal"),
                (context.buffer(colors.tobytes()), "4f 1f", "in_color", "in_gloss"),
            ],
            context.buffer(avatar.triangles.astype("i4").tobytes()),
        )
        # (V, T): which triangles meet in each vertex.
        rows = avatar.triangles.ravel()
        columns = np.repeat(np.arange(len(avatar.triangles)), 3)
        shape = (len(self._neutral), len(avatar.triangles))
        self._corners: csr_matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), shape)

    def update(self, expression: Expression, pose: Pose) -> Landmarks:
        points, pupils = self._avatar.moved(self._neutral, expression)
        a, b, c = (points[self._avatar.triangles[:, k]] for k in range(3))
        normals = self._corners @ np.cross(b - a, c - a)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        self._moving.write(np.concatenate([points, normals], axis=1).astype("f4").tobytes())
        landmarks = from_68(points[self._avatar.lm68])[0].astype(np.float64)
        landmarks[[RIGHT_PUPIL, LEFT_PUPIL]] = pupils
        return Landmarks(landmarks, None, np.full(len(landmarks), _TOLERANCE_MM))

    def draw(self) -> None:
        self._context.disable(self._context.CULL_FACE)
        self._mesh.render()

    def release(self) -> None:
        self._mesh.release()
        self._moving.release()
