"""Video files → frames of light, close enough in time for an event camera."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, EventFormatError, RuntimeUnavailable
from evface_edge.geometry import SensorSize
from evface_training.simulation.recording import Frame

#: Between two of our frames nothing moves farther than this.
MAX_MOTION_PX = 0.7
MAX_SUBFRAMES = 64
GAMMA = 2.2
#: Light that reaches every pixel, relative to white: it bounds the contrast of black.
STRAY_LIGHT = 0.01


@dataclass(frozen=True)
class VideoInfo:
    """Size in pixels, frames per second, and the number of frames as the container states it."""

    size: SensorSize
    fps: float
    frames: int


def _open(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise RuntimeUnavailable(
            "reading video needs PyAV: pip install 'evface-edge[train]'"
        ) from None
    if not path.is_file():
        raise EventFormatError("no such video", path=path)
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise EventFormatError(f"not a video that can be opened ({error})", path=path) from None
    if not container.streams.video:
        container.close()
        raise EventFormatError("holds no video stream", path=path)
    return container


def video_info(path: Path) -> VideoInfo:
    """What the header says.

    Raises:
        EventFormatError: no such file, or not a video.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        return VideoInfo(
            SensorSize(stream.width, stream.height), float(stream.average_rate or 25), stream.frames
        )


def video_frames(path: Path, fps: float | None = None) -> Iterator[tuple[int, Frame]]:
    """Frames of log light, interpolated along the motion between the video's own.

    Yields:
        (index of the video's frame that this one belongs to or comes before, Frame); the frame at
        a video frame's own instant is that frame.

    Raises:
        EventFormatError: not a video, or one of fewer than two frames.
        RuntimeUnavailable: PyAV or OpenCV is missing.
    """
    try:
        import cv2
    except ImportError:
        raise RuntimeUnavailable(
            "interpolating video needs OpenCV: pip install 'evface-edge[train]'"
        ) from None
    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    if fps is not None and not fps > 0:
        raise ConfigError("fps", fps, "a rate above 0")
    before: NDArray[np.uint8] | None = None
    count = 0
    with _open(path) as container:
        stream = container.streams.video[0]
        period_us = 1e6 / (fps or float(stream.average_rate or 25))
        for index, image in enumerate(container.decode(video=0)):
            grey: NDArray[np.uint8] = image.to_ndarray(format="gray")
            count += 1
            if before is None:
                before = grey
                yield 0, Frame(0, log_light(grey.astype(np.float32)))
                continue
            flow = np.asarray(flow_of.calc(before, grey, None))  # type: ignore[call-overload]
            farthest = float(np.percentile(np.hypot(flow[..., 0], flow[..., 1]), 99))
            steps = min(max(4, math.ceil(farthest / MAX_MOTION_PX)), MAX_SUBFRAMES)
            for part in range(1, steps + 1):
                fraction = part / steps
                between = _between(cv2, before, grey, flow, fraction) if part < steps else grey
                t_us = round((index - 1 + fraction) * period_us)
                yield index, Frame(t_us, log_light(np.asarray(between, np.float32)))
            before = grey
    if count < 2:
        raise EventFormatError(f"{count} frame: motion needs two or more", path=path)


def _between(
    cv2: Any,
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    flow: NDArray[np.float32],
    fraction: float,
) -> NDArray[np.float32]:
    """Both neighbours moved along the flow to this instant, mixed by nearness."""
    height, width = first.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    images = []
    for image, offset in ((first, -fraction), (second, 1 - fraction)):
        images.append(
            cv2.remap(
                image.astype(np.float32),
                x + offset * flow[..., 0],
                y + offset * flow[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )
    mixed: NDArray[np.float32] = (1 - fraction) * images[0] + fraction * images[1]
    return mixed


def log_light(grey: NDArray[np.float32]) -> torch.Tensor:
    """Gamma-coded grey (H, W), 0 to 255 → log intensity."""
    return torch.from_numpy(np.log((grey / 255) ** GAMMA + STRAY_LIGHT).astype(np.float32))
