"""Prophesee EVT3: words of 16 bits that change a state (time, row, base column) or emit events.

https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html. Timestamps have 24 bits, 12 in
each of two kinds of words, and roll over every 2^24 µs (16.8 s). A new upper half sets the lower
half to 0 until its own word follows. Events before the first timestamp and row are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.events.compiled import compiled
from evface_edge.events.formats import prophesee_raw
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.options import ReadOptions
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

PERIOD_US = 1 << 24
_Y, _NO_CD_Y, _X, _BASE_X, _VECTOR_12, _VECTOR_8, _TIME_LOW, _CONTINUED_4 = range(8)
_TIME_HIGH, _TRIGGER, _OTHERS, _CONTINUED_12 = 0x8, 0xA, 0xE, 0xF
# Words that neither emit one event nor set the row or the lower half of the time.
_OTHER = np.int64(0xFFFF ^ (1 << _X | 1 << _Y | 1 << _TIME_LOW))


@compiled
def decode(words: Any, first: int, state: Any, check: Any, out: Any) -> tuple[int, int, int]:
    origin, high, low, timed = state[0], state[1], state[2], state[3]
    y, row, base_x, polarity = state[4], state[5], state[6], state[7]
    width, height, last = check[WIDTH], check[HEIGHT], last_time(check)
    t = origin + (high << 12) + low
    count: Any = 0
    i, fault = first, VALID
    while i < len(words) and count + 12 <= len(out):
        word = np.int64(words[i])
        kind = word >> 12
        if (_OTHER >> kind) & 1 == 0:
            # The order of these kinds is random, so that branches would be mispredicted half of
            # the time: every word does the work of all three kinds.
            is_x, is_y = np.int64(kind == _X), np.int64(kind == _Y)
            y = word & 0x7FF if is_y else y
            row |= is_y
            low = word & 0xFFF if kind == _TIME_LOW else low
            t = origin + (high << 12) + low
            x = word & 0x7FF
            out[count].t = t
            out[count].x = x
            out[count].y = y
            out[count].p = (word >> 11) & 1
            emitted = is_x & timed & row
            if emitted & (np.int64(x >= width) | np.int64(y >= height) | is_irregular(t, last)):
                check[LAST] = last
                fault = check_event(check, t, x, y)
                if fault > VALID:
                    break
                last = check[LAST]
                out[count].t = last
                emitted = np.int64(fault == VALID)
            else:
                last = t if emitted else last
            count += emitted
        elif kind in (_VECTOR_12, _VECTOR_8):
            bits = 12 if kind == _VECTOR_12 else 8
            if timed and row and word & ((1 << bits) - 1):
                if y < height and base_x + bits <= width and not is_irregular(t, last):
                    for bit in range(bits):
                        out[count].t = t
                        out[count].x = base_x + bit
                        out[count].y = y
                        out[count].p = polarity
                        count += (word >> bit) & 1
                    last = t
                else:
                    check[LAST] = last
                    for bit in range(bits):
                        if (word >> bit) & 1:
                            fault = check_event(check, t, base_x + bit, y)
                            if fault > VALID:
                                break
                            if fault == VALID:
                                last = check[LAST]
                                out[count].t = last
                                out[count].x = base_x + bit
                                out[count].y = y
                                out[count].p = polarity
                                count += 1
                    if fault > VALID:
                        break
            base_x += bits
        elif kind == _BASE_X:
            base_x = word & 0x7FF
            polarity = (word >> 11) & 1
        elif kind == _TIME_HIGH:
            value = word & 0xFFF
            if timed:
                origin += PERIOD_US * periods(value - high, 1 << 11, 1 << 11, check)
            if value != high:
                low = 0
            high = value
            timed = 1
            t = origin + (high << 12) + low
        elif kind == _NO_CD_Y:
            row = 0  # the row of an exposure measurement: what follows is no change of light
        elif kind not in (_CONTINUED_4, _TRIGGER, _OTHERS, _CONTINUED_12):
            check[SKIPPED] += 2
        i += 1
    check[LAST] = last
    state[0], state[1], state[2], state[3] = origin, high, low, timed
    state[4], state[5], state[6], state[7] = y, row, base_x, polarity
    return i, count, fault


@compiled
def _encode(events: Any, origin: int, state: Any, out: Any) -> int:
    high, low, row = state[0], state[1], state[2]
    count = 0
    for i in range(len(events)):
        t = events[i].t - origin
        if t >> 12 != high:
            # More than half a period at once would be read as a step back.
            while high >= 0 and (t >> 12) - high > 1 << 10:
                high += 1 << 10
                out[count] = (_TIME_HIGH << 12) | (high & 0xFFF)
                count += 1
            high = t >> 12
            low = -1
            out[count] = (_TIME_HIGH << 12) | (high & 0xFFF)
            count += 1
        if t & 0xFFF != low:
            low = t & 0xFFF
            out[count] = (_TIME_LOW << 12) | low
            count += 1
        if events[i].y != row:
            row = np.int64(events[i].y)
            out[count] = (_Y << 12) | row
            count += 1
        out[count] = (_X << 12) | (np.int64(events[i].p) << 11) | np.int64(events[i].x)
        count += 1
    state[0], state[1], state[2] = high, low, row
    return count


def read(path: Path, options: ReadOptions) -> Contents:
    return prophesee_raw.read(path, options, "EVT3", "<u2", decode)


class Writer(prophesee_raw.RawWriter):
    """Writes EVT3 without vectors: the order of the events stays as it is."""

    encoding, dtype, period_us, encode = "EVT3", "<u2", PERIOD_US, staticmethod(_encode)

    @staticmethod
    def max_words(events: int, span_us: int) -> int:
        return 4 * events + span_us // (1 << 22) + 2
