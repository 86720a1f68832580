"""Reading loops that formats share: records of equal size, coded words, timestamps of 32 bits."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.formats.options import UNIT_EXPONENTS
from evface_edge.events.limits import MAX_PACKET_EVENTS, MAX_STEP_FORWARD_US
from evface_edge.events.validation import VALID, Validator

CHUNK_RECORDS = 65536
CHUNK_BYTES = 1 << 20
#: The undecoded rest of a chunk, a line of text for example, is shorter than this.
_MAX_REST_BYTES = 1024

#: Records (N,) → t, x, y, p (M,), and the indices (M,) of the records that are events (None: all).
Columns = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
Selected = tuple[Columns, NDArray[np.intp] | None]

#: A compiled function: (items, first item, decoder state, validator state, events to fill) →
#: (next item, number of events, fault). With a fault, which is above VALID, "next item" holds the
#: invalid event.
Decoder = Callable[[Any, int, Any, Any, Any], tuple[int, int, int]]


def record_packets(
    file: BinaryIO,
    dtype: np.dtype[Any],
    columns: Callable[[NDArray[Any]], Selected],
    validator: Validator,
    *,
    end: int,
    count: int | None = None,
    has_offsets: bool = True,
) -> Iterator[EventArray]:
    """Yields the events of the records from the current position of `file` on.

    Args:
        end: size of the file in bytes.
        count: number of records; by default all up to the end of the file.
        has_offsets: whether positions of `file` are byte offsets of the recording.

    Raises:
        EventFormatError: at the first invalid event, or if the file is truncated.
    """
    done = 0
    while count is None or done < count:
        position = file.tell()
        wanted = CHUNK_RECORDS if count is None else min(CHUNK_RECORDS, count - done)
        data = file.read(wanted * dtype.itemsize)
        records = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
        validator.fraction = (position + len(data)) / max(end, 1)
        selected, index = columns(records)
        offset = position if has_offsets else None
        yield from validator.validate(selected, offset=offset, stride=dtype.itemsize, index=index)
        done += len(records)
        if len(records) < wanted:
            if count is None and len(data) == len(records) * dtype.itemsize:
                return
            of_all = "" if count is None else f" of {count}"
            raise EventFormatError(
                f"the file is truncated: it ends within or after record {done}{of_all}",
                path=validator.path,
                offset=None if offset is None else offset + len(records) * dtype.itemsize,
            )


def decode_file(
    path: Path,
    start: int,
    dtype: np.dtype[Any],
    decode: Decoder,
    state: NDArray[np.int64],
    validator: Validator,
    *,
    separator: bytes = b"",
    prepare: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> Iterator[EventArray]:
    """Yields the events of a file of items, such as words, that a compiled function decodes.

    Args:
        start: byte offset of the first item.
        state: of the decoder, kept from chunk to chunk.
        separator: byte that ends a line; then only whole lines are decoded.
        prepare: changes the items of a chunk before they are decoded.

    Raises:
        EventFormatError: at the first invalid event, or if the file is truncated.
    """
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        file.seek(start)
        offset, rest = start, b""
        while True:
            chunk = file.read(CHUNK_BYTES)
            data = rest + chunk
            if not data:
                return
            ready = data.rfind(separator) + 1 if separator and chunk else len(data)
            items: NDArray[Any] = np.frombuffer(data, dtype, ready // dtype.itemsize)
            if prepare is not None:
                items = prepare(items)
            validator.fraction = offset / end
            count = yield from decode_items(items, decode, state, validator, offset, dtype.itemsize)
            rest = data[count * dtype.itemsize :]
            offset += count * dtype.itemsize
            if len(rest) > _MAX_REST_BYTES:
                raise EventFormatError(
                    f"a line of more than {_MAX_REST_BYTES} bytes", path=path, offset=offset
                )
            if rest and not chunk:
                raise EventFormatError(
                    "the file is truncated: it ends within an event", path=path, offset=offset
                )


def decode_items(
    items: NDArray[Any],
    decode: Decoder,
    state: NDArray[np.int64],
    validator: Validator,
    offset: int | None,
    stride: int,
) -> Generator[EventArray, None, int]:
    """Yields the events of items (M,), and returns the number of items that were decoded.

    Args:
        offset: byte offset of item 0 in the file.
        stride: bytes from item to item.

    Raises:
        EventFormatError: at the first invalid event.
    """
    position, before = 0, -1
    while position < len(items) and position != before:
        before = position
        out = np.empty(MAX_PACKET_EVENTS, EVENT_DTYPE)
        position, count, fault = decode(items, position, state, validator.state, out)
        if count:
            yield out[:count]
        if fault > VALID:
            raise validator.error(fault, None if offset is None else offset + position * stride)
    return position


#: An impossible timestamp, which fails validation.
NO_TIME = np.int64(-(2**62) - 1)


def microseconds(t: NDArray[Any], unit: str) -> NDArray[np.int64]:
    """Times (N,) in a unit of `options.UNIT_EXPONENTS` → whole µs; NO_TIME if they do not fit."""
    if t.dtype.kind == "u" and t.dtype.itemsize == 8:
        t = np.minimum(t, np.uint64(2**62))
    if t.dtype.kind in "iub":
        whole = t.astype(np.int64)
        if unit == "us":
            return whole
        if unit == "ns":
            return (whole + 500) // 1000  # exact, unlike floating-point numbers
    return as_integers(np.rint(t.astype(np.float64) * 10.0 ** UNIT_EXPONENTS[unit]))


def as_integers(column: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers (N,); NO_TIME for those that are not whole or do not fit into 62 bits."""
    if column.dtype.kind == "f":
        fits = (np.abs(column) < 2.0**62) & (column == np.rint(column))
        return np.where(fits, np.where(fits, column, 0).astype(np.int64), NO_TIME)
    if column.dtype.kind not in "iub":
        raise TypeError(f"a column of {column.dtype}, expected numbers")
    return column.astype(np.int64)


#: Timestamps of 32 bits start again after 2^32 µs (71 minutes).
PERIOD_US = 1 << 32
_ROLLOVER_US = -(PERIOD_US - MAX_STEP_FORWARD_US)


class TimestampUnwrapper:
    """Converts timestamps of 32 bits, part by part, to continuous ones.

    A step back is a rollover if it is a possible step forward one period later. Any other step
    back is left to the validator.
    """

    def __init__(self, origin_us: int = 0, *, shorter_way: bool = False) -> None:
        """With `shorter_way` every step is at most half a period long, back or forward.

        The policy `skip` needs that: a wrong timestamp then does no harm beyond itself.
        """
        self._origin_us, self._shorter_way = origin_us, shorter_way
        self._last: int | None = None

    def _rollovers(self, times: NDArray[np.int64], last: int) -> NDArray[Any]:
        """How many periods start with each timestamp (N,)."""
        if not self._shorter_way:
            rollovers: NDArray[Any] = np.diff(times, prepend=last) < _ROLLOVER_US
            return rollovers
        steps = np.diff(times, prepend=last)
        back, forward = steps < -PERIOD_US // 2, steps >= PERIOD_US // 2
        return back.astype(np.int64) - forward

    def __call__(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Codes (N,), signed or not → timestamps (N,), µs."""
        times = codes.astype(np.int64)
        if not len(times):
            return times
        last = int(times[0]) if self._last is None else self._last
        self._last = int(times[-1])
        rollovers = self._rollovers(times, last)
        times += self._origin_us + PERIOD_US * np.cumsum(rollovers)
        self._origin_us += PERIOD_US * int(rollovers.sum())
        return times
