"""A recording replayed in real time as if by a camera, `replay:FILE?speed=1`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray, copied
from evface_edge.events.cameras.driver import POLL_S, Batch, EndOfStream, Opener, Request
from evface_edge.events.cameras.options import boolean, integer, number
from evface_edge.events.opening import open_recording
from evface_edge.events.recording import Recording
from evface_edge.events.uri import SourceName


def prepare(request: Request) -> Opener:
    """Opens the file at once, so that EventFormatError is raised before anything runs.

    Options: `speed`, `packet_us`, `loop=1` to start again at the end, and those of the format.
    """
    options = dict(request.options)
    speed = number("speed", options.pop("speed", "1"))
    packet_us = integer("packet_us", options.pop("packet_us", "1000"), 1, 10_000_000)
    loop = boolean("loop", options.pop("loop", "0"))
    recording = open_recording(
        SourceName("", request.name, options), size=request.size, damage=request.damage
    )
    return lambda: Replay(recording, speed=speed, packet_us=packet_us, loop=loop)


class Replay:
    """A driver that delivers the events of a recording when they are due."""

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 1.0,
        packet_us: int = 1000,
        loop: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            speed: 2 plays twice as fast.
            packet_us: longest duration of a packet, in the time of the recording.
            clock, sleep: in seconds; for tests.

        Raises:
            ConfigError: `speed` is not above 0, or `packet_us` is below 1.
        """
        if not 0 < speed < float("inf"):
            raise ConfigError("speed", speed, "a number above 0")
        if packet_us < 1:
            raise ConfigError("packet_us", packet_us, "1 or more")
        self.title = f"replay of {recording.path}"
        self.size = recording.size
        self._recording = recording
        self._speed, self._packet_us = speed, packet_us
        self._clock, self._sleep = clock, sleep
        self._packets = self._all_packets(loop)
        self._next: EventArray | None = None
        self._begin_s: float | None = None
        self._first_us = 0

    def read(self) -> Batch | None:
        if self._next is None:
            self._next = next(self._packets, None)
            if self._next is None:
                raise EndOfStream
        packet = self._next
        if self._begin_s is None:
            self._begin_s, self._first_us = self._clock(), int(packet["t"][0])
        due_s = self._begin_s + (int(packet["t"][-1]) - self._first_us) / 1e6 / self._speed
        early_s = due_s - self._clock()
        if early_s > 0:
            self._sleep(min(early_s, POLL_S))
        if early_s > POLL_S:
            return None
        self._next = None
        return Batch(packet["t"], packet["x"], packet["y"], packet["p"])

    def close(self) -> None:
        self._recording.close()

    def _all_packets(self, loop: bool) -> Iterator[EventArray]:
        """Yields packets of at most `packet_us`; the timestamps of a second round continue."""
        origin_us: int | None = None
        shift_us = 0
        while True:
            last_us: int | None = None
            for packet in self._recording:
                origin_us = int(packet["t"][0]) if origin_us is None else origin_us
                if shift_us:
                    packet = copied(packet)
                    packet["t"] += shift_us
                last_us = int(packet["t"][-1])
                yield from self._split(packet, origin_us)
            if last_us is None or origin_us is None or not loop:
                return
            shift_us = last_us + 1 - origin_us

    def _split(self, packet: EventArray, origin_us: int) -> Iterator[EventArray]:
        """Splits at multiples of `packet_us` after the first event of the recording."""
        times = np.ascontiguousarray(packet["t"])
        start = 0
        while start < len(times):
            steps = (int(times[start]) - origin_us) // self._packet_us + 1
            end_us = origin_us + steps * self._packet_us
            stop = start + int(np.searchsorted(times[start:], end_us))
            yield packet[start:stop]
            start = stop
