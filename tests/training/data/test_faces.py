"""Face packs in the layout of the real ones, made by us."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evface_edge.errors import ConfigError
from evface_training.data.annotated import SkipList
from evface_training.data.crop import crop_face
from evface_training.data.face_pack import load_face_pack
from evface_training.data.faces import FaceSet, identity_of
from evface_training.data.loading import load_faces
from evface_training.data.split import identity_hash, split_faces, validation_hashes


def write_pack(folder: Path, side: int = 256) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    (folder / "images").mkdir(parents=True)
    names = ["afw_111_1.jpg", "helen_77_1.jpg", "training_Some_One_20.jpg"]
    rng = np.random.default_rng(0)
    points = rng.uniform(60, 190, (3, 98, 2)).astype(np.float32)
    for name, face in zip(names, points, strict=True):
        pixels = np.zeros((side, side), np.uint8)
        x, y = np.round(face[0]).astype(int)
        pixels[y - 3 : y + 4, x - 3 : x + 4] = 255
        Image.fromarray(pixels).save(folder / "images" / name, quality=95)
    np.savez(
        folder / "labels.npz",
        name=names,
        points98=points,
        weight98=np.ones((3, 98), np.float32),
        source=["human68", "human68", "auto68"],
        size_px=side,
    )
    return points


def test_a_point_stays_on_its_pixel(tmp_path: Path) -> None:
    """A bright dot at landmark 0 is still there after resizing."""
    write_pack(tmp_path)
    faces = load_face_pack(tmp_path, False, SkipList())
    assert faces.images.shape == (3, 192, 192)
    assert faces.human.tolist() == [True, True, False]
    for image, points in zip(faces.images, faces.points, strict=True):
        ys, xs = np.nonzero(image > 128)
        np.testing.assert_allclose((xs.mean(), ys.mean()), points[0], atol=0.5)


def test_the_cache_is_the_same_set(tmp_path: Path) -> None:
    write_pack(tmp_path / "pack")
    cache = tmp_path / "cache" / "faces.npz"
    first = load_faces([tmp_path / "pack"], cache)
    again = load_faces([tmp_path / "gone"], cache)
    for name in vars(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("test_Kate_Winslet_51.jpg", "ytf:Kate_Winslet"),
        ("training_Ernesto_Zedillo_20.jpg", "ytf:Ernesto_Zedillo"),
        ("afw_111076519_2.jpg", "afw:111076519"),
        ("helen_13602254_1.jpg", "helen:13602254"),
        ("lfpw_image_0871.jpg", "lfpw:image_0871"),
    ],
)
def test_identities(name: str, identity: str) -> None:
    assert identity_of(name) == identity


def test_no_identity_is_in_both_parts(
    monkeypatch: pytest.MonkeyPatch, drawn_faces: FaceSet
) -> None:
    held = frozenset({identity_hash("drawn:3"), identity_hash("drawn:8")})
    monkeypatch.setattr("evface_training.data.split.validation_hashes", lambda: held)
    training, validation = split_faces(drawn_faces)
    assert sorted(validation.identities) == ["drawn:3", "drawn:8"]
    assert not set(training.identities) & set(validation.identities)
    assert len(training) + len(validation) == len(drawn_faces)


def test_the_list_holds_hashes_and_no_names() -> None:
    assert len(validation_hashes()) > 300
    assert all(len(h) == 16 and int(h, 16) >= 0 for h in validation_hashes())


@pytest.mark.parametrize(("key", "value"), [("points98", np.zeros((3, 68, 2)))])
def test_a_wrong_number_of_points_is_rejected(
    tmp_path: Path, key: str, value: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> None:
    write_pack(tmp_path)
    labels = dict(np.load(tmp_path / "labels.npz"))
    np.savez(tmp_path / "labels.npz", **{**labels, key: value})
    with pytest.raises(ConfigError) as error:
        load_face_pack(tmp_path, False, SkipList())
    assert error.value.field.endswith("labels.npz: points98")
    assert "(3, 68, 2)" in str(error.value)


def test_an_unknown_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path)):
        load_faces([tmp_path])


def test_a_crop_of_a_frame_keeps_points_on_their_pixels() -> None:
    frame = np.zeros((120, 160), np.uint8)
    points = np.random.default_rng(2).uniform((60, 40), (100, 80), (98, 2)).astype(np.float32)
    points[0] = (70, 55)
    frame[53:58, 68:73] = 255
    image, moved = crop_face(frame, points)
    ys, xs = np.nonzero(image > 128)
    np.testing.assert_allclose((xs.mean(), ys.mean()), moved[0], atol=0.3)
    low, high = moved.min(0), moved.max(0)
    assert (high - low).max() == pytest.approx(96, rel=0.01)
    np.testing.assert_allclose((low + high) / 2, 95.5, atol=0.5)
