"""Prophesee EVT2.1: words of 64 bits, up to 32 events of one row and polarity each.

https://docs.prophesee.ai/stable/data/encoding_formats/evt21.html. Timestamps are as in
EVT2. The header has `endianness=legacy` if the upper half of each word comes first (IMX636), after
the format or in a line of its own. Without it, the words themselves tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import EventFormatError
from evface_edge.events.compiled import compiled
from evface_edge.events.formats import prophesee_header, prophesee_raw
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.evt2 import (
    CONTINUED,
    ON,
    OTHERS,
    PERIOD_US,
    ROLLOVER,
    TIME_HIGH,
    TRIGGER,
)
from evface_edge.events.formats.inference import Fact, word_order
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.prophesee_raw import WORD_EVENTS, Words
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

#: Kinds of words that exist.
_KINDS = (0, ON, TIME_HIGH, TRIGGER, OTHERS, CONTINUED)
#: Words that show their order, if the header does not state it.
_LOOKED_AT = 4096

# The number of the lowest bit set, looked up by a product whose upper 5 bits are all different
# (de Bruijn; Leiserson, Prokop, Randall 1998).
_PRODUCT = np.int64(0x077CB531)
_LOWEST = np.zeros(32, np.int64)
_LOWEST[[((1 << _bit) * 0x077CB531 & 0xFFFFFFFF) >> 27 for _bit in range(32)]] = np.arange(32)


@compiled
def decode(words: Any, first: int, state: Any, check: Any, out: Any) -> tuple[int, int, int]:
    origin, high, ready = state[0], state[1], state[2]
    width, height, last = check[WIDTH], check[HEIGHT], last_time(check)
    base = origin + (high << 6)
    count: Any = 0
    i, fault = first, VALID
    while i < len(words) and count + WORD_EVENTS <= len(out):
        upper = np.int64(words[i] >> np.uint64(32))
        kind = upper >> 28
        if kind <= ON:
            valid = np.int64(words[i] & np.uint64(0xFFFFFFFF)) if ready else np.int64(0)
            t = base + ((upper >> 22) & 0x3F)
            column = (upper >> 11) & 0x7FF
            y = upper & 0x7FF
            while valid:
                lowest = valid & -valid
                x = column + _LOWEST[((lowest * _PRODUCT) & 0xFFFFFFFF) >> 27]
                valid ^= lowest
                out[count].t = t
                out[count].x = x
                out[count].y = y
                out[count].p = kind
                if np.int64(x >= width) | np.int64(y >= height) | is_irregular(t, last):
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
            if fault > VALID:
                break
        elif kind == TIME_HIGH:
            value = upper & 0xFFFFFFF
            if ready:
                origin += PERIOD_US * periods(value - high, ROLLOVER, 1 << 27, check)
            high = value
            ready = 1
            base = origin + (high << 6)
        elif kind not in (TRIGGER, OTHERS, CONTINUED):
            check[SKIPPED] += 8
        i += 1
    check[LAST] = last
    state[0], state[1], state[2] = origin, high, ready
    return i, count, fault


def _swap_halves(words: Words) -> Words:
    return (words >> np.uint64(32)) | (words << np.uint64(32))


def read(path: Path, options: ReadOptions) -> Contents:
    order = _word_order(path, options)
    prepare = _swap_halves if order.value == "legacy" else None
    return prophesee_raw.read(path, options, "EVT21", "<u8", decode, prepare, (order,))


def _word_order(path: Path, options: ReadOptions) -> Fact[str]:
    """The order of the halves of a word.

    Raises:
        EventFormatError: the header states an unknown one.
    """
    if options.endianness is not None:
        return Fact("word order", options.endianness, "given")
    header = prophesee_header.read(path)
    stated = header.format_options.get("endianness", header.fields.get("endianness"))
    if stated is not None:
        if stated not in ("little", "legacy"):
            raise EventFormatError(
                f"the header states the endianness {stated!r}, expected 'little' or 'legacy'",
                path=path,
            )
        return Fact("word order", stated, "stated", "the header")
    words = np.fromfile(path, "<u8", _LOOKED_AT, offset=header.end)
    return word_order(words, _KINDS, TIME_HIGH)
