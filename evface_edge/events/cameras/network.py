"""Events from a DV network stream, `dv://host:port`: DV, dv-processing, or NetworkSender.

The wire has what an AEDAT 4 file has: a header that begins with its length, then packets, each
after the number of its stream and its length. It is read here rather than by dv-processing,
whose reader ends the whole process at a damaged packet and blocks it before a silent host.
"""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import CameraError, ConfigError, EventFormatError
from evface_edge.events.cameras.driver import POLL_S, Batch, Driver, Opener, Request
from evface_edge.events.cameras.options import refuse
from evface_edge.events.contents import reason

# The file format and the wire are one format, so its parts are shared.
from evface_edge.events.formats.aedat4 import COMPRESSIONS, EVENT, decompressor, event_streams
from evface_edge.events.formats.flatbuffer import Table
from evface_edge.geometry import SensorSize

CONNECT_TIMEOUT_S = 5.0
_HEADER_LIMIT_BYTES = 1 << 20
#: Four million events; dv-processing sends packets of thousands.
_PACKET_LIMIT_BYTES = 64 << 20
#: A host that vanished is noticed after 5 + 3 × 2 seconds.
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))


def prepare(request: Request) -> Opener:
    host, port = parse_address(request.name)
    refuse(request.options, "dv://", ("width", "height", "ring_events", "max_lag_us", "reconnect"))
    return lambda: connect(host, port, request.size)


def parse_address(text: str) -> tuple[str, int]:
    """`host:port`, where a host of IPv6 is in brackets.

    Raises:
        ConfigError: no such thing.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:/?#]+)):([0-9]{1,5})/?", text)
    if match is None or not 1 <= int(match[3]) <= 65535:
        raise ConfigError("dv://", text, "host:port, such as dv://192.168.0.7:7777")
    return match[1] or match[2], int(match[3])


def connect(host: str, port: int, size: SensorSize | None) -> Driver:
    """
    Raises:
        CameraError: nobody answers, or it is no stream of events.
    """
    address = f"{host}:{port}"
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S)
    except OSError as error:
        said = "no answer" if isinstance(error, TimeoutError) else error.strerror or reason(error)
        raise CameraError(
            f"nothing to read at dv://{address} ({said}): is the sender running, and the port open?"
        ) from error
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return _Network(connection, address, size)
    except BaseException:
        connection.close()
        raise


class _Network:
    def __init__(self, connection: socket.socket, address: str, size: SensorSize | None) -> None:
        self._connection, self._address = connection, address
        self._head = bytearray(8)
        self._into = memoryview(self._head)
        self._filled = 0
        self._body: bytearray | None = None
        header = self._header()
        try:
            table = Table.root(header)
            streams = event_streams(table.text(2), Path(address))
            compression = COMPRESSIONS.get(table.integer(0, "i", 0))
        except (ValueError, EventFormatError) as error:
            raise CameraError(f"dv://{address} sends a damaged header: {reason(error)}") from error
        events = [(number, named) for number, kind, named in streams if kind == "EVTS"]
        if not events or compression is None:
            kinds = ", ".join(kind for _, kind, _ in streams) or "nothing known"
            raise CameraError(f"dv://{address} sends {kinds}, expected a stream of events (EVTS)")
        self._stream, named = events[0]
        chosen = size or named
        if chosen is None:
            raise CameraError(
                f"dv://{address} does not say how large its sensor is: "
                f"name it as 'dv://{address}?width=640&height=480' with the true numbers"
            )
        self.size = chosen
        self._decompress: Any = decompressor(compression, Path(address))
        self.title = f"dv://{address}"
        # The system waits until a whole packet is there: each return to Python may have to wait
        # for a busy consumer to let go of the interpreter.
        connection.setblocking(True)
        wait = struct.pack("@ll", 0, round(POLL_S * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)

    def read(self) -> Batch | None:
        while True:
            try:
                if not self._fill():
                    return None
            except OSError as error:
                raise self._gone(error.strerror or reason(error)) from error
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
        """What to fill next: a body, or else the eight bytes before one."""
        self._body = body
        self._into, self._filled = memoryview(self._head if body is None else body), 0

    def _fill(self) -> bool:
        """Whether all that was expected has come; what came so far is kept."""
        while self._filled < len(self._into):
            try:
                part = self._into[self._filled :]
                count = self._connection.recv_into(part, 0, socket.MSG_WAITALL)
            except BlockingIOError:
                return False
            if not count:
                within = self._filled or self._body is not None
                raise self._gone("the sender closed it" + (" within a packet" if within else ""))
            self._filled += count
        return True

    def _decode(self, body: bytes) -> Batch | None:
        try:
            # EventPacket, whose root begins with the length and the offset of its table.
            data = self._decompress(body)
            if data[8:12] != b"EVTS":
                raise ValueError("it is none of events")
            events: np.ndarray[Any, Any] = Table.root(data).structs(0, EVENT)
        except (ValueError, RuntimeError, EOFError) as error:
            raise self._damaged(f"a packet that cannot be read: {reason(error)}") from error
        if not len(events):
            return None
        return Batch(events["t"], events["x"], events["y"], events["p"])

    def _header(self) -> bytes:
        """
        Raises:
            CameraError: what answers is no DV stream.
        """
        try:
            head = self._receive(12)
            length = int.from_bytes(head[:4], "little")
            if head[8:12] != b"IOHE" or not 12 <= length <= _HEADER_LIMIT_BYTES:
                raise CameraError(f"what answers at {self._address} is no DV network stream")
            return head + self._receive(length - 8)
        except OSError as error:
            said = "it sends nothing" if isinstance(error, TimeoutError) else reason(error)
            raise CameraError(
                f"what answers at {self._address} is no DV network stream ({said})"
            ) from error

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._connection.recv(count - len(data))
            if not part:
                raise ConnectionError("it closes the connection")
            data += part
        return bytes(data)

    def _gone(self, why: str) -> CameraError:
        return CameraError(f"the stream dv://{self._address} broke off: {why}")

    def _damaged(self, what: str) -> CameraError:
        return CameraError(f"dv://{self._address} sends {what}; the stream cannot be followed on")
