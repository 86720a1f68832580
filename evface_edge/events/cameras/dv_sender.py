"""Sending of events as a DV network stream, for `dv://host:port`, DV or dv-processing.

dv-processing is not used: its writer keeps everything that a stalled reader does not receive, and
blocks the process for ever if it is closed before its readers.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from xml.sax.saxutils import escape

import numpy as np

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events.array import EventArray, check_events, copied
from evface_edge.events.cameras.packet_queue import PacketQueue
from evface_edge.events.formats.dv_packets import EVENT
from evface_edge.geometry import SensorSize

logger = logging.getLogger(__name__)

#: Large enough for high rates, small enough for a low latency.
_PACKET_EVENTS = 20_000
#: Limit of the queue of one reader.
_MAX_QUEUED_EVENTS = 2_000_000
_CLOSE_TIMEOUT_S = 2.0
#: How often a disconnected reader is looked for while nothing is sent.
_CHECK_S = 0.2


class NetworkSender:
    """A server that sends events to every reader that connects; a context manager.

    A slow reader delays neither the sender nor other readers: its queue is bounded, and the oldest
    packets are dropped and counted. Without a reader, events are discarded. It may be used from
    several threads, but events must be in order of time.

    Attributes:
        port: that it listens on.
        events: given to `send` so far.
        events_dropped: sum over all readers.
    """

    def __init__(
        self, host: str, port: int, size: SensorSize, *, name: str = "evface-edge"
    ) -> None:
        """
        Args:
            host: an address of this host, "127.0.0.1", or "0.0.0.0" for all networks. The stream
                has no encryption and no password.
            port: 0 chooses a free one.
            name: of the camera, for readers.

        Raises:
            ConfigError: an impossible port.
            CameraError: the port is in use, or the address is not one of this host.
        """
        self._size = size
        self._header = _header(size, name)
        self.events = self._dropped_before = 0
        self._lock = threading.Lock()
        self._readers: list[_Reader] = []
        if not 0 <= port <= 65535:
            raise ConfigError("port", port, "0 to 65535")
        try:
            self._server = socket.create_server((host, port))
        except OSError as error:
            why = error.strerror or str(error)
            raise CameraError(
                f"cannot send at {host}:{port} ({why}): choose a free port"
            ) from error
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="dv sender", daemon=True)
        self._thread.start()

    @property
    def events_dropped(self) -> int:
        with self._lock:
            current = sum(reader.queue.counts().dropped for reader in self._readers)
            return self._dropped_before + current

    @property
    def readers(self) -> int:
        """Number of connected readers."""
        with self._lock:
            return sum(reader.alive for reader in self._readers)

    def send(self, events: EventArray) -> None:
        """Sends events (N,), which follow those sent before; does not wait.

        Raises:
            EventFormatError: they are invalid.
        """
        check_events(events, self._size)
        for start in range(0, len(events), _PACKET_EVENTS):
            part = copied(events[start : start + _PACKET_EVENTS])
            with self._lock:
                self.events += len(part)
                self._remove_disconnected()
                for reader in self._readers:
                    reader.queue.push(part)

    def close(self) -> None:
        """Sends the waiting packets, for at most two seconds, and closes all connections."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(_CLOSE_TIMEOUT_S)
        for reader in self._readers:
            reader.queue.finish()
        for reader in self._readers:
            reader.join()

    def __enter__(self) -> NetworkSender:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _remove_disconnected(self) -> None:
        for reader in [reader for reader in self._readers if not reader.alive]:
            self._dropped_before += reader.queue.counts().dropped
            self._readers.remove(reader)

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._server.accept()
            except OSError:  # closed
                return
            logger.info("reader %s connected", address[0])
            with self._lock:
                self._readers.append(_Reader(connection, self._header))


class _Reader:
    """One connection, its queue, and the thread that sends it."""

    def __init__(self, connection: socket.socket, header: bytes) -> None:
        self.queue = PacketQueue(_MAX_QUEUED_EVENTS)
        self._connection, self._header = connection, header
        self._thread = threading.Thread(target=self._run, name="dv reader", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(_CLOSE_TIMEOUT_S)
        if self.alive:  # the reader does not receive
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        with self._connection, contextlib.suppress(OSError):
            self._connection.sendall(self._header)
            while not self._disconnected():
                try:
                    events = self.queue.take(_CHECK_S)
                except TimeoutError:
                    continue
                if events is None:
                    return
                self._connection.sendall(_packet(events))

    def _disconnected(self) -> bool:
        """Whether the reader closed the connection; it sends nothing else."""
        try:
            return not self._connection.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False


def _packet(events: EventArray) -> bytes:
    """Number of the stream, length, and an EventPacket with one vector of structs."""
    records = np.zeros(len(events), EVENT)
    for name in "txyp":
        records[name] = events[name]
    body = records.tobytes()
    # Root at 16; a table of 8 bytes at 20, whose only field, at 4, points to the vector at 28.
    head = struct.pack("<I4s2xHHHiII", 16, b"EVTS", 6, 8, 4, 6, 4, len(events))
    return struct.pack("<iiI", 0, 4 + len(head) + len(body), len(head) + len(body)) + head + body


def _header(size: SensorSize, name: str) -> bytes:
    """An IOHeader: no compression, no table of packets, and the XML tree that describes streams."""

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
    # Root at 24; its table of 24 bytes has the compression at 4, the offset of the text at 8, and
    # the position of a table of packets (-1: none) at 12.
    head = struct.pack(
        "<I4s6xHHHHHiiIq4xI", 24, b"IOHE", 10, 24, 4, 12, 8, 10, 0, 16, -1, len(tree)
    )
    body = head + tree + b"\0" * (4 - len(tree) % 4)
    return struct.pack("<I", len(body)) + body
