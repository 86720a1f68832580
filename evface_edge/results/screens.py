"""What can show a run while it goes on: videos, and the viewers of `results.rerun_screen`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from evface_edge.geometry import SensorSize
from evface_edge.results.drawing import draw_moment
from evface_edge.results.face import FaceLandmarks
from evface_edge.results.moments import Moment, Moments
from evface_edge.results.video import Film

Result = tuple[int, list[FaceLandmarks]]


class Screen(Protocol):
    """Shows what it is given, in order of time."""

    def add_result(self, t_us: int, faces: Sequence[FaceLandmarks]) -> None:
        """The faces of one output instant."""

    def add_moment(self, moment: Moment, size: SensorSize) -> None:
        """Events and newest faces, some ten times a second."""


class VideoScreen:
    """Videos of one run: each moment is drawn once.

    Args:
        text: put into each image, such as the model's name.
    """

    def __init__(self, videos: Sequence[Film], *, text: str = "") -> None:
        self._films = videos
        self._text = text

    def add_result(self, t_us: int, faces: Sequence[FaceLandmarks]) -> None:
        """Videos show moments alone."""

    def add_moment(self, moment: Moment, size: SensorSize) -> None:
        image = draw_moment(moment, size, text=self._text)
        for video in self._films:
            video.add(image)


def show_results(
    results: Iterable[Result], moments: Moments, screens: Sequence[Screen]
) -> Iterator[Result]:
    """The results as they are; on the way, they and the moments go to the screens.

    Args:
        results: of a predictor that reads `moments.source`.
    """
    for t_us, faces in results:
        _show(moments.advance(t_us, faces), moments, screens)
        for screen in screens:
            screen.add_result(t_us, faces)
        yield t_us, faces
    _show(moments.finish(), moments, screens)


def show_events(moments: Moments, screens: Sequence[Screen]) -> Iterator[int]:
    """A source's events to the screens, without faces; yields the time of each packet, µs."""
    for packet in moments.source:
        t_us = int(packet["t"][-1])
        _show(moments.advance(t_us), moments, screens)
        yield t_us
    _show(moments.finish(), moments, screens)


def _show(due: Iterable[Moment], moments: Moments, screens: Sequence[Screen]) -> None:
    for moment in due:
        for screen in screens:
            screen.add_moment(moment, moments.source.size)
