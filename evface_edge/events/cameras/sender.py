"""Sending events as a DV network stream, for `dv://host:port`, DV or dv-processing to read.

The wire is written here rather than by dv-processing, whose writer keeps everything that a stalled
reader does not take, and stops the process for ever when it is closed before its readers.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from collections import deque
from types import TracebackType
from xml.sax.saxutils import escape

import numpy as np

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events.array import EventArray, check_events
from evface_edge.events.formats.aedat4 import EVENT
from evface_edge.geometry import SensorSize

logger = logging.getLogger(__name__)

#: Large enough for the rate, small enough to arrive soon.
_PACKET_EVENTS = 20_000
#: What may wait for one reader.
_MAX_QUEUED_BYTES = 32 << 20
_MAX_QUEUED_PACKETS = 16384
_CLOSE_TIMEOUT_S = 2.0
#: How soon it is noticed that a reader left while nothing is sent.
_LOOK_S = 0.2


class NetworkSender:
    """A server that sends events to every reader that connects; a context manager.

    A reader that is too slow holds up neither the sender nor other readers: what waits for it is
    bounded, and the oldest packets are dropped and counted. What is sent while nobody reads is
    gone. May be used from several threads, though events have to be in order of time.

    Attributes:
        port: the one it listens at.
        events: handed to `send` so far.
        events_dropped: summed over all readers.
    """

    def __init__(
        self, host: str, port: int, size: SensorSize, *, name: str = "evface-edge"
    ) -> None:
        """
        Args:
            host: an address of this machine, "127.0.0.1" or, for all networks, "0.0.0.0". There is
                no encryption and no password.
            port: 0 takes a free one.
            name: of the camera, for the reader.

        Raises:
            ConfigError: no such port.
            CameraError: the port is taken, or the address is none of this machine.
        """
        self._size = size
        self._header = _header(size, name)
        self.events = self.events_dropped = 0
        self._lock = threading.Lock()
        self._readers: list[_Reader] = []
        if not 0 <= port <= 65535:
            raise ConfigError("port", port, "0 to 65535")
        try:
            self._server = socket.create_server((host, port))
        except OSError as error:
            why = error.strerror or str(error)
            raise CameraError(
                f"cannot send at {host}:{port} ({why}): is the port taken?"
            ) from error
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="dv sender", daemon=True)
        self._thread.start()

    @property
    def readers(self) -> int:
        """How many are connected."""
        with self._lock:
            return sum(reader.alive for reader in self._readers)

    def send(self, events: EventArray) -> None:
        """Sends events (N,), which come after those sent before; does not wait.

        Raises:
            EventFormatError: they are damaged, or outside the sensor.
        """
        check_events(events, self._size)
        for start in range(0, len(events), _PACKET_EVENTS):
            part = events[start : start + _PACKET_EVENTS]
            packet = _packet(part)
            with self._lock:
                self.events += len(part)
                self._readers = [reader for reader in self._readers if reader.alive]
                for reader in self._readers:
                    self.events_dropped += reader.push(packet, len(part))

    def close(self) -> None:
        """Sends what waits, for two seconds at most, and hangs up."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(_CLOSE_TIMEOUT_S)
        for reader in self._readers:
            reader.finish()
        for reader in self._readers:
            reader.join()

    def __enter__(self) -> NetworkSender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._server.accept()
            except OSError:  # closed
                return
            logger.info("%s reads", address[0])
            with self._lock:
                self._readers.append(_Reader(connection, self._header))


class _Reader:
    """One connection, its queue, and the thread that empties it."""

    def __init__(self, connection: socket.socket, header: bytes) -> None:
        self._connection = connection
        self._waiting: deque[tuple[bytes, int]] = deque([(header, 0)])
        self._waiting_bytes = len(header)
        self._changed = threading.Condition()
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="dv reader", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def push(self, packet: bytes, count: int) -> int:
        """Queues a packet of so many events; returns how many older ones had to go."""
        dropped = 0
        with self._changed:
            self._waiting.append((packet, count))
            self._waiting_bytes += len(packet)
            # The header, which holds no events, is never dropped.
            while self._waiting[0][1] and (
                self._waiting_bytes > _MAX_QUEUED_BYTES or len(self._waiting) > _MAX_QUEUED_PACKETS
            ):
                oldest, events = self._waiting.popleft()
                self._waiting_bytes -= len(oldest)
                dropped += events
            self._changed.notify()
        return dropped

    def finish(self) -> None:
        """Nothing more will be pushed."""
        with self._changed:
            self._finished = True
            self._changed.notify()

    def join(self) -> None:
        self._thread.join(_CLOSE_TIMEOUT_S)
        if self.alive:  # the other side does not read
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        with self._connection, contextlib.suppress(OSError):
            while not self._left():
                with self._changed:
                    if not self._waiting:
                        if self._finished:
                            return
                        self._changed.wait(_LOOK_S)
                        continue
                    packet = self._waiting.popleft()[0]
                    self._waiting_bytes -= len(packet)
                self._connection.sendall(packet)

    def _left(self) -> bool:
        """Whether the reader hung up; it has nothing else to say."""
        try:
            return not self._connection.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False


def _packet(events: EventArray) -> bytes:
    """Number of the stream, length, and an EventPacket: one vector of structs of 16 bytes."""
    records = np.zeros(len(events), EVENT)
    for name in "txyp":
        records[name] = events[name]
    body = records.tobytes()
    # Root at 16; a table of 8 bytes at 20 whose only field, at 4, leads to the vector at 28.
    head = struct.pack("<I4s2xHHHiII", 16, b"EVTS", 6, 8, 4, 6, 4, len(events))
    return struct.pack("<iiI", 0, 4 + len(head) + len(body), len(head) + len(body)) + head + body


def _header(size: SensorSize, name: str) -> bytes:
    """An IOHeader: no compression, no table of data, and the tree of XML that describes streams."""

    def attribute(key: str, kind: str, value: object) -> str:
        return f'<attr key="{key}" type="{kind}">{escape(str(value))}</attr>'

    tree = (
        '<dv version="2.0"><node name="outInfo" path="/outInfo/">'
        '<node name="0" path="/outInfo/0/">'
        + attribute("compression", "string", "NONE")
        + attribute("originalModuleName", "string", "evface-edge")
        + attribute("originalOutputName", "string", "events")
        + attribute("typeDescription", "string", "Array of events (polarity ON/OFF).")
        + attribute("typeIdentifier", "string", "EVTS")
        + '<node name="info" path="/outInfo/0/info/">'
        + attribute("sizeX", "int", size.width)
        + attribute("sizeY", "int", size.height)
        + attribute("source", "string", name)
        + "</node></node></node></dv>"
    ).encode()
    # Root at 24; its table of 24 bytes has the compression at 4, the position of a table of data
    # (none: -1) at 12, and at 8 the way to the text.
    head = struct.pack(
        "<I4s6xHHHHHiiIq4xI", 24, b"IOHE", 10, 24, 4, 12, 8, 10, 0, 16, -1, len(tree)
    )
    body = head + tree + b"\0" * (4 - len(tree) % 4)
    return struct.pack("<I", len(body)) + body
