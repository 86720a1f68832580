"""The ICT avatar: a stand-in in the layout of its file, and the real file where it exists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize
from evface_training.avatar import Expression, Light, PinholeCamera, Pose
from evface_training.avatar.ict import _SHAPES, IctAvatar, IctRenderer
from evface_training.simulation.synthetic import SyntheticAvatarSource

SIZE = SensorSize(160, 160)
CAMERA = PinholeCamera(SIZE, 300.0)


def ball(
    center: tuple[float, float, float], radii: tuple[float, float, float], rows: int = 24
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Vertices and outward triangles of an ellipsoid, in closed rings."""
    down, around = np.meshgrid(
        np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, 2 * rows), indexing="ij"
    )
    unit = np.stack(
        [np.sin(down) * np.sin(around), np.cos(down), np.sin(down) * np.cos(around)], -1
    )
    corner = (np.arange(rows - 1)[:, None] * 2 * rows + np.arange(2 * rows - 1)).ravel()
    quads = [corner, corner + 2 * rows, corner + 1, corner + 1, corner + 2 * rows]
    triangles = np.stack([*quads, corner + 2 * rows + 1], -1).reshape(-1, 3)
    points = (unit * radii + center).reshape(-1, 3)
    return points.astype(np.float32), triangles.astype(np.int32)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An egg with two eyeballs and their shells; jawOpen moves everything low down by 2 cm."""
    parts = [
        ball((0, 0, 0), (7.5, 10, 9), 40),
        *(ball((x, 3.5, 7.0), (r, r, r)) for x in (-3.2, 3.2) for r in (1.45, 1.3)),
    ]
    starts = np.cumsum([0, *(len(points) for points, _ in parts[:-1])])
    neutral = np.concatenate([points for points, _ in parts])
    triangles = np.concatenate([t + start for (_, t), start in zip(parts, starts, strict=True)])
    skin = parts[0][0]
    # 68 places on the front of the egg, roughly as on a face.
    places = np.zeros((68, 2))
    angle = np.linspace(np.pi, 2 * np.pi, 17)
    places[:17] = np.stack([6 * np.cos(angle), 2 + 8 * np.sin(angle)], -1)
    places[17:27] = np.stack([np.linspace(-5, 5, 10), np.full(10, 5.0)], -1)
    places[27:31] = np.stack([np.zeros(4), np.linspace(3.5, 0, 4)], -1)
    places[31:36] = np.stack([np.linspace(-1.2, 1.2, 5), np.full(5, -0.8)], -1)
    for first, x in ((36, -3.2), (42, 3.2)):
        turn = np.radians([180, 120, 60, 0, -60, -120])
        places[first : first + 6] = np.stack([x + 1.4 * np.cos(turn), 3.5 + 0.6 * np.sin(turn)], -1)
    for first, count, size in ((48, 12, 2.4), (60, 8, 2.0)):
        turn = np.pi - 2 * np.pi * np.arange(count) / count
        places[first : first + count] = np.stack(
            [size * np.cos(turn), -4 + 0.4 * size * np.sin(turn)], -1
        )
    front = np.flatnonzero(skin[:, 2] > 0)
    away = np.linalg.norm(skin[front][None, :, :2] - places[:, None], axis=-1)
    names = sorted({name for shapes in _SHAPES.values() for name, _ in shapes})
    expressions = np.zeros((len(names), len(neutral), 3), np.int8)
    expressions[names.index("jawOpen"), : len(skin), 1] = np.where(skin[:, 1] < -3.9, -100, 0)
    identities = np.zeros((2, len(neutral), 3), np.int8)
    identities[0, : len(skin), 0] = np.round(50 * np.tanh(skin[:, 0]))
    path = tmp_path_factory.mktemp("ict") / "head.npz"
    np.savez(
        path,
        neutral=neutral,
        identity_q8=identities,
        identity_scale=np.full(2, 0.01, np.float32),
        expression_q8=expressions,
        expression_scale=np.full(len(names), 0.02, np.float32),
        expression_names=np.array(names),
        tri=triangles,
        lm68=front[away.argmin(1)],
    )
    return path


def test_identity_and_expression_move_the_vertices_by_their_shapes(stand_in: Path) -> None:
    avatar = IctAvatar(stand_in)
    rng = np.random.default_rng(0)
    identity = avatar.sample_identity(rng)
    neutral = avatar.neutral(identity)
    plain = avatar.neutral(type(identity)((0.0, 0.0), identity.appearance))
    width = np.abs(neutral[avatar.lm68[[0, 16]], 0])
    np.testing.assert_allclose(
        width - np.abs(plain[avatar.lm68[[0, 16]], 0]), 5.0 * identity.coefficients[0], atol=1e-3
    )
    moved, _ = avatar.moved(neutral, Expression(jaw_open=1.0))
    np.testing.assert_allclose((moved - neutral)[avatar.lm68[8]], [0, -14, 0], atol=1e-3)
    np.testing.assert_allclose((moved - neutral)[avatar.lm68[27]], 0, atol=1e-6)


def test_the_shells_in_front_of_the_eyes_are_not_drawn(stand_in: Path) -> None:
    avatar = IctAvatar(stand_in)
    with np.load(stand_in) as stored:
        assert len(avatar.triangles) < len(stored["tri"])
    drawn = np.unique(avatar.triangles)
    eyes = np.concatenate(avatar._eyes)
    assert np.isin(eyes, drawn).all()
    radii = [np.ptp(avatar._neutral[ball][:, 0]) / 2 for ball in avatar._eyes]
    np.testing.assert_allclose(radii, 1.3, atol=0.01)


def test_pupils_go_where_the_eyes_look(stand_in: Path) -> None:
    avatar = IctAvatar(stand_in)
    neutral = avatar.neutral(avatar.sample_identity(np.random.default_rng(1)))
    looking = Expression(gaze_yaw_deg=20.0, gaze_pitch_deg=-10.0)
    moved, pupils = avatar.moved(neutral, looking)
    for index, vertices in enumerate(avatar._eyes):
        front = vertices[np.argmax(neutral[vertices, 2])]
        center = (neutral[vertices].min(0) + neutral[vertices].max(0)) / 2
        np.testing.assert_allclose(pupils[index] - center, 13.0 * looking.gaze, atol=0.2)
        np.testing.assert_allclose(moved[front], pupils[index], atol=1.5)


def test_landmarks_lie_on_the_rendered_surface(stand_in: Path) -> None:
    with IctRenderer(SIZE, stand_in) as renderer:
        identity = renderer.avatar.sample_identity(np.random.default_rng(2))
        for yaw in (0.0, 35.0):
            shown = renderer.render(identity, Expression(), Pose(yaw_deg=yaw), CAMERA, Light())
            inner = np.r_[51:60, 76:96]
            seen = inner[shown.visible[inner]]
            assert len(seen) > 15
            column, row = np.round(shown.landmarks[seen]).astype(int).T
            np.testing.assert_allclose(
                shown.depth[row, column], shown.landmark_depth[seen], atol=3.0
            )
        away = renderer.render(identity, Expression(), Pose(yaw_deg=70.0), CAMERA, Light())
        assert away.visible[20:32].sum() < away.visible[1:13].sum()  # the far side of the contour


def test_colour_and_grey(stand_in: Path) -> None:
    with IctRenderer(SIZE, stand_in, color=True) as renderer:
        identity = renderer.avatar.sample_identity(np.random.default_rng(3))
        shown = renderer.render(identity, Expression(), Pose(), CAMERA, Light())
        assert shown.image.shape == (160, 160, 3)
        assert 0 <= shown.image.min() < shown.image.max() <= 1
        with pytest.raises(ConfigError) as error:
            renderer.render(identity, Expression(), Pose(), PinholeCamera(SensorSize(9, 9), 10.0))
        assert error.value.field == "camera.size"


def test_a_recording_by_uri(stand_in: Path) -> None:
    source = SyntheticAvatarSource.from_uri(
        f"synthetic:avatar?ict={stand_in}&seconds=0.01&width=96&height=72&speed=slow"
    )
    labelled = list(source)
    assert len(labelled) == 3
    assert labelled[0].frame.log_intensity.shape == (72, 96)
    assert labelled[0].points is not None
    assert labelled[0].points.shape == (98, 2)


def test_wrong_files_are_rejected(tmp_path: Path, stand_in: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.npz"):
        IctAvatar(tmp_path / "none.npz")
    with np.load(stand_in) as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "few.npz", **{**arrays, "lm68": arrays["lm68"][:51]})
    with pytest.raises(ConfigError, match=r"few\.npz"):
        IctAvatar(tmp_path / "few.npz")
    names = np.array([name.replace("jawOpen", "jaw") for name in arrays["expression_names"]])
    np.savez(tmp_path / "names.npz", **{**arrays, "expression_names": names})
    with pytest.raises(ConfigError, match="jawOpen"):
        IctAvatar(tmp_path / "names.npz")


def test_the_real_ict_head(shared_data: Path) -> None:
    path = shared_data / "head" / "ict_reduced_q8_50id_53ex.npz"
    with IctRenderer(SIZE, path) as renderer:
        identity = renderer.avatar.sample_identity(np.random.default_rng(4))
        still = renderer.render(identity, Expression(), Pose(), CAMERA, Light())
        opened = renderer.render(identity, Expression(jaw_open=1.0), Pose(), CAMERA, Light())
    assert still.visible[33:].mean() > 0.9
    gap = np.linalg.norm(opened.landmarks[90] - opened.landmarks[94])
    assert gap > np.linalg.norm(still.landmarks[90] - still.landmarks[94]) + 4
    # Points of the subject's right lie on the left of the image.
    assert still.landmarks[96, 0] < still.landmarks[54, 0] < still.landmarks[97, 0]
