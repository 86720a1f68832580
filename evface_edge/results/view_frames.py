"""The frames that viewers show, made while a predictor reads the same source.

    frames = ViewFrames(source)
    for t_us, faces in predictor.stream(frames.source):
        for frame in frames.advance(t_us, faces):
            writer.add(view_frame_image(frame, source.size))
    for frame in frames.finish():
        writer.add(view_frame_image(frame, source.size))

`show_results` is this loop. The predictor reads packets from `frames.source`, which keeps them
until their frame is made: memory holds what the predictor has read ahead and one frame's events.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, joined
from evface_edge.events.source import EventSource, SourceWrapper
from evface_edge.results.face import FaceLandmarks

#: Events of a shorter time show no shapes.
ACCUMULATION_US = 20_000

#: A time without events and faces is shown for this long, then skipped.
MAX_PAUSE_US = 2_000_000

# Long packets are kept in pieces of this many events, so that memory is freed early.
_PIECE = 1 << 16


class _Tee(SourceWrapper):
    """A source that keeps the packets it has yielded."""

    def __init__(self, source: EventSource) -> None:
        super().__init__(source)
        self.packets: deque[EventArray] = deque()

    def __iter__(self) -> Iterator[EventArray]:
        for packet in self._source:
            for start in range(0, len(packet), _PIECE):
                self.packets.append(packet[start : start + _PIECE])
            yield packet

    def take(self, start_us: int, stop_us: int) -> EventArray:
        """Events of (start_us, stop_us]; earlier packets are dropped."""
        while self.packets and self.packets[0]["t"][-1] <= start_us:
            self.packets.popleft()
        parts: list[EventArray] = []
        for packet in self.packets:
            first, last = np.searchsorted(packet["t"], (start_us, stop_us), side="right")
            if first == len(packet) or last == 0:
                break
            parts.append(packet[first:last])
        return joined(parts)

    def next_after(self, t_us: int, *, default: int) -> int:
        """Time of the first kept event after `t_us`, µs."""
        for packet in self.packets:
            if packet["t"][-1] > t_us:
                return int(packet["t"][np.searchsorted(packet["t"], t_us, side="right")])
        return default


@dataclass(frozen=True, eq=False)
class ViewFrame:
    """What is shown at one instant.

    Attributes:
        t_us: the instant, µs.
        seconds: since the first event.
        events: (N,) of the last `window_us`.
        window_us: the duration that `events` cover, µs.
        faces: the newest faces at that instant; None if there is no predictor.
    """

    t_us: int
    seconds: float
    events: EventArray
    window_us: int
    faces: Sequence[FaceLandmarks] | None

    @property
    def rate_hz(self) -> float:
        """Events per second."""
        return 1e6 * len(self.events) / self.window_us


class ViewFrames:
    """Frames at a fixed rate, from a source and the results of a predictor that reads it.

    A frame has the newest faces and the events since the previous frame, or of the last
    `accumulation_us` if that is longer.

    Args:
        source: to be read by the predictor through `ViewFrames.source`.
        fps: frames per second of the video.
        speed: seconds of the recording ÷ seconds of the video; 0.1 is slow motion.
        accumulation_us: shortest duration of a frame's events, µs.

    Raises:
        ConfigError: a number that is not above 0.
    """

    def __init__(
        self,
        source: EventSource,
        *,
        fps: float = 25,
        speed: float = 1,
        accumulation_us: int = ACCUMULATION_US,
    ) -> None:
        numbers = (("fps", fps), ("speed", speed), ("accumulation_us", accumulation_us))
        for field, value in numbers:
            if not value > 0:
                raise ConfigError(field, value, "a number above 0")
        self.source = _Tee(source)
        self._interval_us = max(1e6 * speed / fps, 1.0)
        self._window_us = max(round(self._interval_us), accumulation_us)
        self._faces: Sequence[FaceLandmarks] | None = None
        self._start_us: int | None = None
        self._active_us = 0
        self._step = 1
        self._count = 0

    def advance(
        self, t_us: int, faces: Sequence[FaceLandmarks] | None = None
    ) -> Iterator[ViewFrame]:
        """The frames due before `t_us`, which must not decrease; later ones show `faces`."""
        yield from self._due(t_us)
        self._faces = faces
        if faces:
            self._active_us = t_us

    def finish(self) -> Iterator[ViewFrame]:
        """The frames up to the last event; there is at least one frame in all."""
        last_us = int(self.source.packets[-1]["t"][-1]) if self.source.packets else None
        if last_us is not None:
            yield from self._due(last_us + 1)
        if not self._count:
            stop_us = last_us or 0
            yield self._frame(stop_us, self.source.take(stop_us - self._window_us, stop_us))

    def _due(self, until_us: int) -> Iterator[ViewFrame]:
        if self._start_us is None:
            if not self.source.packets:
                return
            self._start_us = self._active_us = int(self.source.packets[0]["t"][0])
        while (due_us := self._start_us + round(self._step * self._interval_us)) < until_us:
            self._step += 1
            events = self.source.take(due_us - self._window_us, due_us)
            if len(events):
                self._active_us = due_us
            elif due_us - self._active_us > MAX_PAUSE_US:
                resume_us = min(self.source.next_after(due_us, default=until_us), until_us)
                skipped = math.ceil((resume_us - self._start_us) / self._interval_us)
                self._step = max(self._step, skipped)
                continue
            yield self._frame(due_us, events)

    def _frame(self, due_us: int, events: EventArray) -> ViewFrame:
        self._count += 1
        start_us = due_us if self._start_us is None else self._start_us
        return ViewFrame(due_us, (due_us - start_us) / 1e6, events, self._window_us, self._faces)
