"""Light from a video file: frames interpolated along the motion between the video's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, EventFormatError, RuntimeUnavailable
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import NUM_LANDMARKS
from evface_training.simulation.light import Frame, LabelledFrame
from evface_training.simulation.tone import log_light

#: Largest motion between two frames, and most frames between two of the video's own.
MAX_MOTION_PX = 0.7
MAX_SUBFRAMES = 64


class VideoSource:
    """A video file; `<name>.npz` of the same name may hold points98 (F, 98, 2), one row a frame.

    Raises:
        EventFormatError: not a video.
        ConfigError: labels of another shape.
    """

    def __init__(self, path: Path) -> None:
        with _open(path) as container:
            stream = container.streams.video[0]
            self.size = SensorSize(stream.width, stream.height)
            self._period_us = 1e6 / float(stream.average_rate or 25)
            self.duration_us = round(max(stream.frames - 1, 0) * self._period_us)
        self._path = path
        self._points: NDArray[np.float32] | None = None
        labels = path.with_suffix(".npz")
        if labels.is_file():
            points = np.load(labels, allow_pickle=False)["points98"]
            if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2):
                raise ConfigError(f"{labels}: points98", points.shape, "shape (frames, 98, 2)")
            self._points = points.astype(np.float32)

    def __iter__(self) -> Iterator[LabelledFrame]:
        """Yield frames of log light; those at the video's own instants have landmarks.

        Raises:
            EventFormatError: a video of fewer than two frames.
            RuntimeUnavailable: PyAV or OpenCV is missing.
        """
        try:
            import cv2
        except ImportError:
            raise RuntimeUnavailable(
                "interpolating video needs OpenCV: pip install 'evface-edge[train]'"
            ) from None
        flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        before: NDArray[np.uint8] | None = None
        count = 0
        with _open(self._path) as container:
            for index, image in enumerate(container.decode(video=0)):
                grey: NDArray[np.uint8] = image.to_ndarray(format="gray")
                count += 1
                if before is not None:
                    flow = np.asarray(flow_of.calc(before, grey, None))  # type: ignore[call-overload]
                    farthest = float(np.percentile(np.hypot(flow[..., 0], flow[..., 1]), 99))
                    steps = min(max(4, math.ceil(farthest / MAX_MOTION_PX)), MAX_SUBFRAMES)
                    for part in range(1, steps):
                        between = _between(cv2, before, grey, flow, part / steps)
                        t_us = round((index - 1 + part / steps) * self._period_us)
                        yield LabelledFrame(Frame(t_us, log_light(between)), None)
                own = Frame(round(index * self._period_us), log_light(grey.astype(np.float32)))
                points = self._points
                labelled = points is not None and index < len(points)
                yield LabelledFrame(own, points[index] if labelled and points is not None else None)
                before = grey
        if count < 2:
            raise EventFormatError(f"{count} frame: motion needs two or more", path=self._path)


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


def _between(
    cv2: Any,
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    flow: NDArray[np.float32],
    fraction: float,
) -> NDArray[np.float32]:
    """Return both neighbours moved along the flow to this instant, weighted by nearness."""
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
