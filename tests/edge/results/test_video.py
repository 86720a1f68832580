from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.events.array import make_events
from evface_edge.geometry import SensorSize
from evface_edge.results.drawing import BACKGROUND, face_image
from evface_edge.results.video import VIDEO_WRITERS, open_video

SIZE = SensorSize(120, 80)


def image(step: int, face=None) -> Image.Image:
    """A bar of events that moves to the right."""
    x = np.arange(4) + step
    y = np.arange(10, 50)
    grid_x, grid_y = (axis.ravel() for axis in np.meshgrid(x, y))
    count = len(grid_x)
    events = make_events(np.zeros(count), grid_x, grid_y, np.ones(count))
    return face_image(events, [] if face is None else [face], SIZE, left_text=f"{step}")


def gif_frames(path: Path) -> tuple[list[np.ndarray], list[int]]:
    frames, durations = [], []
    with Image.open(path) as video:
        for index in range(video.n_frames):
            video.seek(index)
            frames.append(np.asarray(video.convert("RGB")).astype(int))
            durations.append(video.info["duration"])
        assert video.info["loop"] == 0
    return frames, durations


def test_images_of_a_gif(tmp_path: Path, make_face) -> None:
    images = [image(step, make_face()) for step in range(5)]
    with open_video(tmp_path / "a.gif", fps=25) as video:
        for each in images:
            video.add(each)
    frames, durations = gif_frames(tmp_path / "a.gif")
    assert durations == [40] * 5
    for frame, each in zip(frames, images, strict=True):
        difference = np.abs(frame - np.asarray(each).astype(int)).max(axis=2)
        # The palette has the colours of events and lines, not those of overlapping lines.
        assert (difference <= 40).mean() > 0.995
        assert difference.mean() < 1.5


def test_gif_durations_add_up(tmp_path: Path) -> None:
    with open_video(tmp_path / "a.gif", fps=30) as video:
        for step in range(31):
            video.add(image(step))
    _, durations = gif_frames(tmp_path / "a.gif")
    assert abs(sum(durations) - 1000 * 31 / 30) <= 10
    assert set(durations) == {30, 40}


def test_equal_images_of_a_gif_are_one_longer_image(tmp_path: Path) -> None:
    with open_video(tmp_path / "a.gif", fps=10) as video:
        for step in (0, 0, 0, 5):
            video.add(image(step))
    assert gif_frames(tmp_path / "a.gif")[1] == [300, 100]


def test_gif_with_another_decoder(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV (the extra 'view') is not installed")
    images = [image(step) for step in range(6)]
    with open_video(tmp_path / "a.gif") as video:
        for each in images:
            video.add(each)
    with av.open(str(tmp_path / "a.gif")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6
    found, drawn = frames[-1].astype(int), np.asarray(images[-1]).astype(int)
    assert np.abs(found - drawn).mean() < 1.5


def test_mp4_with_a_decoder(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV (the extra 'view') is not installed")
    with open_video(tmp_path / "a.mp4", fps=12.5) as video:
        for step in range(0, 60, 4):
            video.add(image(step))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 12.5
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 15
    for index in (0, 14):
        drawn = np.asarray(image(4 * index)).astype(int)
        assert np.abs(frames[index].astype(int) - drawn).mean() < 4


def test_mp4_without_pyav_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with (
        pytest.raises(RuntimeUnavailable, match=r"evface-edge\[view\]"),
        open_video(tmp_path / "a.mp4"),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", sorted(VIDEO_WRITERS))
def test_a_failed_video_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    if suffix == ".mp4":
        pytest.importorskip("av", reason="PyAV (the extra 'view') is not installed")

    def fail() -> None:
        with open_video(tmp_path / f"a{suffix}") as video:
            video.add(image(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with pytest.raises(ZeroDivisionError), open_video(tmp_path / f"a{suffix}"):
        raise ZeroDivisionError
    with pytest.raises(ConfigError) as caught, open_video(tmp_path / f"a{suffix}"):
        pass
    assert caught.value.field == "video"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1000, 60])
def test_frame_rates_out_of_range(tmp_path: Path, fps: float) -> None:
    with pytest.raises(ConfigError) as caught, open_video(tmp_path / "a.gif", fps=fps):
        pass
    assert caught.value.field == "fps"
    assert not list(tmp_path.iterdir())


def test_gif_keeps_no_images(tmp_path: Path) -> None:
    def images_alive() -> int:
        # type(), because __class__ of another library's lazy objects may warn.
        return sum(issubclass(type(each), Image.Image) for each in gc.get_objects())

    with open_video(tmp_path / "a.gif") as video:
        video.add(image(0))
        video.add(image(1))
        before = images_alive()
        for step in range(2, 40):
            video.add(image(step))
        assert images_alive() <= before


def test_background_is_exact_in_gif(tmp_path: Path) -> None:
    with open_video(tmp_path / "a.gif") as video:
        video.add(image(0))
    frames, _ = gif_frames(tmp_path / "a.gif")
    assert tuple(frames[0][2, -2]) == BACKGROUND
