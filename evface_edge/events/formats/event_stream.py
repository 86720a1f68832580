"""Event Stream (.es), version 2, and version 1 as its specification describes it.

https://github.com/neuromorphic-paris/event_stream. Each event tells the time since the one before
it. The format does not say where y begins; its cameras count from the bottom, so y is turned here
to count from the top, both in reading and in writing (faery does too; event_stream does not).
ATIS files hold exposure measurements besides changes of light; these are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events import contents
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.events.compiled import compiled
from evface_edge.events.contents import (
    PACKET_EVENTS,
    Contents,
    ReadOptions,
    header_size,
    sensor_size,
)
from evface_edge.events.guard import LAST, SOUND, Guard, admit
from evface_edge.geometry import SensorSize

CHUNK_BYTES = 1 << 20
MAGIC = b"Event Stream"

_KINDS = {
    1: ("DVS", "ATIS", "display", "color", "generic"),
    2: ("generic", "DVS", "ATIS", "display", "color"),
}
#: The sensor of version 1, which has no size in its header.
_ATIS_SIZE = SensorSize(304, 240)


@compiled
def _decode(
    data: Any, first: int, layout: int, state: Any, guard: Any, out: Any
) -> tuple[int, int, int]:
    """`layout` is 10 × version + (0 DVS, 1 ATIS); `state` is the time and the height."""
    t, height = state[0], state[1]
    count, i, fault = 0, first, SOUND
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
            fault = admit(guard, t + step, x, height - 1 - y)
            if fault != SOUND:
                break
            out[count].t = guard[LAST]
            out[count].x = x
            out[count].y = height - 1 - y
            out[count].p = p
            count += 1
        t += step
        i += stride
    state[0] = t
    return i, count, fault


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header.

    Raises:
        EventFormatError: another version, or events of another kind.
    """
    with path.open("rb") as file:
        head = file.read(20)
    if not head.startswith(MAGIC) or len(head) < 16:
        raise EventFormatError("the header of an Event Stream file is missing", path=path)
    version = head[12]
    if version not in _KINDS:
        raise EventFormatError(f"Event Stream version {version}, expected 1 or 2", path=path)
    # Version 1 has two numbers of version, version 2 has three.
    start = 15 if version == 1 else 16
    code = head[start - 1]
    kind = _KINDS[version][code] if code < len(_KINDS[version]) else f"number {code}"
    if kind not in ("DVS", "ATIS"):
        raise EventFormatError(
            f"holds events of the kind {kind}, expected DVS or ATIS (changes of light)", path=path
        )
    stated = _ATIS_SIZE
    if version == 2:
        if len(head) < 20:
            raise EventFormatError("the header is truncated", path=path, offset=len(head))
        width, height = (int.from_bytes(head[i : i + 2], "little") for i in (16, 18))
        stated, start = header_size(path, width, height), 20
    size = sensor_size(path, options.size, stated)
    layout = 10 * version + (kind == "ATIS")

    def packets(guard: Guard) -> Iterator[EventArray]:
        # y counts from the bottom of the sensor in the header, whatever the caller says.
        state = np.array([0, stated.height], np.int64)
        yield from _packets(path, start, layout, state, guard)

    return Contents(size, packets, {"version": str(version), "kind": kind})


def _packets(
    path: Path, start: int, layout: int, state: NDArray[np.int64], guard: Guard
) -> Iterator[EventArray]:
    end = path.stat().st_size
    with path.open("rb") as file:
        file.seek(start)
        offset, rest = start, b""
        while chunk := file.read(CHUNK_BYTES):
            data = np.frombuffer(rest + chunk, np.uint8)
            position, held = 0, -1
            while position < len(data) and position != held:
                held = position
                out = np.empty(PACKET_EVENTS, EVENT_DTYPE)
                position, count, fault = _decode(data, position, layout, state, guard.state, out)
                guard.fraction = (offset + position) / end
                if count:
                    yield out[:count]
                if fault:
                    raise guard.error(fault, offset + position)
            rest = data[position:].tobytes()
            offset += position
        if rest:
            raise EventFormatError(
                "the file ends within an event: it is truncated", path=path, offset=offset
            )


class Writer(contents.Writer):
    """Writes version 2, DVS events. Times below 0 cannot be written."""

    def __init__(self, file: BinaryIO, size: SensorSize, options: Mapping[str, str]) -> None:
        if size.width > 65535 or size.height > 65535:
            raise EventFormatError(f"Event Stream holds sensors below 65536 pixels, this is {size}")
        self._file, self._height, self._last_us = file, size.height, 0
        self._started = False
        shape = size.width.to_bytes(2, "little") + size.height.to_bytes(2, "little")
        file.write(MAGIC + bytes([2, 0, 0, 1]) + shape)

    def write(self, events: EventArray) -> None:
        first_us = int(events["t"][0])
        if not self._started and not 0 <= first_us <= _LATEST_START_US:
            raise EventFormatError(
                f"the first event is at {first_us} µs: Event Stream counts up from 0 in steps of "
                f"127 µs, and starts later than {_LATEST_START_US} µs would fill the file; "
                "subtract the time of the first event"
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


#: 2^32 µs (71 minutes): 34 MB of steps before the first event.
_LATEST_START_US = 1 << 32
