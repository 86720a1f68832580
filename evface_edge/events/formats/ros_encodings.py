"""Encodings of the events in `event_camera_msgs` packets.

https://github.com/ros-event-camera/event_camera_codecs. To add one, add a row to `COLUMNS`.
The state of Prophesee's decoders continues from packet to packet; other encodings have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.compiled import compiled
from evface_edge.events.formats import aedat3, evt2, evt3
from evface_edge.events.formats.reading import Columns, Decoder

#: Encodings of Prophesee cameras: the decoder, and the type of the words.
WORDS: dict[str, tuple[Decoder, str]] = {"evt3": (evt3.decode, "u2"), "evt2": (evt2.decode, "u4")}


def as_words(body: memoryview, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The events of a packet as words (M,); ValueError if their size does not fit."""
    if len(body) % dtype.itemsize:
        raise ValueError(f"{len(body)} bytes of events are not words of {dtype.itemsize}")
    return np.frombuffer(body, dtype)


def _mono(body: memoryview, order: str, base_ns: int) -> Columns:
    """Words of 64 bits: p, 15 bits of y, 16 of x, 32 of ns after the time of the packet."""
    words = as_words(body, np.dtype(f"{order}u8"))
    t = _microseconds(base_ns, words & np.uint64(0xFFFFFFFF))
    y = (words >> np.uint64(48)) & np.uint64(0x7FFF)
    return t, (words >> np.uint64(32)) & np.uint64(0xFFFF), y, words >> np.uint64(63)


def _libcaer(body: memoryview, order: str, base_ns: int) -> Columns:
    """Records of AEDAT 3.1, with timestamps after the time of the packet."""
    t, x, y, p = aedat3.decode_records(as_words(body, aedat3.RECORD))
    t += np.cumsum(np.diff(t, prepend=t[:1]) < -(1 << 30)) << 31
    return _microseconds(base_ns, t * 1000), x, y, p


def _libcaer_cmp(body: memoryview, order: str, base_ns: int) -> Columns:
    """Words of 16 bits: EVT3 with x and y exchanged."""
    words = as_words(body, np.dtype("<u2"))
    t, x, y, p = (np.empty(8 * len(words), np.int64) for _ in range(4))
    count = _decode_libcaer_cmp(words, t, x, y, p)
    if count < 0:
        raise ValueError("it has an unknown kind of word")
    return _microseconds(base_ns, t[:count] * 1000), x[:count], y[:count], p[:count]


_TIME_HIGH, _TIME_LOW, _X, _Y, _BASE_Y, _VECTOR_8 = range(6)


@compiled
def _decode_libcaer_cmp(words: Any, t: Any, x: Any, y: Any, p: Any) -> int:
    """Returns the number of events; -1 for an unknown kind of word."""
    high = low = column = row = polarity = np.int64(0)
    count = 0
    for i in range(len(words)):
        word = np.int64(words[i])
        kind = word >> 12
        if kind == _TIME_HIGH:
            high = word & 0xFFF
        elif kind == _TIME_LOW:
            low = word & 0xFFF
        elif kind == _X:
            column = word & 0x7FF
        elif kind == _Y:
            t[count], x[count], y[count] = high << 12 | low, column, word & 0x7FF
            p[count] = (word >> 11) & 1
            count += 1
        elif kind == _BASE_Y:
            row, polarity = word & 0x7FF, (word >> 11) & 1
        elif kind == _VECTOR_8:
            for bit in range(8):
                if (word >> bit) & 1:
                    t[count], x[count], y[count] = high << 12 | low, column, row + bit
                    p[count] = polarity
                    count += 1
            row += 8
        else:
            return -1
    return count


def _microseconds(base_ns: int, steps_ns: NDArray[Any]) -> NDArray[np.int64]:
    base_ns = min(base_ns, 2**62)  # an impossible timestamp, which fails validation
    return (base_ns + steps_ns.astype(np.int64)) // 1000


#: Other encodings: (events of a packet, byte order, time of the packet in ns) → t (µs), x, y, p.
#: They raise ValueError for a damaged packet.
COLUMNS: dict[str, Callable[[memoryview, str, int], Columns]] = {
    "mono": _mono,
    "libcaer": _libcaer,
    "libcaer_cmp": _libcaer_cmp,
}
