"""Messages of events as ROS 1 and ROS 2 serialise them, decoded without ROS.

| type | holds |
|---|---|
| `dvs_msgs/EventArray`, `prophesee_event_msgs/EventArray` | events as a list of x, y, time, p |
| `event_camera_msgs/EventPacket`, `event_array_msgs/EventArray` | bytes, and their encoding |

https://github.com/uzh-rpg/rpg_dvs_ros, https://github.com/ros-event-camera/event_camera_msgs.
ROS 1 packs fields one after the other, little-endian. ROS 2 writes CDR: a head of four bytes tells
the byte order, and every number is aligned to its own size, so that the first event of a list is
2 bytes longer than the others.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.formats import evt2, evt3, libcaer
from evface_edge.events.formats.prophesee_raw import Decoder, decode_words
from evface_edge.events.guard import Guard

_LISTS = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
_PACKETS = ("event_camera_msgs/msg/EventPacket", "event_array_msgs/msg/EventArray")

#: The types of messages that are read, as rosbags spells them.
TYPES = (*_LISTS, *_PACKETS)

# Encodings of Prophesee cameras: the words keep their meaning from packet to packet.
_WORDS: dict[str, tuple[Decoder, str]] = {"evt3": (evt3.decode, "u2"), "evt2": (evt2.decode, "u4")}
#: Of a time that is none; the guard refuses it.
_NO_TIME = np.int64(2**63 - 1)
_SECOND_NS = 1_000_000_000


class _Fields:
    """The fields of one message, in turn; ValueError where the message ends too early."""

    def __init__(self, data: bytes, cdr: bool) -> None:
        self.data, self.order, self._cdr = data, "<", cdr
        self.at = self._origin = 0
        if cdr:
            if data[:2] not in (b"\x00\x00", b"\x00\x01"):
                raise ValueError(f"its representation is {data[:2].hex()}, expected plain CDR")
            self.order = "<" if data[1] else ">"
            self.at = self._origin = 4

    def number(self, code: str) -> int:
        """The next number; `code` is that of `struct`."""
        size = struct.calcsize(code)
        self.align(size)
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise ValueError("it ends within a number")
        return int(struct.unpack_from(self.order + code, self.data, start)[0])

    def align(self, size: int) -> None:
        if self._cdr:
            self.at += -(self.at - self._origin) % size

    def text(self) -> str:
        """The next string; in CDR it ends with a null byte."""
        length = self.number("I")
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise ValueError("it ends within a string")
        return self.data[start : self.at].rstrip(b"\0").decode("utf-8", "replace")


@dataclass(frozen=True)
class _Header:
    """What both kinds of messages begin with."""

    fields: _Fields
    width: int
    height: int


def _header(data: bytes, cdr: bool) -> _Header:
    fields = _Fields(data, cdr)
    if not cdr:
        fields.number("I")  # the sequence number of ROS 1
    fields.number("I")  # seconds
    fields.number("I")  # nanoseconds
    fields.text()
    height, width = fields.number("I"), fields.number("I")
    return _Header(fields, width, height)


def stated_size(data: bytes, cdr: bool) -> tuple[int, int]:
    """Width and height that a message states.

    Raises:
        ValueError: it is damaged.
    """
    header = _header(data, cdr)
    return header.width, header.height


@dataclass
class MessageDecoder:
    """Messages of one topic, of the type `kind`, in turn → events."""

    kind: str
    _state: NDArray[np.int64] = field(default_factory=lambda: np.zeros(16, np.int64))
    _encoding: str | None = None

    def events(
        self, data: bytes, cdr: bool, guard: Guard, offset: int | None
    ) -> Iterator[EventArray]:
        """The events of the next message.

        Args:
            cdr: whether it comes from ROS 2.
            offset: of the part of the file that the message is in, for errors.

        Raises:
            EventFormatError: an event that is not sound.
            ValueError: the message is damaged, or of an encoding that is not known.
        """
        header = _header(data, cdr)
        stated = (header.width, header.height)
        if any(stated) and stated != (guard.size.width, guard.size.height):
            raise ValueError(f"it states {stated[0]}×{stated[1]} pixels, expected {guard.size}")
        if self.kind in _LISTS:
            columns = _list(header.fields, cdr)
            yield from guard.check(columns, offset=offset)
        else:
            yield from self._packet(header.fields, guard, offset)

    def _packet(self, fields: _Fields, guard: Guard, offset: int | None) -> Iterator[EventArray]:
        fields.number("Q")  # the sequence number
        base_ns = fields.number("Q")
        encoding = fields.text()
        order = ">" if fields.number("B") else "<"
        length = fields.number("I")
        if fields.at + length > len(fields.data):
            raise ValueError("it ends within its events")
        if self._encoding not in (None, encoding):
            raise ValueError(f"the encoding changes from {self._encoding!r} to {encoding!r}")
        self._encoding = encoding
        body = memoryview(fields.data)[fields.at : fields.at + length]
        if encoding in _WORDS:
            decode, kind = _WORDS[encoding]
            words = _whole(body, np.dtype(order + kind))
            words = words.astype(words.dtype.newbyteorder("<"), copy=False)
            yield from decode_words(words, decode, self._state, guard, offset, 0)
        elif encoding in _RECORDS:
            yield from guard.check(_RECORDS[encoding](body, order, base_ns), offset=offset)
        else:
            known = ", ".join((*_WORDS, *_RECORDS))
            raise ValueError(f"the encoding {encoding!r} is not read, expected {known}")


Columns = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def _list(fields: _Fields, cdr: bool) -> Columns:
    """t, x, y, p (N,) of the list of events that ends a message."""
    count, order = fields.number("I"), fields.order
    stride, size = (16, 13) if cdr else (13, 13)
    start = fields.at
    if count and start + (count - 1) * stride + size > len(fields.data):
        raise ValueError(f"it ends before the last of its {count} events")
    # In CDR the times of all events lie 16 bytes apart, but x and y of the first one 2 bytes
    # further ahead of its time than those of the others.
    times = np.dtype(
        {
            "names": ["x", "y", "s", "ns", "p"],
            "formats": [f"{order}u2", f"{order}u2", f"{order}u4", f"{order}u4", "u1"],
            "offsets": [0, 2, 4, 8, 12],
            "itemsize": stride,
        }
    )
    padded = fields.data[start:] + bytes(stride)
    events = np.frombuffer(padded, times, count)
    x, y = events["x"].copy(), events["y"].copy()
    if cdr and count > 1:
        places = np.dtype(
            {
                "names": ["x", "y"],
                "formats": [f"{order}u2", f"{order}u2"],
                "offsets": [0, 2],
                "itemsize": stride,
            }
        )
        others = np.frombuffer(padded, places, count - 1, 14)
        x[1:], y[1:] = others["x"], others["y"]
    ns = events["ns"].astype(np.int64)
    t = np.where(ns < _SECOND_NS, events["s"].astype(np.int64) * 1_000_000 + ns // 1000, _NO_TIME)
    return t, x, y, events["p"]


def _whole(body: memoryview, dtype: np.dtype[Any]) -> NDArray[Any]:
    if len(body) % dtype.itemsize:
        raise ValueError(f"its {len(body)} bytes of events are no words of {dtype.itemsize}")
    return np.frombuffer(body, dtype)


def _mono(body: memoryview, order: str, base_ns: int) -> Columns:
    """Words of 64 bits: p, 15 bits of y, 16 of x, 32 of ns after the time of the packet."""
    words = _whole(body, np.dtype(f"{order}u8"))
    t = _micro(base_ns, words & np.uint64(0xFFFFFFFF))
    y = (words >> np.uint64(48)) & np.uint64(0x7FFF)
    return t, (words >> np.uint64(32)) & np.uint64(0xFFFF), y, words >> np.uint64(63)


def _libcaer(body: memoryview, order: str, base_ns: int) -> Columns:
    """Records of AEDAT 3.1: 15 bits of x, 15 of y, p, then µs after the time of the packet."""
    records = _whole(body, np.dtype([("data", "<u4"), ("t", "<i4")]))
    data, t = records["data"], records["t"].astype(np.int64)
    t += np.cumsum(np.diff(t, prepend=t[:1]) < -(1 << 30)) << 31
    return _micro(base_ns, t * 1000), data >> 17, (data >> 2) & 0x7FFF, (data >> 1) & 1


def _libcaer_cmp(body: memoryview, order: str, base_ns: int) -> Columns:
    words = _whole(body, np.dtype("<u2"))
    t_us, x, y, p = libcaer.decode(words)
    return _micro(base_ns, t_us * 1000), x, y, p


def _micro(base_ns: int, steps_ns: NDArray[Any]) -> NDArray[np.int64]:
    base_ns = min(base_ns, 2**62)  # beyond any clock, which the guard will say
    return (base_ns + steps_ns.astype(np.int64)) // 1000


_RECORDS: dict[str, Callable[[memoryview, str, int], Columns]] = {
    "mono": _mono,
    "libcaer": _libcaer,
    "libcaer_cmp": _libcaer_cmp,
}
