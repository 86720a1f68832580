"""ECF, the codec of Metavision's HDF5 files: chunks of up to 65,535 events.

https://github.com/prophesee-ai/hdf5_ecf describes the code. A chunk has a head (number of events,
packing of x, y and p) and runs of equal timestamps. Then follow runs of rows with x and p apart,
or 12 or 24 bits per event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.validation import Validator

_MAX_EVENTS = 65535


def blocks(table: Any, validator: Validator) -> Iterator[list[NDArray[Any]]]:
    """The columns t, x, y, p of each chunk of an h5py dataset.

    Raises:
        EventFormatError: a chunk is damaged.
    """
    path, left = validator.path, len(table)
    for index in range(table.id.get_num_chunks()):
        info = table.id.get_chunk_info(index)
        _, data = table.id.read_direct_chunk(info.chunk_offset)
        columns = decode(np.frombuffer(data, np.uint8))
        if columns is None:
            reason, offset = f"ECF chunk {index} is damaged", info.byte_offset
            validator.damaged_chunk(EventFormatError(reason, path=path, offset=offset))
            left -= min(left, table.chunks[0])
            continue
        count = min(left, len(columns[0]))
        left -= count
        yield [column[:count] for column in columns]
    if left:
        raise EventFormatError(f"{left} events are missing at the end", path=path)


def decode(data: NDArray[np.uint8]) -> list[NDArray[Any]] | None:
    """A chunk → t (N,), x, y, p; None if it is damaged."""
    if len(data) < 12:
        return None
    count = int.from_bytes(data[:4].tobytes(), "little") >> 2
    if count > _MAX_EVENTS:
        return None
    t = np.zeros(count, np.int64)
    x, y, p = (np.zeros(count, np.int64) for _ in range(3))
    return [t, x, y, p] if _decode(data, count, t, x, y, p) else None


def encode(events: EventArray) -> bytes:
    """Events (N,), 0 < N ≤ 65,535 → a chunk: runs of timestamps, then 24 bits per event."""
    count = len(events)
    # At most 16 bytes for a long step and 3 for a run, and 3 per event, in groups of four.
    out = np.empty(32 + 19 * count + 3 * (count + 3), np.uint8)
    return out[: _encode(events, out)].tobytes()


@compiled
def _decode(data: Any, count: int, t: Any, x: Any, y: Any, p: Any) -> bool:
    at = _times(data, 4, count, t)
    if at < 0:
        return False
    if data[0] & 2:
        return bool(_packed_24(data, at, count, x, y, p) >= 0)
    at = _runs(data, at, count, y, 2, 5)
    if at < 0:
        return False
    if data[0] & 1:
        return bool(_packed_12(data, at, count, x, p) >= 0)
    at = _masked_columns(data, at, count, x)
    return bool(at >= 0 and _runs(data, at, count, p, 1, 7) >= 0)


@compiled
def _little(data: Any, at: Any, size: int) -> Any:
    value = np.int64(0)
    for k in range(size):
        value |= np.int64(data[at + k]) << (8 * k)
    return value


@compiled
def _fill(values: Any, done: int, run: Any, value: Any) -> Any:
    """Writes a run; returns the new number of values, or -1 if it does not fit or is empty."""
    if run < 1 or done + run > len(values):
        return -1
    for k in range(done, done + run):
        values[k] = value
    return done + run


@compiled
def _times(data: Any, at: int, count: int, t: Any) -> int:
    """A byte: a step of up to 14 µs, and a run; a step of 15 starts 4 bits of a longer one."""
    now = _little(data, at, 8)
    at += 8
    done, step, shift = 0, np.int64(0), 0
    while done < count:
        if at >= len(data):
            return -1
        high, low = np.int64(data[at] >> 4), np.int64(data[at] & 15)
        at += 1
        if high == 15:
            if shift > 56:
                return -1
            step |= low << shift
            shift += 4
            continue
        now += step + high
        step, shift = np.int64(0), 0
        if low == 15:
            if at + 2 > len(data):
                return -1
            low = _little(data, at, 2)
            at += 2
        if low:
            done = _fill(t, done, low, now)
            if done < 0:
                return -1
    return at


@compiled
def _runs(data: Any, at: int, count: int, values: Any, size: int, bits: int) -> int:
    """Words of `size` bytes: a value, and a run in the lower `bits`.

    A run of all ones means that it is in the next 16 bits.
    """
    done, mask = 0, (1 << bits) - 1
    while done < count:
        if at + size > len(data):
            return -1
        word = _little(data, at, size)
        at += size
        run = word & mask
        if run == mask:
            if at + 2 > len(data):
                return -1
            run = _little(data, at, 2)
            at += 2
        done = _fill(values, done, run, word >> bits)
        if done < 0:
            return -1
    return at


@compiled
def _masked_columns(data: Any, at: int, count: int, x: Any) -> int:
    """16 bits: a column, and a mask of the 5 columns to its right."""
    done = 0
    while done < count:
        if at + 2 > len(data):
            return -1
        word = _little(data, at, 2)
        at += 2
        for k in range(6):
            # The mask of the last word may extend past the last event.
            if done < count and (k == 0 or (word >> (5 - k)) & 1):
                x[done] = (word >> 5) + k
                done += 1
    return at


@compiled
def _packed_12(data: Any, at: int, count: int, x: Any, p: Any) -> int:
    """4 events in three words of 16 bits: 11 bits of x, then p."""
    for first in range(0, count, 4):
        if at + 6 > len(data):
            return -1
        a, b, c = _little(data, at, 2), _little(data, at + 2, 2), _little(data, at + 4, 2)
        at += 6
        for k in range(min(4, count - first)):
            if k == 0:
                value = a >> 4
            elif k == 1:
                value = (a & 0xF) | ((b >> 8) << 4)
            elif k == 2:
                value = (b & 0xFF) | ((c >> 12) << 8)
            else:
                value = c & 0xFFF
            x[first + k], p[first + k] = value >> 1, value & 1
    return at


@compiled
def _packed_24(data: Any, at: int, count: int, x: Any, y: Any, p: Any) -> int:
    """4 events in three words of 32 bits: 11 bits of y, 11 of x, then p."""
    for first in range(0, count, 4):
        if at + 12 > len(data):
            return -1
        a, b, c = _little(data, at, 4), _little(data, at + 4, 4), _little(data, at + 8, 4)
        at += 12
        for k in range(min(4, count - first)):
            if k == 0:
                value = a >> 8
            elif k == 1:
                value = (a & 0xFF) | ((b >> 16) << 8)
            elif k == 2:
                value = (b & 0xFFFF) | ((c >> 24) << 16)
            else:
                value = c & 0xFFFFFF
            y[first + k] = (value >> 12) & 0x7FF
            x[first + k] = (value >> 1) & 0x7FF
            p[first + k] = value & 1
    return at


@compiled
def _put(out: Any, at: int, value: Any, size: int) -> int:
    for k in range(size):
        out[at + k] = (value >> (8 * k)) & 0xFF
    return at + size


@compiled
def _encode(events: Any, out: Any) -> int:
    count = len(events)
    at = _put(out, 0, np.int64(count) << 2 | 2, 4)
    now = np.int64(events[0].t)
    at = _put(out, at, now, 8)
    first = 0
    while first < count:
        t = np.int64(events[first].t)
        end = first + 1
        while end < count and events[end].t == t:
            end += 1
        step, now = t - now, t
        if step >= 15:
            while step:
                out[at] = 0xF0 | (step & 15)
                at += 1
                step >>= 4
        run = end - first
        out[at] = step << 4 | min(run, 15)
        at += 1
        if run >= 15:
            at = _put(out, at, run, 2)
        first = end
    values = np.zeros(4, np.int64)
    for first in range(0, count, 4):
        for k in range(4):
            values[k] = 0
            if first + k < count:
                event = events[first + k]
                values[k] = np.int64(event.y) << 12 | np.int64(event.x) << 1 | np.int64(event.p)
        a, b, c, d = values
        at = _put(out, at, a << 8 | b & 0xFF, 4)
        at = _put(out, at, (b >> 8) << 16 | c & 0xFFFF, 4)
        at = _put(out, at, (c >> 16) << 24 | d, 4)
    return at
