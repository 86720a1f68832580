"""Event Stream (.es), version 2, and version 1 as its specification describes it.

https://github.com/neuromorphic-paris/event_stream. Each event has the time since the previous one.
The format does not define the origin of y. Its cameras count from the bottom, so that reading and
writing flip y to count from the top (faery does too; event_stream does not). The exposure
measurements of ATIS files are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.formats import base
from evface_edge.events.formats.base import Contents, Options, check_size, header_size
from evface_edge.events.formats.inference import sensor_size
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import decode_file
from evface_edge.events.validation import LAST, VALID, Validator, check_event
from evface_edge.geometry import SensorSize

MAGIC = b"Event Stream"

_KINDS = {
    1: ("DVS", "ATIS", "display", "color", "generic"),
    2: ("generic", "DVS", "ATIS", "display", "color"),
}
#: The sensor of version 1, whose header has no size.
_ATIS_SIZE = SensorSize(304, 240)


@compiled
def _decode(
    data: Any, first: int, layout: int, state: Any, check: Any, out: Any
) -> tuple[int, int, int]:
    """`layout` is 10 × version + (0 DVS, 1 ATIS); `state` holds the time and the height."""
    t, height = state[0], state[1]
    count, i, fault = 0, first, VALID
    stride = 5 if layout >= 20 else 3
    while i < len(data) and count < len(out):
        head = np.int64(data[i])
        # Overflows and resets are single bytes.
        if layout == 20:
            overflow, step, single = 127 * (head & 1), head >> 1, head >= 0xFE
        elif layout == 21:
            overflow, step, single = 63 * (head & 3), head >> 2, head >= 0xFC
        elif layout == 10:
            overflow, step, single = 15 * (head >> 4), head & 15, head & 15 == 15
        else:
            overflow, step, single = 31 * (head >> 5), head & 31, head & 31 == 31
        if single:
            t += overflow
            i += 1
            continue
        if i + stride > len(data):
            break
        change = True
        if layout >= 20:
            x = np.int64(data[i + 1]) | (np.int64(data[i + 2]) << 8)
            y = np.int64(data[i + 3]) | (np.int64(data[i + 4]) << 8)
            p = head & 1
            if layout == 21:
                change = p == 0
                p = (head >> 1) & 1
        else:
            middle, last = np.int64(data[i + 1]), np.int64(data[i + 2])
            if layout == 10:
                x = (head >> 4) | ((middle & 63) << 4)
                y = (middle >> 6) | ((last & 127) << 2)
            else:
                x = (head >> 5) | ((middle & 63) << 3)
                y = (middle >> 6) | ((last & 63) << 2)
                change = (last >> 6) & 1 == 0
            p = last >> 7
        if change:
            fault = check_event(check, t + step, x, height - 1 - y)
            if fault > VALID:
                break
            if fault == VALID:
                out[count].t = check[LAST]
                out[count].x = x
                out[count].y = height - 1 - y
                out[count].p = p
                count += 1
        t += step
        i += stride
    state[0] = t
    return i, count, fault


def read(path: Path, options: ReadOptions) -> Contents:
    with path.open("rb") as file:
        head = file.read(20)
    if not head.startswith(MAGIC) or len(head) < 16:
        raise EventFormatError("the header of an Event Stream file is missing", path=path)
    version = head[12]
    if version not in _KINDS:
        raise EventFormatError(f"Event Stream version {version}, expected 1 or 2", path=path)
    # The version has two numbers in version 1, and three in version 2.
    start = 15 if version == 1 else 16
    code = head[start - 1]
    kind = _KINDS[version][code] if code < len(_KINDS[version]) else f"number {code}"
    if kind not in ("DVS", "ATIS"):
        raise EventFormatError(f"events of the kind {kind}, expected DVS or ATIS", path=path)
    stated = _ATIS_SIZE
    if version == 2:
        if len(head) < 20:
            raise EventFormatError("the header is truncated", path=path, offset=len(head))
        width, height = (int.from_bytes(head[i : i + 2], "little") for i in (16, 18))
        stated, start = header_size(path, width, height), 20
    layout = 10 * version + (kind == "ATIS")

    def decode(data: Any, first: int, state: Any, check: Any, out: Any) -> tuple[int, int, int]:
        return _decode(data, first, layout, state, check, out)

    def packets(validator: Validator) -> Iterator[EventArray]:
        # y counts from the bottom of the sensor in the header, not of a size given by the caller.
        state = np.array([0, stated.height], np.int64)
        return decode_file(path, start, np.dtype(np.uint8), decode, state, validator)

    reason = "the header" if version == 2 else "the sensor of version 1"
    size = sensor_size(path, options, stated, reason)
    data_bytes = path.stat().st_size - start
    return Contents((size,), packets, {"version": str(version), "kind": kind}, data_bytes)


#: 2^32 µs (71 minutes): 34 MB of overflow bytes before the first event.
_MAX_START_US = 1 << 32


class Writer(base.Writer):
    """Writes version 2, DVS events. Timestamps below 0 cannot be written."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
        check_size(size, 65535, 65535, "Event Stream")
        self._file, self._height, self._last_us = file, size.height, 0
        self._started = False
        shape = size.width.to_bytes(2, "little") + size.height.to_bytes(2, "little")
        file.write(MAGIC + bytes([2, 0, 0, 1]) + shape)

    def write(self, events: EventArray) -> None:
        first_us = int(events["t"][0])
        if not self._started and not 0 <= first_us <= _MAX_START_US:
            raise EventFormatError(
                f"the first event is at {first_us} µs, expected 0 to {_MAX_START_US} µs: Event "
                "Stream counts up from 0 in steps of 127 µs; convert with --from-zero"
            )
        self._started = True
        steps = np.diff(events["t"], prepend=self._last_us)
        overflows, rest = steps // 127, steps % 127
        self._last_us = int(events["t"][-1])
        ends = np.cumsum(overflows + 5)
        out = np.full(int(ends[-1]), 0xFF, np.uint8)
        y = self._height - 1 - events["y"].astype(np.int64)
        at = ends - 5
        out[at] = (rest << 1) | events["p"]
        out[at + 1], out[at + 2] = events["x"] & 0xFF, events["x"] >> 8
        out[at + 3], out[at + 4] = y & 0xFF, y >> 8
        self._file.write(out.tobytes())
