"""The commands of training as a user calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from evface_edge.cli import main
from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import read_events
from evface_training.contact_sheet import TRUTH
from evface_training.simulation.opening import open_light
from evface_training.simulation.synthetic import SyntheticAvatarSource
from evface_training.simulation.video import VideoSource

av = pytest.importorskip("av", reason="PyAV writes the test video")


def write_video(path: Path, frames: int = 8, labels: bool = False) -> None:
    """A bright square that moves 2 pixels a frame to the right."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 96, 64, "yuv420p", 4_000_000
        for index in range(frames):
            pixels: NDArray[np.uint8] = np.full((64, 96, 3), 40, np.uint8)
            pixels[20:44, 20 + 2 * index : 44 + 2 * index] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    if labels:
        points = np.zeros((frames, 98, 2), np.float32) + np.arange(frames)[:, None, None]
        np.savez(path.with_suffix(".npz"), points98=points)


def test_simulate_turns_a_video_into_a_recording(tmp_path: Path) -> None:
    write_video(tmp_path / "square.mp4", labels=True)
    output = tmp_path / "rec.npz"
    assert (
        main(["simulate", str(tmp_path / "square.mp4"), "-o", str(output), "--camera", "ideal"])
        == 0
    )
    events, size = read_events(output)
    assert (size.width, size.height) == (96, 64)
    # The leading edge brightens, the trailing edge darkens, both inside the rows of the square.
    bulk = events[(events["y"] > 24) & (events["y"] < 40)]
    on, off = bulk[bulk["p"] == 1], bulk[bulk["p"] == 0]
    assert np.median(on["x"]) > 44
    assert np.median(off["x"]) < 40
    assert len(bulk) > 0.5 * len(events)
    labels = np.load(tmp_path / "rec.landmarks.npz")
    assert labels["t_us"].tolist() == [40_000 * index for index in range(8)]
    assert labels["points98"][:, 0, 0].tolist() == list(range(8))


@pytest.mark.parametrize(
    ("source", "tiles"), [("square.mp4", 12), (".", 1), ("clips", 12), ("benchmark:still", 12)]
)
def test_a_preview_shows_events_and_landmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, tiles: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("evface_training.preview._TILES", 12)
    write_video(Path("square.mp4"), labels=True)
    assert main(["simulate", source, "--preview", "sheet.png", "--camera", "ideal"]) == 0
    with Image.open("sheet.png") as image:
        sheet = np.asarray(image)
    columns = min(tiles, 6)
    assert sheet.shape[1] == 256 * columns
    first = sheet[: len(sheet) * columns // tiles, :256].reshape(-1, 3)
    blue, red, green = (
        np.count_nonzero((first == colour).all(1)) for colour in ((0, 0, 255), (255, 0, 0), TRUTH)
    )
    assert min(blue, red) > 20
    assert green > 3


def test_frames_between_frames_follow_the_motion(tmp_path: Path) -> None:
    write_video(tmp_path / "square.mp4")
    edges = []
    for labelled in VideoSource(tmp_path / "square.mp4"):
        row = labelled.frame.log_intensity[32].numpy()
        bright = np.flatnonzero(row > (row.min() + row.max()) / 2)
        edges.append((labelled.frame.t_us, bright.mean()))
    t_us, center = np.array(edges).T
    assert len(edges) > 20
    speed = np.polyfit(t_us * 1e-6, center, 1)[0]
    assert speed == pytest.approx(50, rel=0.05)
    assert np.abs(center - np.polyval(np.polyfit(t_us, center, 1), t_us)).max() < 1.0


def test_a_video_of_one_frame_is_rejected(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", frames=1)
    with pytest.raises(EventFormatError, match=r"one\.mp4: 1 frame"):
        list(VideoSource(tmp_path / "one.mp4"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4", "-o", "rec.npz"], "missing.mp4"),
        (["text.mp4", "-o", "rec.npz"], "text.mp4"),
        (["text.mp4", "-o", "rec.npz", "--camera", "davis"], "davis346"),
        (["synthetic:cube", "-o", "rec.npz"], "synthetic:avatar"),
        (["synthetic:avatar?sped=fast", "-o", "rec.npz"], "sped"),
        (["synthetic:avatar?speed=warp", "-o", "rec.npz"], "slow, normal, fast"),
        (["text.mp4"], "--preview"),
        (["clips", "-o", "rec.npz"], "--preview"),
        (["benchmark:slow", "--preview", "sheet.png"], "still_then_move"),
    ],
)
def test_bad_input_is_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("not a video")
    assert main(["simulate", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.mp4"]


def test_labels_of_another_shape_are_rejected(tmp_path: Path) -> None:
    write_video(tmp_path / "square.mp4")
    np.savez(tmp_path / "square.npz", points98=np.zeros((8, 68, 2)))
    with pytest.raises(ConfigError, match=r"\(8, 68, 2\)") as error:
        open_light(str(tmp_path / "square.mp4"))
    assert "square.npz" in error.value.field


def test_options_of_an_avatar() -> None:
    source = SyntheticAvatarSource.from_uri(
        "synthetic:avatar?seed=4&speed=fast&seconds=0.5&width=640"
    )
    assert (source.seed, source.speed, source.seconds, source.width) == (4, "fast", 0.5, 640)
    assert source.size.height == 260


def test_training_says_what_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["train", "evface-x", "--faces", str(tmp_path), "-o", str(tmp_path)]
    assert main(command) == 1
    assert "evface-s" in capsys.readouterr().err
