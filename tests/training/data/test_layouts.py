"""Data sets in their authors' layouts, made by us, whole and damaged."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from evface_edge.errors import ConfigError
from evface_edge.events import read_events, write_events
from evface_edge.events.array import EVENT_DTYPE
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import to_68
from evface_training.data import SkipList, labelled_events, load_folder
from evface_training.data.annotated import Annotated, face_set
from evface_training.data.faces import FaceSet
from evface_training.data.labelled_frames import clips, esie
from evface_training.data.schemes import ESIE_5, USUAL_5, from_5, from_68
from evface_training.data.wflw import pts, wflw


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


def test_what_is_damaged_is_left_out_counted_and_named(
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
    assert skipped.seen == 11
    reasons = list(skipped.reasons.values())
    for reason, part in zip(
        sorted(reasons),
        [
            "100 fields instead of 207",
            "a coordinate that is no number",
            "all points in one place",
            "labels outside the image",
            "no such image",
            "points that are not finite",
            "unreadable",
        ],
        strict=True,
    ):
        assert part in reason
    assert skipped.summary().startswith("7 of 11 left out: ")
    assert "and 2 more" in skipped.summary()
    with caplog.at_level(logging.WARNING):
        load_folder(tmp_path)
    assert "7 of 11 left out" in caplog.text


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
            for kind in ("frame", "voxel", "timesurface"):
                image(tmp_path / kind / name / file, points[54])
            # Anything may stand between the points and the name.
            lines.append(" ".join([*(f"{v:.3f}" for v in points.ravel()), "0.5", file]))
        (tmp_path / labels / f"{name}.txt").write_text("\n".join(lines) + "\n")
    split = {part: [name] for part, name in zip(parts, names, strict=True)}
    (tmp_path / "train_test_split.json").write_text(json.dumps(split))
    faces = load_folder(tmp_path)
    assert len(faces) == 2 * len(parts)
    assert len(set(faces.identities)) == len(parts)
    assert_points_lie_on_spots(faces)
    test_only = list(clips(tmp_path, "test"))
    assert [e.name for e in test_only if isinstance(e, Annotated)] == [
        "clip_test/00000.png",
        "clip_test/00001.png",
    ]
    assert isinstance(test_only[0], Annotated)
    assert sorted(test_only[0].event_images) == ["frame", "timesurface", "voxel"]
    with pytest.raises(ConfigError, match="one of train"):
        list(clips(tmp_path, "dev"))


def test_esie(tmp_path: Path, drawn_faces: FaceSet) -> None:
    for user, face in zip(("u1", "u2"), drawn_faces.points, strict=False):
        points = in_image(face)
        for take in ("a", "b"):
            file = tmp_path / "label" / user / take / "frame0.txt"
            file.parent.mkdir(parents=True)
            five = points[[54, 76, 82, 96, 97]]
            file.write_text(" ".join(f"{v:.2f}" for v in [*five.ravel(), 60, 40, 140, 120]) + "\n")
            image(tmp_path / "rgb" / user / take / "frame0.png", points[54])
            image(tmp_path / "voxel" / user / take / "frame0.png", points[54])
    (tmp_path / "label" / "u1" / "a" / "short.txt").write_text("1 2 3")
    entries = list(esie(tmp_path))
    good = [entry for entry in entries if isinstance(entry, Annotated)]
    assert {entry.identity.rpartition(":")[2] for entry in good} == {"u1", "u2"}
    assert ("u1/a/short", "3 numbers instead of 14") in entries
    first = good[0]
    np.testing.assert_array_equal(np.flatnonzero(first.weights), np.sort(ESIE_5))
    np.testing.assert_allclose(spot_of(first.open(False)), first.points[54], atol=0.1)
    assert list(first.event_images) == ["voxel"]
    # Five points are for evaluating, not for crops of 98.
    with pytest.raises(ConfigError, match="5 points: to evaluate with"):
        load_folder(tmp_path)


def test_five_points_find_their_places() -> None:
    five = np.arange(10, dtype=np.float32).reshape(5, 2)
    points, weights = from_5(five, USUAL_5)
    np.testing.assert_array_equal(points[[96, 97, 54, 76, 82]], five)
    assert weights.sum() == 5
    assert np.isnan(points[0]).all()


def recording(path: Path) -> None:
    events = np.zeros(50, EVENT_DTYPE)
    events["t"], events["x"], events["y"] = np.arange(50) * 1000, 5, 6
    path.parent.mkdir(parents=True, exist_ok=True)
    write_events(path, events, SensorSize(64, 48))


def fes_rows(count: int = 3, person: int = 7, side: float = 20) -> list[str]:
    rows = []
    for index in range(count):
        five = [v + index for v in (20, 20, 30, 20, 25, 26, 21, 31, 29, 31)]
        rows.append(
            ",".join(map(str, [33_333 * index, person, 0, 1, 15, 12, side, side, *five, 0.75]))
        )
    return rows


def test_fes(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    recording(tmp_path / "p1" / "take.h5")
    # Another, smaller face; rows out of order; a line of names.
    names = "timestamp,object_id,command,class_id,x,y,w,h,x0,y0,x1,y1,x2,y2,x3,y3,x4,y4,confidence"
    rows = [*fes_rows(2, person=9, side=5), *fes_rows()[::-1]]
    (tmp_path / "p1" / "take.csv").write_text("\n".join([names, *rows]))
    (found,) = labelled_events(tmp_path, SkipList())
    assert found.identity.endswith(":p1")
    assert found.t_us.tolist() == [0, 33_333, 66_666]
    np.testing.assert_array_equal(found.points[1, 54], [26, 27])
    np.testing.assert_array_equal(found.points[2, 96], [22, 22])
    assert found.weights[0, [96, 54]].tolist() == [0.75, 0.75]
    assert found.weights[0].sum() == pytest.approx(5 * 0.75)
    np.testing.assert_array_equal(found.boxes[0], [15, 12, 20, 20])
    events, size = read_events(found.path)
    assert (len(events), size) == (50, SensorSize(64, 48))


def test_recordings_with_our_labels_and_bad_ones(tmp_path: Path) -> None:
    for name in ("good", "unlabelled", "wrong", "falling", "ragged", "nan"):
        recording(tmp_path / f"{name}.npz")
    points = np.random.default_rng(0).uniform(5, 40, (2, 98, 2))
    points[1, 3] = np.nan
    np.savez(tmp_path / "good.landmarks.npz", t_us=[0, 10], points98=points)
    np.savez(tmp_path / "wrong.landmarks.npz", t_us=[0, 10], points98=points[:, :68])
    np.savez(tmp_path / "falling.landmarks.npz", t_us=[10, 0], points98=points)
    (tmp_path / "ragged.txt").write_text("1 2 3\n1 2\n")
    (tmp_path / "nan.csv").write_text(fes_rows(1)[0].replace("0.75", "nan"))
    skipped = SkipList()
    (found,) = labelled_events(tmp_path, skipped)
    assert found.path.name == "good.npz"
    assert found.weights.sum(1).tolist() == [98, 97]
    assert skipped.seen == 6
    assert skipped.reasons["unlabelled.npz"] == "no labels beside it"
    assert "(2, 68, 2)" in skipped.reasons["wrong.npz"]
    assert "times that rise" in skipped.reasons["falling.npz"]
    assert "rows of 19 values" in skipped.reasons["ragged.npz"]
    assert "finite" in skipped.reasons["nan.npz"]


def test_nothing_usable_says_why(tmp_path: Path) -> None:
    recording(tmp_path / "one.npz")
    with pytest.raises(ConfigError, match=r"one\.npz \(no labels beside it\)"):
        list(labelled_events(tmp_path, SkipList()))
    with pytest.raises(ConfigError, match="in a known layout: face pack: images/"):
        load_folder(tmp_path)
    with pytest.raises(ConfigError, match="at least one usable face"):
        face_set([("a.jpg", "no landmarks")], "somewhere", SkipList())


def test_a_damaged_pack_gives_what_is_sound(tmp_path: Path) -> None:
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


def test_wrong_entries_of_generators_are_named(tmp_path: Path) -> None:
    (tmp_path / "list_98pt_rect_attr_x.txt").write_text("\n1 2\n")
    assert list(wflw(tmp_path)) == [("list_98pt_rect_attr_x.txt:2", "2 fields instead of 207")]
    assert list(pts(tmp_path)) == []
