"""AEDAT 2 of jAER: lines that start with #, then big-endian records of an address and a timestamp.

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html. The layout
of an address depends on the chip; DVS128 and the DAVIS family are known. As in jAER, columns are
mirrored. y counts from the bottom in the file and from the top here; the DVS128 has 1 for darker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import EventFormatError, printable
from evface_edge.events.array import EventArray
from evface_edge.events.formats.aedat_header import read_header, size_of_sensor
from evface_edge.events.formats.base import Contents, Options
from evface_edge.events.formats.reading import Selected, TimestampUnwrapper, record_packets
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

_RECORD = np.dtype([("address", ">u4"), ("t", ">i4")])


def read(path: Path, size: SensorSize | None, options: Options) -> Contents:
    lines, start = read_header(path)
    chip = re.search(r"AEChip:\s*(\S+)", "\n".join(lines))
    # Files from before DAVIS do not name the chip: it is the DVS128.
    name = chip[1].rsplit(".", 1)[-1] if chip else "DVS128"
    sensor = size_of_sensor(name or "DVS128")
    if sensor is None:
        raise EventFormatError(
            f"unknown chip {printable(name)!r}, expected DVS128 or one of the DAVIS family",
            path=path,
        )
    is_davis = name.lower().startswith("davis")

    def packets(validator: Validator) -> Iterator[EventArray]:
        unwrap = TimestampUnwrapper(shorter_way=validator.skip)

        def columns(records: NDArray[Any]) -> Selected:
            address = records["address"].astype(np.int64)
            x, y, p, is_event = _davis(address, sensor) if is_davis else _dvs128(address)
            index = np.flatnonzero(is_event)
            return (unwrap(records["t"])[index], x[index], y[index], p[index]), index

        with path.open("rb") as file:
            file.seek(start)
            end = path.stat().st_size
            yield from record_packets(file, _RECORD, columns, validator, end=end)

    return Contents(size or sensor, packets, {"chip": name or "DVS128"})


def _dvs128(address: NDArray[np.int64]) -> Any:
    """Addresses (N,) → x, y, p, and whether they are events (bit 15 and above: external input)."""
    x = 127 - ((address >> 1) & 0x7F)
    y = 127 - ((address >> 8) & 0x7F)
    return x, y, 1 - (address & 1), address < 1 << 15


def _davis(address: NDArray[np.int64], sensor: SensorSize) -> Any:
    """The same; bit 31 marks samples of frames and of the IMU, bit 10 external input."""
    x = sensor.width - 1 - ((address >> 12) & 0x3FF)
    y = sensor.height - 1 - ((address >> 22) & 0x1FF)
    return x, y, (address >> 11) & 1, (address & (1 << 31 | 1 << 10)) == 0
