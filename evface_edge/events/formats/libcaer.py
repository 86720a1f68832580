"""The words of 16 bits in which the ROS driver of iniVation's cameras packs events.

https://github.com/ros-event-camera/event_camera_codecs names the encoding `libcaer_cmp`. It is
EVT3 with x and y exchanged: a column, then rows that have an event there. Each packet begins anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.events.compiled import compiled

_TIME_HIGH, _TIME_LOW, _X, _Y, _BASE_Y, _VECTOR_8 = range(6)


def decode(words: NDArray[Any]) -> tuple[NDArray[np.int64], ...]:
    """Words (M,) of a packet → t (N,), µs after the time of the packet, x, y, p.

    Raises:
        ValueError: a word of no known kind.
    """
    columns = tuple(np.empty(8 * len(words), np.int64) for _ in range(4))
    count, sound = _decode(words, *columns)
    if not sound:
        raise ValueError("it has a word of no known kind")
    return tuple(column[:count] for column in columns)


@compiled
def _decode(words: Any, t: Any, x: Any, y: Any, p: Any) -> tuple[int, bool]:
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
            return count, False
    return count, True
