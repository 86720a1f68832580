"""Reading and writing of Prophesee RAW files (EVT2, EVT2.1, EVT3): a % header, then words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.formats import base, prophesee_header
from evface_edge.events.formats.base import Contents, Options, check_size
from evface_edge.events.formats.inference import Fact, sensor_size
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import Decoder, decode_file
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

#: The most events in one word; a decoder stops when there is no room for one more word.
WORD_EVENTS = 32

#: Slot of the decoder state that holds what to add to the timestamps of the words.
ORIGIN = 0

Words = NDArray[np.unsignedinteger[Any]]


def read(
    path: Path,
    options: ReadOptions,
    encoding: str,
    dtype: str,
    decode: Decoder,
    prepare: Callable[[Words], Words] | None = None,
    facts: tuple[Fact[Any], ...] = (),
) -> Contents:
    """Reads the header; `prepare` changes the words of a chunk before they are decoded.

    `facts` are those besides the size.

    Raises:
        EventFormatError: there is no header, or it names another encoding.
    """
    header = prophesee_header.read(path)
    if header.end == 0 and options.size is None:
        raise EventFormatError(
            "no header of lines that start with %: this is not a Prophesee RAW file", path=path
        )
    if header.end and header.encoding != encoding:
        raise EventFormatError(
            f"the header names the encoding {header.encoding}, expected EVT2, EVT21 or EVT3 "
            "(evt 2.0, 2.1, 3.0)",
            path=path,
        )
    origin_us = header.time_origin_us(path)

    def packets(validator: Validator) -> Iterator[EventArray]:
        state: NDArray[np.int64] = np.zeros(16, np.int64)
        state[ORIGIN] = origin_us
        return decode_file(
            path, header.end, np.dtype(dtype), decode, state, validator, prepare=prepare
        )

    size = sensor_size(path, options, header.size(path), "the header")
    data_bytes = path.stat().st_size - header.end
    return Contents((size, *facts), packets, dict(header.fields), data_bytes)


#: A compiled function: (events, origin, state, words to fill) → number of words.
Encoder = Callable[[Any, int, Any, Any], int]


class RawWriter(base.Writer):
    """Writes the header before the first event, then the words that `encode` produces.

    Attributes:
        encoding: name of the encoding in the header.
        dtype: of the words.
        period_us: words hold timestamps modulo this; the header gets the whole periods before the
            first event.
        encode: compiled encoder.
    """

    encoding: str
    dtype: str
    period_us: int
    encode: Encoder

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
        check_size(size, 2048, 2048, self.encoding)  # 11 bits
        self._file, self._size = file, size
        self._origin_us: int | None = None
        self._last_us = 0
        # -1: not yet written.
        self._state: NDArray[np.int64] = np.full(8, -1, np.int64)

    def write(self, events: EventArray) -> None:
        if self._origin_us is None:
            self._origin_us = self._write_header(int(events["t"][0]))
        span_us = int(events["t"][-1]) - self._last_us
        words = np.empty(self.max_words(len(events), span_us), self.dtype)
        count = type(self).encode(events, self._origin_us, self._state, words)
        self._file.write(words[:count].tobytes())
        self._last_us = int(events["t"][-1])

    @staticmethod
    def max_words(events: int, span_us: int) -> int:
        """Upper bound of the number of words."""
        return 2 * events

    def _write_header(self, first_us: int) -> int:
        origin_us = first_us // self.period_us * self.period_us
        self._last_us = first_us
        self._file.write(prophesee_header.build(self.encoding, self._size, origin_us))
        return origin_us

    def finish(self) -> None:
        if self._origin_us is None:
            self._write_header(0)
