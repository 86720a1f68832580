"""Viewers show a run while it goes on: videos, and those of `results.rerun_viewer`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from evface_edge.geometry import SensorSize
from evface_edge.results.drawing import view_frame_image
from evface_edge.results.face import FaceLandmarks
from evface_edge.results.video import VideoWriter
from evface_edge.results.view_frames import ViewFrame, ViewFrames

Result = tuple[int, list[FaceLandmarks]]


class Viewer(Protocol):
    """Shows results and frames, in order of time."""

    def add_result(self, t_us: int, faces: Sequence[FaceLandmarks]) -> None:
        """Show the faces of one output instant."""

    def add_frame(self, frame: ViewFrame, size: SensorSize) -> None:
        """Show events and the newest faces."""


class VideoViewer:
    """Writes the same images to several videos.

    Args:
        writers: of `open_video`.
        text: put into each image, such as the model's name.
    """

    def __init__(self, writers: Sequence[VideoWriter], *, text: str = "") -> None:
        self._writers = writers
        self._text = text

    def add_result(self, t_us: int, faces: Sequence[FaceLandmarks]) -> None:
        """Do nothing: videos show frames only."""

    def add_frame(self, frame: ViewFrame, size: SensorSize) -> None:
        image = view_frame_image(frame, size, text=self._text)
        for writer in self._writers:
            writer.add(image)


def show_results(
    results: Iterable[Result], frames: ViewFrames, viewers: Sequence[Viewer]
) -> Iterator[Result]:
    """Pass results on unchanged, and send them and the frames to the viewers.

    Args:
        results: of a predictor that reads `frames.source`.
    """
    for t_us, faces in results:
        _show(frames.advance(t_us, faces), frames, viewers)
        for viewer in viewers:
            viewer.add_result(t_us, faces)
        yield t_us, faces
    _show(frames.finish(), frames, viewers)


def show_events(frames: ViewFrames, viewers: Sequence[Viewer]) -> Iterator[int]:
    """Send events without faces to the viewers; yields the last time of each packet, µs."""
    for packet in frames.source:
        t_us = int(packet["t"][-1])
        _show(frames.advance(t_us), frames, viewers)
        yield t_us
    _show(frames.finish(), frames, viewers)


def _show(due: Iterable[ViewFrame], frames: ViewFrames, viewers: Sequence[Viewer]) -> None:
    for frame in due:
        for viewer in viewers:
            viewer.add_frame(frame, frames.source.size)
