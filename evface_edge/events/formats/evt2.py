"""Prophesee EVT2: words of 32 bits, one event each.

https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html. The upper 4 bits are the kind of
the word. An event has 6 bits of its timestamp, 11 of x and 11 of y; the upper 28 bits of the
timestamp come in words of their own, and roll over every 2^34 µs (4 h 46 min).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.events.compiled import compiled
from evface_edge.events.formats import prophesee_raw
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.limits import MAX_STEP_FORWARD_US
from evface_edge.events.validation import (
    HEIGHT,
    LAST,
    SKIPPED,
    VALID,
    WIDTH,
    check_event,
    is_irregular,
    last_time,
    periods,
)

PERIOD_US = 1 << 34
#: A step back of the upper 28 bits by more than this is a rollover: one period later, it is a
#: possible step forward.
ROLLOVER = (PERIOD_US - MAX_STEP_FORWARD_US) >> 6
#: Kinds of words; 0 is an event with polarity 0.
ON, TIME_HIGH, TRIGGER, OTHERS, CONTINUED = 0x1, 0x8, 0xA, 0xE, 0xF


@compiled
def decode(words: Any, first: int, state: Any, check: Any, out: Any) -> tuple[int, int, int]:
    origin, high, ready = state[0], state[1], state[2]
    width, height, last = check[WIDTH], check[HEIGHT], last_time(check)
    base = origin + (high << 6)
    count: Any = 0
    i, fault = first, VALID
    while i < len(words) and count < len(out):
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= ON:
            t = base + ((word >> 22) & 0x3F)
            x = (word >> 11) & 0x7FF
            y = word & 0x7FF
            out[count].t = t
            out[count].x = x
            out[count].y = y
            out[count].p = kind
            if np.int64(x >= width) | np.int64(y >= height) | is_irregular(t, last):
                if ready:
                    check[LAST] = last
                    fault = check_event(check, t, x, y)
                    if fault > VALID:
                        break
                    last = check[LAST]
                    out[count].t = last
                    count += np.int64(fault == VALID)
            else:
                last = t
                count += 1
        elif kind == TIME_HIGH:
            value = word & 0xFFFFFFF
            if ready:
                origin += PERIOD_US * periods(value - high, ROLLOVER, 1 << 27, check)
            high = value
            ready = 1
            base = origin + (high << 6)
        elif kind not in (TRIGGER, OTHERS, CONTINUED):
            check[SKIPPED] += 4
        i += 1
    check[LAST] = last
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
            out[count] = (TIME_HIGH << 28) | (high & 0xFFFFFFF)
            count += 1
        address = (np.int64(events[i].x) << 11) | np.int64(events[i].y)
        out[count] = (np.int64(events[i].p) << 28) | ((t & 0x3F) << 22) | address
        count += 1
    state[0] = high
    return count


def read(path: Path, options: ReadOptions) -> Contents:
    return prophesee_raw.read(path, options, "EVT2", "<u4", decode)


class Writer(prophesee_raw.RawWriter):
    """Writes EVT2. Gaps are far below the period, so that no words are needed to bridge them."""

    encoding, dtype, period_us, encode = "EVT2", "<u4", PERIOD_US, staticmethod(_encode)
