"""Events from a DV network stream, `dv://host:port`: DV, dv-processing, or NetworkSender.

The stream has the parts of an AEDAT 4 file: a header that starts with its length, then packets,
each after the number of its stream and its length (`formats/dv_packets.py`). dv-processing is not
used: its reader ends the process at a damaged packet, and blocks it if the host sends nothing.
"""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import CameraError, ConfigError, EventFormatError, first_line
from evface_edge.events.cameras.driver import POLL_S, Batch, Driver, Opener, Request
from evface_edge.events.cameras.options import check_empty
from evface_edge.events.formats.compression import decompressor
from evface_edge.events.formats.dv_packets import EVENT, Table, parse_header
from evface_edge.events.formats.options import parse_stream
from evface_edge.geometry import SensorSize

CONNECT_TIMEOUT_S = 5.0
_HEADER_LIMIT_BYTES = 1 << 20
#: Four million events; dv-processing sends packets of thousands.
_PACKET_LIMIT_BYTES = 64 << 20
#: A lost host is detected after 5 + 3 × 2 seconds.
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))


def prepare(request: Request) -> Opener:
    host, port = parse_address(request.name)
    options = dict(request.options)
    number = options.pop("stream", None)
    stream = None if number is None else parse_stream(number)
    allowed = ("width", "height", "stream", "damage", "queue_events", "max_lag_us", "reconnect")
    check_empty(options, "dv://", allowed)
    return lambda: connect(host, port, request.size, stream)


def parse_address(text: str) -> tuple[str, int]:
    """Parses `host:port`, with an IPv6 address in brackets; ConfigError if it is not that."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:/?#]+)):([0-9]{1,5})/?", text)
    if match is None or not 1 <= int(match[3]) <= 65535:
        raise ConfigError("dv://", text, "host:port, such as dv://192.168.0.7:7777")
    return match[1] or match[2], int(match[3])


def connect(host: str, port: int, size: SensorSize | None, stream: int | None = None) -> Driver:
    """Connects to a sender; CameraError if there is no answer, or no stream of events."""
    address = f"{host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S)
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror
        raise CameraError(
            f"cannot connect to dv://{address} ({why or first_line(error)}): check that the sender "
            "runs and that the port is open"
        ) from error
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return _Network(connection, address, size, stream)
    except BaseException:
        connection.close()
        raise


class _Network:
    def __init__(
        self,
        connection: socket.socket,
        address: str,
        size: SensorSize | None,
        number: int | None,
    ) -> None:
        self._connection, self._address = connection, address
        self._head = bytearray(8)
        self._into = memoryview(self._head)
        self._filled = 0
        self._body: bytearray | None = None
        data = self._receive_header()
        try:
            header = parse_header(data, Path(address))
        except (ValueError, EventFormatError) as error:
            raise CameraError(
                f"dv://{address} sends a damaged header: {first_line(error)}"
            ) from error
        if not header.streams:
            raise CameraError(
                f"dv://{address} sends {header.kinds}, expected a stream of events (EVTS)"
            )
        try:
            self._stream, stream = header.choose(Path(f"dv://{address}"), number)
        except EventFormatError as error:
            raise CameraError(str(error)) from None
        chosen = size or stream.size
        if chosen is None:
            raise CameraError(
                f"dv://{address} does not state the sensor size: give it as "
                f"'dv://{address}?width=640&height=480', with the numbers of the sensor"
            )
        self.size = chosen
        self._decompress: Any = decompressor(header.compression, address, _PACKET_LIMIT_BYTES)
        self.title = f"dv://{address}"
        # The operating system waits for a whole packet: every return to Python may have to wait
        # until a busy consumer releases the interpreter lock.
        connection.setblocking(True)
        wait = struct.pack("@ll", 0, round(POLL_S * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)

    def read(self) -> Batch | None:
        while True:
            try:
                if not self._fill():
                    return None
            except OSError as error:
                raise self._broken(error.strerror or first_line(error)) from error
            if self._body is None:
                stream, length = struct.unpack("<ii", self._head)
                if not 8 <= length <= _PACKET_LIMIT_BYTES:
                    raise self._damaged(f"a packet of {length} bytes")
                self._keep = stream == self._stream
                self._expect(bytearray(length))
                continue
            body, keep = self._body, self._keep
            self._expect(None)
            if keep:
                return self._decode(bytes(body))

    def close(self) -> None:
        self._connection.close()

    def _expect(self, body: bytearray | None) -> None:
        """Sets what to receive next: a body, or else the eight bytes before one."""
        self._body = body
        self._into, self._filled = memoryview(self._head if body is None else body), 0

    def _fill(self) -> bool:
        """Receives; returns whether it is complete."""
        while self._filled < len(self._into):
            try:
                part = self._into[self._filled :]
                count = self._connection.recv_into(part, 0, socket.MSG_WAITALL)
            except BlockingIOError:
                return False
            if not count:
                within = self._filled or self._body is not None
                raise self._broken("the sender closed it" + (" within a packet" if within else ""))
            self._filled += count
        return True

    def _decode(self, body: bytes) -> Batch | None:
        try:
            data = self._decompress(body)
            if data[8:12] != b"EVTS":
                raise ValueError("it is not an EventPacket")
            events: np.ndarray[Any, Any] = Table.root(data).structs(0, EVENT)
        except (ValueError, RuntimeError, EOFError) as error:
            raise self._damaged(f"a damaged packet: {first_line(error)}") from error
        if not len(events):
            return None
        return Batch(events["t"], events["x"], events["y"], events["p"])

    def _receive_header(self) -> bytes:
        try:
            head = self._receive(12)
            length = int.from_bytes(head[:4], "little")
            if head[8:12] != b"IOHE" or not 12 <= length <= _HEADER_LIMIT_BYTES:
                raise CameraError(f"{self._address} does not send a DV network stream")
            return head + self._receive(length - 8)
        except OSError as error:
            why = "it sends nothing" if isinstance(error, TimeoutError) else first_line(error)
            raise CameraError(
                f"{self._address} does not send a DV network stream ({why})"
            ) from error

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._connection.recv(count - len(data))
            if not part:
                raise ConnectionError("it closed the connection")
            data += part
        return bytes(data)

    def _broken(self, why: str) -> CameraError:
        return CameraError(f"the stream dv://{self._address} was interrupted: {why}")

    def _damaged(self, what: str) -> CameraError:
        return CameraError(f"dv://{self._address} sends {what}: the stream cannot be continued")
