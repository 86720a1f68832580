"""What EVT2, EVT2.1 and EVT3 fraction: a % header, then little-endian words of one size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.contents import PACKET_EVENTS, Contents, ReadOptions, Writer, sensor_size
from evface_edge.events.formats import percent_header
from evface_edge.events.guard import Guard
from evface_edge.geometry import SensorSize

CHUNK_BYTES = 1 << 20

#: The most events that one word can hold; decoders stop while there is room for one more word.
WORD_EVENTS = 32

#: The first slot of the state of each decoder: what to add to the times of the words.
ORIGIN = 0

Words = NDArray[np.unsignedinteger[Any]]

#: (words, first, decoder state, guard state, out) → (next word, number of events, fault). With a
#: fault, "next word" is the one that holds the event.
Decoder = Callable[[Any, int, Any, Any, Any], tuple[int, int, int]]


def read(
    path: Path,
    options: ReadOptions,
    encoding: str,
    dtype: str,
    decode: Decoder,
    prepare: Callable[[Words], Words] | None = None,
) -> Contents:
    """Reads the header; `prepare` mends the words of a chunk before they are decoded.

    Raises:
        EventFormatError: the header is missing, or names another encoding.
    """
    header = percent_header.read(path)
    if header.end == 0 and options.size is None:
        raise EventFormatError(
            "there is no header of lines that begin with %: this is no Prophesee RAW file",
            path=path,
        )
    found = header.encoding
    if header.end and found != encoding:
        raise EventFormatError(
            f"the header names the encoding {found or 'of no kind'}, expected "
            "EVT2, EVT21 or EVT3 (evt 2.0, 2.1, 3.0)",
            path=path,
        )
    size = sensor_size(path, options.size, header.size(path))
    origin_us = header.time_origin_us(path)

    def packets(guard: Guard) -> Iterator[EventArray]:
        state: NDArray[np.int64] = np.zeros(16, np.int64)
        state[ORIGIN] = origin_us
        with path.open("rb") as file:
            file.seek(header.end)
            yield from _decode_file(
                file, header.end, np.dtype(dtype), decode, prepare, state, guard
            )

    return Contents(size, packets, dict(header.fields))


def _decode_file(
    file: BinaryIO,
    offset: int,
    dtype: np.dtype[Any],
    decode: Decoder,
    prepare: Callable[[Words], Words] | None,
    state: NDArray[np.int64],
    guard: Guard,
) -> Iterator[EventArray]:
    end = os.fstat(file.fileno()).st_size
    while data := file.read(CHUNK_BYTES):
        words: Words = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
        if prepare is not None:
            words = prepare(words)
        for events in decode_words(words, decode, state, guard, offset, dtype.itemsize):
            guard.fraction = offset / end
            yield events
        if len(data) % dtype.itemsize:
            raise EventFormatError(
                f"the file ends within a word of {dtype.itemsize} bytes: it is truncated",
                path=guard.path,
                offset=offset + len(words) * dtype.itemsize,
            )
        offset += len(data)


def decode_words(
    words: Words,
    decode: Decoder,
    state: NDArray[np.int64],
    guard: Guard,
    offset: int | None,
    stride: int,
) -> Iterator[EventArray]:
    """The events of words (M,) that follow those decoded before with the same state (16,).

    Args:
        offset: in bytes, of word 0 in the file, where `stride` bytes lead from word to word.

    Raises:
        EventFormatError: at the first event that is not sound.
    """
    position = 0
    while position < len(words):
        out = np.empty(PACKET_EVENTS, EVENT_DTYPE)
        position, count, fault = decode(words, position, state, guard.state, out)
        if count:
            yield out[:count]
        if fault:
            raise guard.error(fault, None if offset is None else offset + position * stride)


#: (events, origin, state, out) → number of words written.
Encoder = Callable[[Any, int, Any, Any], int]


class RawWriter(Writer):
    """Writes the header before the first event, then the words that `encode` makes."""

    def __init__(
        self,
        file: BinaryIO,
        size: SensorSize,
        encoding: str,
        dtype: str,
        period_us: int,
        encode: Encoder,
        words_for: Callable[[int, int], int],
    ) -> None:
        """
        Args:
            period_us: the code holds times modulo this; whole periods before the first event
                go into the header.
            words_for: (events, span in µs) → the most words that they can need.

        Raises:
            EventFormatError: the sensor is larger than x and y of 11 bits.
        """
        if size.width > 2048 or size.height > 2048:
            raise EventFormatError(
                f"{encoding} holds sensors of up to 2048×2048 pixels, this one is {size}"
            )
        self._file, self._size, self._encoding = file, size, encoding
        self._dtype, self._period_us = dtype, period_us
        self._encode, self._words_for = encode, words_for
        self._origin_us: int | None = None
        self._last_us = 0
        # -1: nothing was sent yet.
        self._state: NDArray[np.int64] = np.full(8, -1, np.int64)

    def write(self, events: EventArray) -> None:
        if self._origin_us is None:
            self._origin_us = self._begin(int(events["t"][0]))
        span_us = int(events["t"][-1]) - self._last_us
        out = np.empty(self._words_for(len(events), span_us), self._dtype)
        count = self._encode(events, self._origin_us, self._state, out)
        self._file.write(out[:count].tobytes())
        self._last_us = int(events["t"][-1])

    def _begin(self, first_us: int) -> int:
        origin_us = first_us // self._period_us * self._period_us
        self._last_us = first_us
        self._file.write(percent_header.build(self._encoding, self._size, origin_us))
        return origin_us

    def finish(self) -> None:
        if self._origin_us is None:
            self._begin(0)
