"""Data sets in their authors' layouts, made by us, whole and damaged."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from evface_edge.errors import ConfigError
from evface_edge.landmarks import to_68
from evface_training.data.annotated import Annotated, SkipList, face_set
from evface_training.data.faces import FaceSet
from evface_training.data.loading import LAYOUTS, load_folder
from evface_training.data.pts import pts
from evface_training.data.schemes import from_68
from evface_training.data.wflw import video_frames, wflw


def image(path: Path, spot: NDArray[np.floating], size: tuple[int, int] = (200, 160)) -> None:
    """A dark image with a bright spot at a point."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    bright = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 8)
    Image.fromarray(bright.astype(np.uint8)).save(path)


def spot_of(image: NDArray[np.uint8]) -> NDArray[np.floating]:
    weight = np.clip(image.astype(float) - 100, 0, None)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def in_image(face: NDArray[np.float32], left: float = 60, top: float = 40) -> NDArray[np.float32]:
    """The points of a drawn face, at 80 pixels across."""
    low, high = face.min(0), face.max(0)
    points: NDArray[np.float32] = (face - low) / (high - low).max() * 80 + (left, top)
    return points.astype(np.float32)


def assert_points_lie_on_spots(faces: FaceSet) -> None:
    """Each image has its spot at landmark 54."""
    for image, points in zip(faces.images, faces.points, strict=True):
        np.testing.assert_allclose(spot_of(image), points[54], atol=0.6)


def write_wflw(folder: Path, faces: FaceSet) -> list[str]:
    lines = []
    for index, face in enumerate(faces.points[:4]):
        points = in_image(face)
        name = f"{index % 2}--Parade/0_Parade_{index % 3}.png"
        image(folder / "WFLW_images" / name, points[54])
        numbers = [f"{v:.6f}" for v in points.ravel()]
        lines.append(" ".join([*numbers, "60", "40", "140", "120", *"000000", name]))
    return lines


def test_wflw(tmp_path: Path, drawn_faces: FaceSet) -> None:
    lines = write_wflw(tmp_path, drawn_faces)
    lists = tmp_path / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    (lists / "list_98pt_rect_attr_train.txt").write_text("\n".join(lines[:3]) + "\n")
    faces = load_folder(tmp_path)
    assert len(faces) == 3
    assert faces.human.all()
    assert_points_lie_on_spots(faces)
    assert len(set(faces.identities)) == 3
    assert load_folder(tmp_path, color=True).images.shape == (3, 192, 192, 3)


def test_damaged_entries_are_skipped_and_reported(
    tmp_path: Path, drawn_faces: FaceSet, caplog: pytest.LogCaptureFixture
) -> None:
    lines = write_wflw(tmp_path, drawn_faces)
    good = lines[0].split()

    def changed(index: int, value: str) -> str:
        return " ".join([*good[:index], value, *good[index + 1 :]])

    (tmp_path / "WFLW_images" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not an image")
    outside = np.array(good[:196], float) + 5000
    lines += [
        changed(206, "broken.jpg"),
        changed(206, "missing.jpg"),
        changed(7, "nan"),
        changed(7, "x"),
        " ".join(good[:100]),
        " ".join([*(f"{v:.1f}" for v in outside), *good[196:]]),
        " ".join(["5"] * 196 + good[196:]),
    ]
    (tmp_path / "list_98pt_rect_attr_test.txt").write_text("\n".join(lines))
    skipped = SkipList()
    faces = load_folder(tmp_path, skipped=skipped)
    assert len(faces) == 4
    assert skipped.total == 11
    reasons = list(skipped.reasons.values())
    for reason, part in zip(
        sorted(reasons),
        [
            "100 fields instead of 207",
            "a coordinate that is not a number",
            "all points in one place",
            "labels outside the image",
            "no such image",
            "points that are not finite",
            "unreadable",
        ],
        strict=True,
    ):
        assert part in reason
    assert skipped.summary().startswith("7 of 11 skipped: ")
    assert "and 2 more" in skipped.summary()
    with caplog.at_level(logging.WARNING):
        load_folder(tmp_path)
    assert "7 of 11 skipped" in caplog.text


def test_300w_folders(tmp_path: Path, drawn_faces: FaceSet) -> None:
    for index, face in enumerate(drawn_faces.points[:3]):
        points = in_image(face)
        image(tmp_path / "helen" / f"11{index // 2}_{index}.png", points[54])
        rows = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in to_68(points))
        (tmp_path / "helen" / f"11{index // 2}_{index}.pts").write_text(
            f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n"
        )
    image(tmp_path / "helen" / "alone_1.png", np.array([80, 80]))
    image(tmp_path / "helen" / "few_1.png", np.array([80, 80]))
    (tmp_path / "helen" / "few_1.pts").write_text("n_points: 3\n{\n1 2\n3 4\n5 6\n}\n")
    (tmp_path / "helen" / "bad_1.pts").write_text("nothing")
    image(tmp_path / "helen" / "bad_1.png", np.array([80, 80]))
    skipped = SkipList()
    faces = load_folder(tmp_path, skipped=skipped)
    assert_points_lie_on_spots(faces)
    assert len(set(faces.identities)) == 2  # two images of account 110
    assert skipped.reasons["helen/alone_1.png"] == "no landmarks"
    assert "3 points instead of 68 or 98" in skipped.reasons["helen/few_1.png"]
    assert "no { … }" in skipped.reasons["helen/bad_1.png"]


def test_68_points_and_back(drawn_faces: FaceSet) -> None:
    for face in drawn_faces.points[:3]:
        given = to_68(face)
        points, weights = from_68(given)
        taken_over = np.r_[0:36, 48:68]
        again = to_68(points)
        np.testing.assert_allclose(again[taken_over], given[taken_over], atol=1e-3)
        # Lids pass through a spline and back through straight lines.
        assert np.linalg.norm(again - given, axis=1).max() < 1.0
        assert np.linalg.norm(points[:33] - face[:33], axis=1).max() < 1.0
        # Lower brows lie below the upper ones, inner to outer as in the 98.
        assert (points[38:42, 1] > points[[37, 36, 35, 34], 1]).all()
        np.testing.assert_allclose(points[38:42, 0], points[[37, 36, 35, 34], 0], atol=3)
        assert not weights[38:42].any()
        assert weights[:33].all()


@pytest.mark.parametrize(
    ("labels", "images", "parts"),
    [
        ("labels", "images_selected", ("train", "test")),
        ("ecelebv_gt_frame_max", "rgb_frame_max", ("train", "validation", "test")),
    ],
    ids=["WFLW-V", "eCelebV"],
)
def test_clips_with_text_labels(
    tmp_path: Path, drawn_faces: FaceSet, labels: str, images: str, parts: tuple[str, ...]
) -> None:
    (tmp_path / labels).mkdir()
    names = [f"clip_{part}" for part in parts]
    for name, face in zip(names, drawn_faces.points, strict=False):
        points = in_image(face)
        lines = []
        for frame in range(2):
            file = f"{frame:05d}.png"
            image(tmp_path / images / name / file, points[54])
            # Anything may stand between the points and the name.
            lines.append(" ".join([*(f"{v:.3f}" for v in points.ravel()), "0.5", file]))
        (tmp_path / labels / f"{name}.txt").write_text("\n".join(lines) + "\n")
    faces = load_folder(tmp_path)
    assert len(faces) == 2 * len(parts)
    assert len(set(faces.identities)) == len(parts)
    assert_points_lie_on_spots(faces)
    first = next(iter(video_frames(tmp_path)))
    assert isinstance(first, Annotated)
    assert first.name == f"{sorted(names)[0]}/00000.png"


def test_a_folder_without_usable_faces_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as unknown:
        load_folder(tmp_path)
    assert str(tmp_path) in str(unknown.value)
    assert all(layout.content in str(unknown.value) for layout in LAYOUTS)
    with pytest.raises(ConfigError) as empty:
        face_set([("a.jpg", "no landmarks")], "somewhere", SkipList())
    assert "somewhere" in str(empty.value)
    assert "a.jpg" in str(empty.value)


def test_a_damaged_pack_gives_its_usable_faces(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    names = [f"afw_{index}_1.jpg" for index in range(4)]
    points = np.random.default_rng(0).uniform(60, 190, (4, 98, 2)).astype(np.float32)
    for name in names:
        Image.new("L", (256, 256)).save(tmp_path / "images" / name)
    (tmp_path / "images" / names[0]).write_bytes(b"no image")
    points[1, 5] = np.nan
    points[2] += 900
    labels = {"name": names, "points98": points, "weight98": np.ones((4, 98), np.float32)}
    np.savez(tmp_path / "labels.npz", source=["human68"] * 4, size_px=256, **labels)
    skipped = SkipList()
    faces = load_folder(tmp_path, skipped=skipped)
    assert faces.names.tolist() == names[3:]
    assert set(skipped.reasons) == set(names[:3])


def test_readers_report_wrong_entries(tmp_path: Path) -> None:
    (tmp_path / "list_98pt_rect_attr_x.txt").write_text("\n1 2\n")
    assert list(wflw(tmp_path)) == [("list_98pt_rect_attr_x.txt:2", "2 fields instead of 207")]
    assert list(pts(tmp_path)) == []
