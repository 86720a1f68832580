"""Videos, written image by image: GIF with Pillow, MP4 with PyAV.

A writer keeps at most two images in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import GifImagePlugin, Image, ImageChops

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.results import drawing as style
from evface_edge.results.output_file import check_output, naming, whole_file


class VideoWriter(Protocol):
    """A video that is being written."""

    def add(self, image: Image.Image) -> None:
        """Append an RGB image; all images have one size."""

    def close(self) -> None:
        """Complete the file."""


class GifWriter:
    """An animated GIF that repeats for ever.

    All images share one palette, made of the colours of `drawing`, and only the part that changed
    since the previous image is written. Pillow's own writer would keep all images in memory, which
    is why its functions for single images are used.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if fps > 50:
            raise ConfigError("fps", fps, "at most 50 for GIF: programs play faster ones slowly")
        self._path, self._file = path, path.open("wb")
        self._fps = fps
        self._palette = _palette()
        self._previous: Image.Image | None = None
        self._waiting: tuple[Image.Image, tuple[int, int]] | None = None
        self._count = 0
        self._written_cs = 0

    def add(self, image: Image.Image) -> None:
        frame = image.quantize(palette=self._palette, dither=Image.Dither.NONE)
        if self._previous is None:
            header, _ = GifImagePlugin.getheader(frame.copy(), info={"loop": 0, "optimize": False})
            self._write(b"".join(header))
            changed: tuple[int, int, int, int] | None = (0, 0, *frame.size)
        else:
            # By palette index, not by colour: both have the same palette.
            changed = ImageChops.difference(_indices(frame), _indices(self._previous)).getbbox()
        if changed is not None:
            self._write_waiting()
            self._waiting = frame.crop(changed), changed[:2]
        self._previous = frame
        self._count += 1

    def _write(self, data: bytes) -> None:
        with naming(self._path):  # other videos may be written meanwhile, to other disks
            self._file.write(data)

    def _write_waiting(self) -> None:
        """Write the previous image, whose duration is now known."""
        if self._waiting is None:
            return
        frame, offset = self._waiting
        due_cs = round(100 * self._count / self._fps)  # GIF counts in 1/100 s: round the sum
        # A duration has 16 bits: an image is shown for at most 655 s.
        milliseconds = 10 * min(due_cs - self._written_cs, 0xFFFF)
        self._write(b"".join(GifImagePlugin.getdata(frame, offset, duration=milliseconds)))
        self._written_cs = due_cs
        self._waiting = None

    def close(self) -> None:
        try:
            if self._previous is None:
                raise _empty()
            self._write_waiting()
            self._write(b";")
        finally:
            self._file.close()


class Mp4Writer:
    """H.264 in MP4, with the pixel format that every player supports."""

    def __init__(self, path: Path, fps: float) -> None:
        try:
            import av
        except ModuleNotFoundError:
            raise RuntimeUnavailable(
                "writing .mp4 needs PyAV: pip install 'evface-edge[view]', or write a .gif instead"
            ) from None
        self._av: Any = av
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._rate = Fraction(fps).limit_denominator(1001)
        self._stream: Any = None

    def add(self, image: Image.Image) -> None:
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.width, self._stream.height = image.size
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "20", "preset": "veryfast"}
        frame = self._av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        try:
            if self._stream is None:
                raise _empty()
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


#: Suffix → writer. To add a format, add a class and a row.
VIDEO_WRITERS: dict[str, Callable[[Path, float], VideoWriter]] = {
    ".gif": GifWriter,
    ".mp4": Mp4Writer,
}


@contextmanager
def open_video(path: str | Path, *, fps: float = 25) -> Iterator[VideoWriter]:
    """A video to add images to; the file appears when the block ends without an error.

    Args:
        path: ending in .gif or .mp4.
        fps: images per second, above 0 and at most 240 (GIF: 50).

    Raises:
        ConfigError: another suffix, a folder that does not exist, `fps` out of range, or a
            video without an image.
        RuntimeUnavailable: .mp4 without PyAV.
    """
    path = check_output(path, VIDEO_WRITERS)
    if not 0 < fps <= 240:
        raise ConfigError("fps", fps, "above 0 and at most 240")
    with whole_file(path) as part:
        video = VIDEO_WRITERS[path.suffix.lower()](part, fps)
        try:
            yield video
        except BaseException:
            with suppress(Exception):  # report the first error, not this one
                video.close()
            raise
        video.close()


def _empty() -> ConfigError:
    return ConfigError("video", "no image", "at least one image")


def _indices(image: Image.Image) -> Image.Image:
    """A palette image as a grey image of its palette indices."""
    return Image.fromarray(np.asarray(image))


def _palette() -> Image.Image:
    """256 colours: those of events, and blends of all others with the background."""
    background = np.array(style.BACKGROUND)
    flat = [style.BACKGROUND, style.PANEL, *map(tuple, style.EVENT_COLOURS.tolist())]
    strong = {colour for _, colour in style.GROUP_COLOURS}
    strong |= {style.TEXT, *style.STATE_COLOURS.values()}
    steps = (256 - len(flat)) // len(strong)
    ramps = [
        tuple((background + (np.array(colour) - background) * step / steps).round().astype(int))
        for colour in sorted(strong)
        for step in range(1, steps + 1)
    ]
    colours = [*flat, *ramps]
    colours += [style.BACKGROUND] * (256 - len(colours))
    image = Image.new("P", (1, 1))
    image.putpalette([int(value) for colour in colours for value in colour])
    return image
