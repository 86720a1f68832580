"""One pass over a source that serves both the predictor and what shows its results.

    moments = Moments(source)
    for t_us, faces in predictor.stream(moments.source):
        for moment in moments.advance(t_us, faces):
            video.add(draw_moment(moment, source.size))
    for moment in moments.finish():
        video.add(draw_moment(moment, source.size))

The predictor draws packets from `moments.source`, which keeps each until it has been shown. What
is kept is what the predictor has read ahead of its results, and one moment's events.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, joined
from evface_edge.events.source import Counters, EventSource
from evface_edge.geometry import SensorSize
from evface_edge.results.face import FaceLandmarks

#: A moment has at least the events of this time: fewer make no shape.
ACCUMULATION_US = 20_000

#: A silence without events and results is shown for this long, then left out.
LONGEST_SILENCE_US = 2_000_000

# Packets are kept in pieces of so many events, so that a long one is let go bit by bit.
_PIECE = 1 << 16


class _Tee:
    """An event source that remembers the packets it has passed on."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self.size: SensorSize = source.size
        self.live: bool = source.live
        self.packets: deque[EventArray] = deque()

    @property
    def counters(self) -> Counters:
        return self._source.counters

    def __iter__(self) -> Iterator[EventArray]:
        for packet in self._source:
            for start in range(0, len(packet), _PIECE):
                self.packets.append(packet[start : start + _PIECE])
            yield packet

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> _Tee:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def take(self, start_us: int, stop_us: int) -> EventArray:
        """Events of (start_us, stop_us]; packets wholly before are forgotten."""
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
        """Time of the first event kept that is later than `t_us`, µs."""
        for packet in self.packets:
            if packet["t"][-1] > t_us:
                return int(packet["t"][np.searchsorted(packet["t"], t_us, side="right")])
        return default


@dataclass(frozen=True, eq=False)
class Moment:
    """What is shown at one instant.

    Attributes:
        t_us: the instant; seconds: since the first event.
        events: those of the last `window_us`.
        faces: the newest of that instant; None where nobody looks for faces.
    """

    t_us: int
    seconds: float
    events: EventArray
    window_us: int
    faces: Sequence[FaceLandmarks] | None

    @property
    def rate_hz(self) -> float:
        """Events a second."""
        return 1e6 * len(self.events) / self.window_us


class Moments:
    """Moments at a steady rate from a source and the results of a predictor that reads it.

    A moment has the events since the moment before, at least of `accumulation_us`, and the newest
    faces.

    Args:
        source: to be read by the predictor through `Moments.source`.
        fps: moments a second of the video.
        speed: seconds of the recording ÷ seconds of the video; 0.1 is slow motion.
        accumulation_us: time over which events are gathered, µs.

    Raises:
        ConfigError: a number not above 0.
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
        self._shown = 0

    def advance(self, t_us: int, faces: Sequence[FaceLandmarks] | None = None) -> Iterator[Moment]:
        """The moments due before `t_us`; from then on `faces` are shown. `t_us` never falls."""
        yield from self._due(t_us)
        self._faces = faces
        if faces:
            self._active_us = t_us

    def finish(self) -> Iterator[Moment]:
        """The moments up to the last event; at least one in all."""
        last_us = int(self.source.packets[-1]["t"][-1]) if self.source.packets else None
        if last_us is not None:
            yield from self._due(last_us + 1)
        if not self._shown:
            stop_us = last_us or 0
            yield self._moment(stop_us, self.source.take(stop_us - self._window_us, stop_us))

    def _due(self, until_us: int) -> Iterator[Moment]:
        if self._start_us is None:
            if not self.source.packets:
                return
            self._start_us = self._active_us = int(self.source.packets[0]["t"][0])
        while (due_us := self._start_us + round(self._step * self._interval_us)) < until_us:
            self._step += 1
            events = self.source.take(due_us - self._window_us, due_us)
            if len(events):
                self._active_us = due_us
            elif due_us - self._active_us > LONGEST_SILENCE_US:
                resume_us = min(self.source.next_after(due_us, default=until_us), until_us)
                skipped = math.ceil((resume_us - self._start_us) / self._interval_us)
                self._step = max(self._step, skipped)
                continue
            yield self._moment(due_us, events)

    def _moment(self, due_us: int, events: EventArray) -> Moment:
        self._shown += 1
        start_us = due_us if self._start_us is None else self._start_us
        return Moment(due_us, (due_us - start_us) / 1e6, events, self._window_us, self._faces)
