"""A still face in motion."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evface_edge.cli import main
from evface_edge.errors import ConfigError
from evface_edge.events import read_events
from evface_edge.geometry import SensorSize
from evface_training.avatar.scene import Expression, Pose
from evface_training.data.faces import FaceSet
from evface_training.simulation.still import StillSource, _Warp

SKIN = [*range(33, 60), *range(76, 88)]


def spots(
    points: np.ndarray[tuple[int, int], np.dtype[np.float32]], chosen: list[int]
) -> torch.Tensor:
    """An image of 192 × 160 with a bright spot at each chosen landmark: (1, C, 160, 192)."""
    x, y = torch.arange(192.0), torch.arange(160.0)[:, None]
    return torch.stack(
        [torch.exp(-((x - float(a)) ** 2 + (y - float(b)) ** 2) / 8) for a, b in points[chosen]]
    )[None]


@pytest.mark.parametrize(
    ("expression", "pose"),
    [
        (Expression(), Pose(yaw_deg=12.0, pitch_deg=-5.0)),
        (Expression(), Pose(roll_deg=20.0, x_mm=15.0, y_mm=-10.0, distance_mm=600.0)),
        (Expression(jaw_open=0.8, brow_left=0.7), Pose(yaw_deg=-10.0, roll_deg=-8.0, x_mm=10.0)),
    ],
    ids=["turned", "in the plane", "all at once"],
)
def test_landmarks_are_at_their_spots(
    drawn_faces: FaceSet, expression: Expression, pose: Pose
) -> None:
    points = drawn_faces.points[0] * 0.8
    warp = _Warp(points, SensorSize(192, 160))
    warp.set(expression, pose)
    chosen = [33, 37, 46, 51, 54, 57, 60, 64, 68, 72, 76, 79, 82, 85]
    image = spots(points, chosen)
    source = warp.source(warp.grid)[0].reshape(65, 65, 2)
    moved = warp.landmarks()
    assert np.linalg.norm(moved - points, axis=1)[chosen].max() > 4
    for index, landmark in enumerate(chosen):
        shown = warp.show(image[:, index : index + 1], source).numpy()
        weight = np.clip(shown - 0.3, 0, None)
        y, x = np.mgrid[:160, :192]
        center = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert np.linalg.norm(center - moved[landmark]) < 0.7, landmark


def test_a_head_at_rest_is_the_image(drawn_faces: FaceSet) -> None:
    warp = _Warp(drawn_faces.points[1], SensorSize(192, 192))
    warp.set(Expression(), Pose())
    image = torch.from_numpy(drawn_faces.images[1]).float()[None, None]
    shown = warp.show(image, warp.source(warp.grid)[0].reshape(65, 65, 2))
    torch.testing.assert_close(shown, image[0, 0], atol=0.1, rtol=0)
    np.testing.assert_allclose(warp.landmarks(), drawn_faces.points[1], atol=0.05)


def test_an_image_becomes_a_recording(tmp_path: Path, drawn_faces: FaceSet) -> None:
    folder = tmp_path
    Image.fromarray(drawn_faces.images[2]).save(folder / "face.png")
    np.savez(folder / "face.npz", points98=drawn_faces.points[2])
    output = folder / "rec.npz"
    command = ["simulate", str(folder / "face.png"), "-o", str(output), "--max-seconds", "0.1"]
    assert main([*command, "--camera", "evk4", "--speed", "slow"]) == 0
    events, size = read_events(output)
    assert size == SensorSize(192, 192)
    assert len(events) > 100
    labels = np.load(folder / "rec.landmarks.npz")
    assert labels["t_us"].tolist() == list(range(0, 100_001, 10_000))
    assert labels["points98"].shape == (11, 98, 2)
    assert np.isfinite(labels["points98"]).all()


def test_a_folder_becomes_a_folder(
    tmp_path: Path, drawn_faces: FaceSet, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pack"
    (folder / "images").mkdir(parents=True)
    names = [f"afw_{index}_1.png" for index in range(3)]
    for name, image in zip(names, drawn_faces.images, strict=False):
        Image.fromarray(image).save(folder / "images" / name)
    (folder / "images" / names[0]).write_bytes(b"no image")
    np.savez(
        folder / "labels.npz",
        name=names,
        points98=drawn_faces.points[:3],
        weight98=np.ones((3, 98)),
        source=["human68"] * 3,
        size_px=192,
    )
    output = tmp_path / "out"
    command = ["simulate", str(folder), "-o", str(output), "--max-seconds", "0.03"]
    assert main([*command, "--format", "raw"]) == 0
    made = sorted(path.name for path in output.iterdir())
    assert made == [
        "00000_afw_1_1.landmarks.npz",
        "00000_afw_1_1.raw",
        "00001_afw_2_1.landmarks.npz",
        "00001_afw_2_1.raw",
    ]
    assert "1 of 3 skipped: afw_0_1.png (" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"points": np.zeros((68, 2), np.float32)},
        {"points": np.full((98, 2), np.nan, np.float32)},
        {"points": np.full((98, 2), 900, np.float32)},
        {"image": np.zeros((5, 5, 3), np.uint8)},
        {"speed": "warp"},
        {"seconds": math.nan},
    ],
)
def test_wrong_stills_are_rejected(drawn_faces: FaceSet, change: dict[str, object]) -> None:
    arguments = {"image": drawn_faces.images[0], "points": drawn_faces.points[0]}
    with pytest.raises(ConfigError) as error:
        StillSource(**{**arguments, **change})  # type: ignore[arg-type]
    assert error.value.field in change


def test_an_image_needs_landmarks(
    tmp_path: Path, drawn_faces: FaceSet, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "face.png"
    Image.fromarray(drawn_faces.images[2]).save(path)
    assert main(["simulate", str(path), "-o", str(path.with_name("rec.npz"))]) == 1
    message = capsys.readouterr().err
    assert "face.npz" in message
    assert "face.pts" in message
    assert not path.with_name("rec.npz").exists()
