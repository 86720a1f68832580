"""Rendered images against their labels: colours under points, depth, visibility."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import MIRROR
from evface_training.avatar import (
    AvatarIdentity,
    AvatarRenderer,
    Expression,
    Light,
    PinholeCamera,
    Pose,
    RenderedAvatar,
)
from evface_training.avatar.identity import HAIR_STYLES
from evface_training.avatar.model import AvatarModel

CAMERA = PinholeCamera(SensorSize(320, 320), 720.0)
LIGHT = Light(azimuth_deg=0, elevation_deg=20, background="plain", background_level=0.02)
IDENTITY = AvatarIdentity(lips=(0.45, 0.02, 0.02), hair_style="short")


@pytest.fixture(scope="module")
def renderer() -> Iterator[AvatarRenderer]:
    try:
        made = AvatarRenderer(CAMERA.size, color=True)
    except RuntimeUnavailable as error:
        pytest.skip(str(error))
    with made:
        yield made


def draw(
    renderer: AvatarRenderer,
    expression: Expression | None = None,
    pose: Pose | None = None,
    identity: AvatarIdentity = IDENTITY,
) -> RenderedAvatar:
    return renderer.render(
        identity, expression or Expression(), pose or Pose(y_mm=5), CAMERA, LIGHT
    )


def at(rendered: RenderedAvatar, point: np.ndarray) -> np.ndarray:
    x, y = np.round(point).astype(int)
    return rendered.image[y, x]


def test_shapes_and_types(renderer: AvatarRenderer) -> None:
    rendered = draw(renderer)
    assert rendered.image.shape == (320, 320, 3)
    assert rendered.image.dtype == rendered.landmarks.dtype == rendered.depth.dtype == np.float32
    assert rendered.landmarks.shape == (98, 2)
    assert rendered.visible.shape == (98,)
    assert 0 <= rendered.image.min() < rendered.image.max() <= 1


def test_grey_is_the_luminance_of_colour(renderer: AvatarRenderer) -> None:
    colored = draw(renderer).image @ np.array([0.2126, 0.7152, 0.0722])
    with AvatarRenderer(CAMERA.size) as grey_renderer:
        grey = draw(grey_renderer).image
    assert grey.shape == (320, 320)
    assert np.abs(grey - colored).mean() < 2e-3


def test_oversampling_only_refines_the_edges(renderer: AvatarRenderer) -> None:
    plain = draw(renderer)
    with AvatarRenderer(CAMERA.size, color=True, oversample=2) as finer:
        fine = draw(finer)
    assert fine.image.shape == plain.image.shape
    assert fine.depth.shape == plain.depth.shape
    np.testing.assert_array_equal(fine.landmarks, plain.landmarks)
    assert np.abs(fine.image - plain.image).mean() < 5e-3
    with pytest.raises(ConfigError) as error:
        AvatarRenderer(CAMERA.size, oversample=9)
    assert error.value.field == "AvatarRenderer.oversample"


def test_the_same_scene_gives_the_same_image(renderer: AvatarRenderer) -> None:
    first = draw(renderer, Expression(jaw_open=0.2))
    draw(renderer, Expression(smile=1.0), Pose(yaw_deg=40))
    again = draw(renderer, Expression(jaw_open=0.2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.depth, again.depth)


def test_landmarks_project_like_an_independent_projection(renderer: AvatarRenderer) -> None:
    pose = Pose(yaw_deg=18, pitch_deg=-7, roll_deg=11, x_mm=12, y_mm=-9, distance_mm=720)
    expression = Expression(jaw_open=0.5, blink_left=0.4)
    rendered = draw(renderer, expression, pose)
    model = AvatarModel(IDENTITY)
    points = model.landmarks.points(expression, model.bare_skin(expression))
    # A 4 × 4 matrix of homogeneous coordinates, built by hand from the axes of the rendered.
    yaw, pitch, roll = np.radians([18, -7, 11])
    x, y, z = np.eye(3)
    axes = []
    for axis in (x, y, z):
        turned = axis[0] * np.cos(yaw) + axis[2] * np.sin(yaw)
        ahead = axis[2] * np.cos(yaw) - axis[0] * np.sin(yaw)
        height = axis[1] * np.cos(pitch) + ahead * np.sin(pitch)
        ahead = ahead * np.cos(pitch) - axis[1] * np.sin(pitch)
        right = turned * np.cos(roll) + height * np.sin(roll)
        axes.append([right, turned * np.sin(roll) - height * np.cos(roll), -ahead])
    matrix = np.eye(4)
    matrix[:3, :3] = np.transpose(axes)
    matrix[:3, 3] = (12, -9, 720)
    intrinsics = np.array([[720, 0, 159.5, 0], [0, 720, 159.5, 0], [0, 0, 1, 0]])
    homogeneous = (intrinsics @ matrix @ np.c_[points, np.ones(98)].T).T
    expected = homogeneous[:, :2] / homogeneous[:, 2:]
    # The 33 points of the contour slide to the visible edge.
    np.testing.assert_allclose(rendered.landmarks[33:], expected[33:], atol=1e-3)
    np.testing.assert_allclose(rendered.landmark_depth[33:], homogeneous[33:, 2], rtol=1e-6)


@pytest.mark.parametrize("gaze", [(0, 0), (20, 0), (-18, 6)])
def test_pupils_are_the_darkest_of_the_eye(renderer: AvatarRenderer, gaze: tuple[int, int]) -> None:
    expression = Expression(gaze_yaw_deg=gaze[0], gaze_pitch_deg=gaze[1])
    identity = AvatarIdentity(iris=(0.3, 0.35, 0.4))
    rendered = draw(renderer, expression, Pose(yaw_deg=8, y_mm=5), identity)
    for pupil, corners in ((96, (60, 64)), (97, (68, 72))):
        points = rendered.landmarks
        pupil_light = at(rendered, points[pupil]).mean()
        whites = [
            at(
                rendered, 0.75 * rendered.landmarks[corner] + 0.25 * rendered.landmarks[pupil]
            ).mean()
            for corner in corners
        ]
        assert pupil_light < 0.25
        assert max(whites) > 1.8 * pupil_light


def test_the_iris_is_centred_on_the_pupil(renderer: AvatarRenderer) -> None:
    identity = AvatarIdentity(iris=(0.02, 0.35, 0.02))  # a green that nothing else has
    for pose in (Pose(y_mm=5), Pose(yaw_deg=20, roll_deg=15, y_mm=5)):
        rendered = draw(renderer, Expression(), pose, identity)
        green = rendered.image[..., 1] > 1.6 * rendered.image[..., 0] + 0.01
        for pupil in (96, 97):
            x, y = rendered.landmarks[pupil]
            rows, columns = np.mgrid[:320, :320]
            near = green & (np.hypot(columns - x, rows - y) < 14)
            assert near.sum() > 40
            assert abs(columns[near].mean() - x) < 1.0  # lids hide its top: only x is tested


def test_lip_points_lie_on_the_edges_of_the_lips(renderer: AvatarRenderer) -> None:
    rendered = draw(renderer)

    def redness(point: np.ndarray) -> float:
        red, green, _ = at(rendered, point)
        return float(red / (green + 0.01))

    middle = rendered.landmarks[[90, 94]].mean(axis=0)
    for edge in (78, 79, 80, 84, 85, 86):
        outward = rendered.landmarks[edge] - middle
        unit = outward / np.linalg.norm(outward)
        assert redness(rendered.landmarks[edge] - 3 * unit) > 1.6 * redness(
            rendered.landmarks[edge] + 3 * unit
        )
    # The line between the lips is darker than the lips.
    line = at(rendered, middle).mean()
    for lip in (0.5 * (rendered.landmarks[79] + middle), 0.5 * (rendered.landmarks[85] + middle)):
        assert line < 0.8 * at(rendered, lip).mean()


def test_brow_points_enclose_the_brows(renderer: AvatarRenderer) -> None:
    rendered = draw(renderer)
    for upper, lower in ((35, 40), (34, 41), (44, 49), (45, 48)):
        inside = at(rendered, rendered.landmarks[[upper, lower]].mean(axis=0)).mean()
        out = rendered.landmarks[upper] - rendered.landmarks[lower]
        above = at(rendered, rendered.landmarks[upper] + 0.8 * out).mean()
        assert inside < 0.7 * above


def test_the_contour_is_the_outline_of_the_face(renderer: AvatarRenderer) -> None:
    identity = AvatarIdentity(hair_style="bald")
    rendered = draw(renderer, pose=Pose(y_mm=5), identity=identity)
    depth = np.where(np.isfinite(rendered.depth), rendered.depth, 2000.0)
    center = rendered.landmarks[[51, 57]].mean(axis=0)
    # A little outside, what is seen lies far behind the face: the neck, ears, or nothing.
    for index in (4, 6, 12, 14, 16, 18, 20, 26, 28):
        out = rendered.landmarks[index] - center
        out /= np.linalg.norm(out)
        x, y = np.round(rendered.landmarks[index] + 4 * out).astype(int)
        assert depth[y, x] > rendered.landmark_depth[index] + 10, index


def test_a_closed_eye_shows_skin(renderer: AvatarRenderer) -> None:
    opened, closed = draw(renderer), draw(renderer, Expression(blink_right=1.0, blink_left=1.0))
    for upper, pupil in ((62, 96), (70, 97)):
        place = opened.landmarks[[upper, pupil]].mean(axis=0)
        red, _, blue = at(closed, place)
        assert red > 1.3 * blue  # skin, not eye
        assert opened.visible[pupil]
        assert not closed.visible[pupil]
        assert closed.visible[upper]


def test_an_open_mouth_is_dark_inside(renderer: AvatarRenderer) -> None:
    rendered = draw(renderer, Expression(jaw_open=1.0))
    x, top = np.round(rendered.landmarks[90]).astype(int)
    bottom = round(float(rendered.landmarks[94, 1]))
    column = rendered.image[top + 2 : bottom - 1, x].mean(axis=1)
    assert len(column) > 12
    assert column.min() < 0.06
    assert column.max() > 4 * column.min()  # teeth or tongue


def test_depth_at_visible_points_is_theirs(renderer: AvatarRenderer) -> None:
    for pose in (Pose(y_mm=5), Pose(yaw_deg=25, pitch_deg=10, y_mm=5)):
        rendered = draw(renderer, pose=pose)
        inner = np.r_[33:98]  # on the outline the neighbours' depth is another
        chosen = inner[rendered.visible[inner]]
        assert len(chosen) > 50
        x, y = np.round(rendered.landmarks[chosen]).astype(int).T
        # Half a pixel is 0.4 mm across; slopes of 60 degrees and more make it millimetres.
        difference = np.abs(rendered.depth[y, x] - rendered.landmark_depth[chosen])
        assert np.median(difference) < 0.7
        assert np.percentile(difference, 90) < 3.0


def test_turned_away_points_are_hidden(renderer: AvatarRenderer) -> None:
    assert draw(renderer, identity=AvatarIdentity(hair_style="bald")).visible.all()
    for yaw, far, near in ((60, slice(44, 47), slice(33, 42)), (-60, slice(33, 36), slice(42, 51))):
        rendered = draw(renderer, pose=Pose(yaw_deg=yaw, y_mm=5))
        assert not rendered.visible[far].any()
        assert rendered.visible[near].all()
    outside = draw(renderer, pose=Pose(x_mm=-110))
    beyond = outside.landmarks[:, 0] < -0.5
    assert beyond.any()
    assert not outside.visible[beyond].any()


def test_the_outline_contour_follows_the_visible_edge(renderer: AvatarRenderer) -> None:
    identity = AvatarIdentity(hair_style="bald")
    model = AvatarModel(identity)

    def render(yaw: float) -> tuple[np.ndarray, RenderedAvatar]:
        """The landmarks fixed on the skin in pixels, and the image."""
        pose = Pose(yaw_deg=yaw, y_mm=5)
        points = model.landmarks.points(Expression(), model.bare_skin(Expression()))
        return CAMERA.project(pose.to_camera(points)), draw(renderer, None, pose, identity)

    skin, outline = render(0.0)
    np.testing.assert_allclose(outline.landmarks, skin, atol=1.5)
    skin, outline = render(35.0)
    np.testing.assert_allclose(outline.landmarks[:15], skin[:15], atol=1.5)
    np.testing.assert_allclose(outline.landmarks[33:], skin[33:], atol=1e-3)
    # Far side, cheek: the first pixels outside show no face, the first inside do.
    for index in range(22, 31):
        x, y = outline.landmarks[index]
        row = outline.depth[round(float(y))]
        face = row < outline.landmark_depth[index] + 30
        edge = np.flatnonzero(face).max()
        assert abs(edge - x) < 2.5, index
        assert skin[index, 0] < x


def test_a_mirrored_scene_gives_the_mirrored_image(renderer: AvatarRenderer) -> None:
    expression = Expression(blink_left=0.8, brow_right=0.6, gaze_yaw_deg=15)
    pose = Pose(yaw_deg=25, pitch_deg=5, roll_deg=8, x_mm=10, y_mm=4)
    rendered = draw(renderer, expression, pose)
    other = draw(
        renderer,
        Expression(blink_right=0.8, brow_left=0.6, gaze_yaw_deg=-15),
        Pose(yaw_deg=-25, pitch_deg=5, roll_deg=-8, x_mm=-10, y_mm=4),
    )
    flipped = other.landmarks[MIRROR] * [-1, 1] + [319, 0]
    np.testing.assert_allclose(rendered.landmarks, flipped, atol=0.1)
    assert (rendered.visible == other.visible[MIRROR]).mean() > 0.97
    mirrored_depth = other.depth[:, ::-1]
    both = np.isfinite(rendered.depth) & np.isfinite(mirrored_depth)
    assert both.mean() > 0.3
    assert np.median(np.abs(rendered.depth[both] - mirrored_depth[both])) < 0.5


def test_every_style_renders_with_all_points_finite(
    renderer: AvatarRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evface_training.avatar.texture.SIZE", 256)  # it takes seconds to paint
    for seed, style in enumerate(HAIR_STYLES):
        rng = np.random.default_rng(seed)
        identity = replace(AvatarIdentity.sample(rng), hair_style=style)
        rendered = renderer.render(identity, Expression(), Pose(y_mm=5), CAMERA, Light.sample(rng))
        assert np.isfinite(rendered.landmarks).all()
        assert np.isfinite(rendered.image).all()
        assert rendered.visible[60:97].mean() > 0.8


def test_a_camera_of_another_size_is_rejected(renderer: AvatarRenderer) -> None:
    with pytest.raises(ConfigError) as error:
        renderer.render(IDENTITY, Expression(), Pose(), PinholeCamera(SensorSize(64, 64)))
    assert error.value.field == "camera.size"


def test_without_egl_the_error_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    moderngl = pytest.importorskip("moderngl")

    def refuse(**_: object) -> None:
        raise ImportError("libEGL.so: cannot open shared object file")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(RuntimeUnavailable, match=r"apt-get install -y libegl1"):
        AvatarRenderer(CAMERA.size)
