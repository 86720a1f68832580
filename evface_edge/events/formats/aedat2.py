"""AEDAT 2 of jAER: lines that begin with #, then big-endian records of an address and a time.

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html. What an
address means depends on the chip; DVS128 and the DAVIS family are known. As in jAER, columns are
mirrored; y counts from the bottom in the file and from the top here; the DVS128 has 1 for darker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError
from evface_edge.events.array import EventArray
from evface_edge.events.contents import Contents, ReadOptions, quoted
from evface_edge.events.formats.inivation import hash_header, sensor_of
from evface_edge.events.formats.records import Columns, record_packets
from evface_edge.events.formats.rollover import Unroll
from evface_edge.events.guard import Guard
from evface_edge.geometry import SensorSize

_RECORD = np.dtype([("address", ">u4"), ("t", ">i4")])


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header.

    Raises:
        EventFormatError: the chip is unknown.
    """
    lines, start = hash_header(path)
    text = "\n".join(lines)
    chip = re.search(r"AEChip:\s*(\S+)", text)
    name = chip[1].rsplit(".", 1)[-1] if chip else ""
    # Without a chip it is the DVS128, which was the only one when files had no such line.
    sensor = sensor_of(name or "DVS128")
    if sensor is None:
        raise EventFormatError(
            f"the chip {quoted(name)!r} is not known; expected DVS128 or one of the DAVIS family",
            path=path,
        )
    size = options.size or sensor
    is_dvs128 = not name.lower().startswith("davis")

    def packets(guard: Guard) -> Iterator[EventArray]:
        unroll = Unroll()

        def columns(records: NDArray[Any]) -> Columns:
            address = records["address"].astype(np.int64)
            decoded = _dvs128(address) if is_dvs128 else _davis(address, sensor)
            return (unroll(records["t"]), *decoded)

        yield from record_packets(path, start, _RECORD, columns, guard)

    return Contents(size, packets, {"chip": name or "DVS128"})


def _dvs128(address: NDArray[np.int64]) -> Any:
    x = 127 - ((address >> 1) & 0x7F)
    y = 127 - ((address >> 8) & 0x7F)
    return x, y, 1 - (address & 1), address < 1 << 15  # above: external input


def _davis(address: NDArray[np.int64], sensor: SensorSize) -> Any:
    x = sensor.width - 1 - ((address >> 12) & 0x3FF)
    y = sensor.height - 1 - ((address >> 22) & 0x1FF)
    # Bit 31: a sample of a frame or of the motion sensor; bit 10: external input.
    return x, y, (address >> 11) & 1, (address & (1 << 31 | 1 << 10)) == 0
