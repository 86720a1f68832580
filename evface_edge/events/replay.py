"""A recording in its own time: `replay:FILE?speed=1`, for trying what a camera would do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.events.opening import open_recording
from evface_edge.events.recording import Recording
from evface_edge.events.uri import SourceName
from evface_edge.geometry import SensorSize

_Number = TypeVar("_Number", int, float)


class Replay:
    """Delivers the events of a recording when they are due, in packets of up to `packet_us`.

    A consumer that is too slow gets every packet, late; with `max_lag_us`, packets that are later
    than that are dropped and counted, as a camera does.

    Attributes:
        lag_us: how late the last packet was, in time of the wall.
    """

    live = True

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 1.0,
        packet_us: int = 1000,
        max_lag_us: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            speed: 2 plays twice as fast.
            clock, sleep: seconds; given by tests.

        Raises:
            ConfigError: a speed that is not above 0, a duration below 1 µs.
        """
        if not 0 < speed < float("inf"):
            raise ConfigError("speed", speed, "a number above 0")
        if packet_us < 1:
            raise ConfigError("packet_us", packet_us, "1 or more")
        if max_lag_us is not None and max_lag_us < 0:
            raise ConfigError("max_lag_us", max_lag_us, "0 or more")
        self.size = recording.size
        self.counters = recording.counters
        self.lag_us = 0
        self._recording, self._speed = recording, speed
        self._packet_us, self._max_lag_us = packet_us, max_lag_us
        self._clock, self._sleep = clock, sleep

    def __iter__(self) -> Iterator[EventArray]:
        self.counters.packets_dropped = 0
        begin_s, first_us, end_us = self._clock(), None, 0
        for packet in self._recording:
            first = int(packet["t"][0])
            if first_us is None:
                first_us = end_us = first
            while len(packet):
                if int(packet["t"][0]) >= end_us:
                    steps = (int(packet["t"][0]) - first_us) // self._packet_us + 1
                    end_us = first_us + steps * self._packet_us
                count = int(np.searchsorted(packet["t"], end_us))
                part, packet = packet[:count], packet[count:]
                due_s = begin_s + (int(part["t"][-1]) - first_us) / 1e6 / self._speed
                early_s = due_s - self._clock()
                if early_s > 0:
                    self._sleep(early_s)
                self.lag_us = max(0, round(-early_s * 1e6))
                if self._max_lag_us is not None and self.lag_us > self._max_lag_us:
                    self.counters.packets_dropped += 1
                    continue
                yield part

    def close(self) -> None:
        self._recording.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_replay(name: SourceName, *, size: SensorSize | None, strict: bool) -> Replay:
    """Opens `replay:FILE?speed=1&packet_us=1000&max_lag_us=20000` and the options of the file.

    Raises:
        ConfigError: an option that is no number, or does not exist.
        EventFormatError: the file cannot be read.
    """
    options = dict(name.options)
    speed = _number(options.pop("speed", "1"), "speed", float)
    packet_us = _number(options.pop("packet_us", "1000"), "packet_us", int)
    lag = options.pop("max_lag_us", None)
    max_lag_us = None if lag is None else _number(lag, "max_lag_us", int)
    recording = open_recording(SourceName("", name.name, options), size=size, strict=strict)
    return Replay(recording, speed=speed, packet_us=packet_us, max_lag_us=max_lag_us)


def _number(text: str, field: str, kind: type[_Number]) -> _Number:
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(field, text, "a number") from None
