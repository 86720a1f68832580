"""The queue between the thread of a camera and its consumer, which drops the oldest packets."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from evface_edge.events.array import EventArray

#: Limits the overhead of many tiny packets.
MAX_PACKETS = 16384


@dataclass(frozen=True)
class QueueCounts:
    """Running totals of a queue: `received == delivered + dropped + waiting`.

    Attributes:
        received, delivered, dropped, waiting: events.
        packets_dropped: packets.
        waiting_us: time between the oldest and the newest waiting event.
    """

    received: int
    delivered: int
    dropped: int
    waiting: int
    packets_dropped: int
    waiting_us: int


class PacketQueue:
    """A queue of packets with a limited number of events; when it is full, it drops the oldest.

    One thread pushes and one takes. Packets are delivered whole and in order, or dropped.
    """

    def __init__(self, max_events: int, max_lag_us: int | None = None) -> None:
        """
        Args:
            max_events: that may wait; no packet may have more.
            max_lag_us: packets that end longer than this before the newest event are dropped.
        """
        self._max_events, self._max_lag_us = max_events, max_lag_us
        self._packets: deque[EventArray] = deque()
        self._changed = threading.Condition()
        self._received = self._delivered = self._dropped = self._packets_dropped = 0
        self._waiting = 0
        self._finished = False
        self._error: Exception | None = None

    def push(self, packet: EventArray) -> None:
        with self._changed:
            self._packets.append(packet)
            self._received += len(packet)
            self._waiting += len(packet)
            oldest_us = (
                None if self._max_lag_us is None else int(packet["t"][-1]) - self._max_lag_us
            )
            while len(self._packets) > 1 and (
                self._waiting > self._max_events
                or len(self._packets) > MAX_PACKETS
                or (oldest_us is not None and int(self._packets[0]["t"][-1]) < oldest_us)
            ):
                count = len(self._packets.popleft())
                self._waiting -= count
                self._dropped += count
                self._packets_dropped += 1
            self._changed.notify()

    def finish(self, error: Exception | None = None) -> None:
        """Ends the queue: `take` delivers the waiting packets, then raises `error` if given."""
        with self._changed:
            if not self._finished:
                self._finished, self._error = True, error
            self._changed.notify_all()

    def take(self, timeout_s: float | None = None) -> EventArray | None:
        """Waits for the oldest packet and returns it; None after the last one.

        Raises:
            TimeoutError: there was no packet for `timeout_s`.
            Exception: the one given to `finish`, after the last packet.
        """
        with self._changed:
            # With a timeout, so that Ctrl-C works on every system.
            while not self._packets and not self._finished:
                if not self._changed.wait(timeout_s or 0.5) and timeout_s is not None:
                    raise TimeoutError
            if not self._packets:
                if self._error is not None:
                    raise self._error
                return None
            packet = self._packets.popleft()
            self._waiting -= len(packet)
            self._delivered += len(packet)
            return packet

    def counts(self) -> QueueCounts:
        with self._changed:
            waiting_us = 0
            if self._packets:
                waiting_us = int(self._packets[-1]["t"][-1]) - int(self._packets[0]["t"][0])
            return QueueCounts(
                self._received,
                self._delivered,
                self._dropped,
                self._waiting,
                self._packets_dropped,
                waiting_us,
            )
