"""Prophesee EVT2: words of 32 bits, one event each.

https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html. The upper 4 bits tell the kind.
An event has 6 bits of time, 11 of x and 11 of y; the upper 28 bits of the time come in words of
their own and roll over every 2^34 µs (4 h 46 min).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evface_edge.events.compiled import compiled
from evface_edge.events.contents import Contents, ReadOptions
from evface_edge.events.formats import prophesee_raw
from evface_edge.events.guard import (
    HEIGHT,
    LAST,
    SKIPPED,
    SOUND,
    WIDTH,
    admit,
    latest,
    unusual,
)
from evface_edge.events.limits import MAX_GAP_US
from evface_edge.geometry import SensorSize

PERIOD_US = 1 << 34
# A longer step back of the upper 28 bits, one period later, is a possible step forward.
_ROLLOVER = (PERIOD_US - MAX_GAP_US) >> 6
_OFF, _ON, _TIME_HIGH, _TRIGGER, _OTHERS, _CONTINUED = 0x0, 0x1, 0x8, 0xA, 0xE, 0xF


@compiled
def decode(words: Any, first: int, state: Any, guard: Any, out: Any) -> tuple[int, int, int]:
    origin, high, ready = state[0], state[1], state[2]
    width, height, last = guard[WIDTH], guard[HEIGHT], latest(guard)
    base = origin + (high << 6)
    count, i, fault = 0, first, SOUND
    while i < len(words) and count < len(out):
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= _ON:
            t = base + ((word >> 22) & 0x3F)
            x = (word >> 11) & 0x7FF
            y = word & 0x7FF
            out[count].t = t
            out[count].x = x
            out[count].y = y
            out[count].p = kind
            if np.int64(x >= width) | np.int64(y >= height) | unusual(t, last):
                if ready:
                    guard[LAST] = last
                    fault = admit(guard, t, x, y)
                    if fault != SOUND:
                        break
                    last = guard[LAST]
                    out[count].t = last
                    count += 1
            else:
                last = t
                count += 1
        elif kind == _TIME_HIGH:
            value = word & 0xFFFFFFF
            if ready and high - value > _ROLLOVER:
                origin += PERIOD_US
            high = value
            ready = 1
            base = origin + (high << 6)
        elif kind not in (_TRIGGER, _OTHERS, _CONTINUED):
            guard[SKIPPED] += 4
        i += 1
    guard[LAST] = last
    state[0], state[1], state[2] = origin, high, ready
    return i, count, fault


@compiled
def _encode(events: Any, origin: int, state: Any, out: Any) -> int:
    high = state[0]
    count = 0
    for i in range(len(events)):
        t = events[i].t - origin
        if t >> 6 != high:
            high = t >> 6
            out[count] = (_TIME_HIGH << 28) | (high & 0xFFFFFFF)
            count += 1
        address = (np.int64(events[i].x) << 11) | np.int64(events[i].y)
        out[count] = (np.int64(events[i].p) << 28) | ((t & 0x3F) << 22) | address
        count += 1
    state[0] = high
    return count


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header of a RAW file in EVT2."""
    return prophesee_raw.read(path, options, "EVT2", "<u4", decode)


class Writer(prophesee_raw.RawWriter):
    """Writes EVT2; gaps are far below the period, so no word is needed to bridge them."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Mapping[str, str]) -> None:
        super().__init__(
            file, size, "EVT2", "<u4", PERIOD_US, _encode, lambda events, span_us: 2 * events
        )
