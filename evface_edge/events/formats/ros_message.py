"""Messages with events, as ROS 1 and ROS 2 serialise them, decoded without ROS.

| type | content |
|---|---|
| `dvs_msgs/EventArray`, `prophesee_event_msgs/EventArray` | a list of events: x, y, time, p |
| `event_camera_msgs/EventPacket`, `event_array_msgs/EventArray` | bytes, and their encoding |

https://github.com/uzh-rpg/rpg_dvs_ros, https://github.com/ros-event-camera/event_camera_msgs.
ROS 1 packs fields without gaps, little-endian. ROS 2 writes CDR: four bytes state the byte order,
and every number is aligned to its size, so that the first event of a list is 2 bytes longer than
the others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.events.formats.reading import Columns, decode_items
from evface_edge.events.formats.ros_encodings import COLUMNS, WORDS, as_words
from evface_edge.events.validation import Validator

_LISTS = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")

#: Message types that are read, as rosbags spells them.
TYPES = (*_LISTS, "event_camera_msgs/msg/EventPacket", "event_array_msgs/msg/EventArray")

#: An impossible timestamp, which fails validation.
_NO_TIME = np.int64(2**63 - 1)
_SECOND_NS = 1_000_000_000


class _Fields:
    """The fields of one message, in order; ValueError if the message is too short."""

    def __init__(self, data: bytes, cdr: bool) -> None:
        self.data, self.order, self._cdr = data, "<", cdr
        self.position = self._origin = 0
        if cdr:
            if data[:2] not in (b"\x00\x00", b"\x00\x01"):
                raise ValueError(f"its representation is {data[:2].hex()}, expected plain CDR")
            self.order = "<" if data[1] else ">"
            self.position = self._origin = 4

    def number(self, code: str) -> int:
        """The next number; `code` is that of `struct`."""
        size = struct.calcsize(code)
        if self._cdr:
            self.position += -(self.position - self._origin) % size
        start = self._advance(size)
        return int(struct.unpack_from(self.order + code, self.data, start)[0])

    def text(self) -> str:
        """The next string; in CDR it ends with a null byte."""
        start = self._advance(self.number("I"))
        return self.data[start : self.position].rstrip(b"\0").decode("utf-8", "replace")

    def bytes(self) -> memoryview:
        """The next array of bytes."""
        start = self._advance(self.number("I"))
        return memoryview(self.data)[start : self.position]

    def _advance(self, size: int) -> int:
        start, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise ValueError(f"it has {len(self.data)} bytes, expected {self.position} or more")
        return start


def _read_header(data: bytes, cdr: bool) -> tuple[_Fields, int, int]:
    """The fields after the header of a message, and the width and height that it states."""
    fields = _Fields(data, cdr)
    if not cdr:
        fields.number("I")  # the sequence number of ROS 1
    fields.number("I")  # seconds
    fields.number("I")  # nanoseconds
    fields.text()
    height, width = fields.number("I"), fields.number("I")
    return fields, width, height


def stated_size(data: bytes, cdr: bool) -> tuple[int, int]:
    """Width and height that a message states; ValueError if it is damaged."""
    _, width, height = _read_header(data, cdr)
    return width, height


class MessageDecoder:
    """Decodes the messages of one topic, in order."""

    def __init__(self, kind: str) -> None:
        """`kind` is the message type, one of TYPES."""
        self._kind = kind
        self._state: NDArray[np.int64] = np.zeros(16, np.int64)
        self._encoding: str | None = None

    def events(
        self, data: bytes, cdr: bool, validator: Validator, offset: int | None
    ) -> Iterator[EventArray]:
        """Yields the events of the next message.

        Args:
            cdr: whether it comes from ROS 2.
            offset: byte offset of the part of the file with the message, for errors.

        Raises:
            EventFormatError: at the first invalid event.
            ValueError: the message is damaged, or has an unknown encoding.
        """
        fields, width, height = _read_header(data, cdr)
        if (width or height) and (width, height) != (validator.size.width, validator.size.height):
            raise ValueError(f"it states {width}×{height} pixels, expected {validator.size}")
        if self._kind in _LISTS:
            yield from validator.validate(_list_columns(fields, cdr), offset=offset)
        else:
            yield from self._packet(fields, validator, offset)

    def _packet(
        self, fields: _Fields, validator: Validator, offset: int | None
    ) -> Iterator[EventArray]:
        fields.number("Q")  # the sequence number
        base_ns = fields.number("Q")
        encoding = fields.text()
        order = ">" if fields.number("B") else "<"
        body = fields.bytes()
        if self._encoding not in (None, encoding):
            raise ValueError(f"the encoding changes from {self._encoding!r} to {encoding!r}")
        self._encoding = encoding
        if encoding in WORDS:
            decode, kind = WORDS[encoding]
            words = as_words(body, np.dtype(order + kind))
            words = words.astype(words.dtype.newbyteorder("<"), copy=False)
            yield from decode_items(words, decode, self._state, validator, offset, 0)
        elif encoding in COLUMNS:
            yield from validator.validate(COLUMNS[encoding](body, order, base_ns), offset=offset)
        else:
            raise ValueError(
                f"unknown encoding {encoding!r}, expected {', '.join((*WORDS, *COLUMNS))}"
            )


def _list_columns(fields: _Fields, cdr: bool) -> Columns:
    """t, x, y, p (N,) of the list of events at the end of a message."""
    count, order = fields.number("I"), fields.order
    stride, size = (16, 13) if cdr else (13, 13)
    start = fields.position
    if count and start + (count - 1) * stride + size > len(fields.data):
        raise ValueError(f"it ends before the last of its {count} events")

    def struct_of(**offsets: int) -> np.dtype[Any]:
        types = {"x": f"{order}u2", "y": f"{order}u2", "s": f"{order}u4", "ns": f"{order}u4"}
        formats = [types.get(name, "u1") for name in offsets]
        return np.dtype(
            {
                "names": list(offsets),
                "formats": formats,
                "offsets": list(offsets.values()),
                "itemsize": stride,
            }
        )

    # In CDR the timestamps of all events lie 16 bytes apart, but x and y of the first event lie
    # 2 bytes further ahead of its timestamp than those of the others.
    padded = fields.data[start:] + bytes(stride)
    events = np.frombuffer(padded, struct_of(x=0, y=2, s=4, ns=8, p=12), count)
    x, y = events["x"].copy(), events["y"].copy()
    if cdr and count > 1:
        others = np.frombuffer(padded, struct_of(x=0, y=2), count - 1, 14)
        x[1:], y[1:] = others["x"], others["y"]
    ns = events["ns"].astype(np.int64)
    t = np.where(ns < _SECOND_NS, events["s"].astype(np.int64) * 1_000_000 + ns // 1000, _NO_TIME)
    return t, x, y, events["p"]
