"""AEDAT 2 of jAER: lines that start with #, then big-endian records of an address and a timestamp.

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html. The layout
of an address depends on the chip; DVS128, DVS640 and DAVIS are known. As in jAER, columns
are mirrored. y counts from the bottom in the file and from the top here; the DVS128 has 1 for
darker. Files of v2e, and those from before the DAVIS, do not name their chip.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, EventFormatError, printable
from evface_edge.events.array import EventArray
from evface_edge.events.formats.aedat_header import read_header, size_of_sensor
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.inference import Fact, sensor_size
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.reading import Selected, TimestampUnwrapper, record_packets
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

_RECORD = np.dtype([("address", ">u4"), ("t", ">i4")])


#: Chips of `?chip=`.
_CHIPS = ("dvs128", "davis240", "davis346", "davis640", "davis128", "davis208", "dvs640")
#: Records that show the chip, if the header does not name it.
_LOOKED_AT = 1 << 20


def read(path: Path, options: ReadOptions) -> Contents:
    lines, start = read_header(path)
    end = path.stat().st_size
    chip = _chip(path, lines, start, options)
    sensor = size_of_sensor(chip.value)
    if sensor is None or not chip.value.lower().startswith(_CHIPS):
        raise EventFormatError(
            f"unknown chip {printable(chip.value)!r}, expected DVS128, DVS640 or one of the DAVIS "
            "family",
            path=path,
            fix=f"name one with the same addresses as '{path.name}?chip=davis346'",
        )
    decode = _decoder(chip.value.lower())

    def packets(validator: Validator) -> Iterator[EventArray]:
        unwrap = TimestampUnwrapper(shorter_way=validator.skip)

        def columns(records: NDArray[Any]) -> Selected:
            address = records["address"].astype(np.int64)
            x, y, p, is_event = decode(address, sensor)
            index = np.flatnonzero(is_event)
            return (unwrap(records["t"])[index], x[index], y[index], p[index]), index

        with path.open("rb") as file:
            file.seek(start)
            yield from record_packets(file, _RECORD, columns, validator, end=end)

    size = sensor_size(path, options, sensor, "the chip")
    if size.source == "stated":  # known no better than the chip
        size = dataclasses.replace(size, source=chip.source)
    return Contents((size, chip), packets, {"chip": chip.value}, end - start)


def _decoder(chip: str) -> Callable[[NDArray[np.int64], SensorSize], Any]:
    return _dvs128 if chip == "dvs128" else _dvs640 if chip.startswith("dvs640") else _davis


def _chip(path: Path, lines: list[str], start: int, options: ReadOptions) -> Fact[str]:
    """The chip: given, named in the header, or the only one that has such addresses.

    Raises:
        ConfigError: the chip that is given is unknown.
        EventFormatError: several chips have such addresses.
    """
    if options.chip is not None:
        if options.chip.lower() not in _CHIPS:
            raise ConfigError("chip", options.chip, ", ".join(_CHIPS))
        return Fact("chip", options.chip, "given")
    named = re.search(r"AEChip:\s*(\S+)", "\n".join(lines))
    if named:
        return Fact("chip", named[1].rsplit(".", 1)[-1], "stated", "the header")
    records = np.fromfile(path, _RECORD, _LOOKED_AT, offset=start)
    addresses = records["address"].astype(np.int64)
    by_v2e = any("in v2e" in line for line in lines)
    # v2e writes no other chips, and no file without a chip comes from one of the others.
    chips = ("davis240", "davis346", "dvs640") if by_v2e else ("dvs128", "davis240", "davis346")
    possible = [chip for chip in chips if _has_addresses(chip, addresses)]
    if len(possible) > 1 and not len(addresses):
        return Fact("chip", possible[0], "assumed", "no events")
    if len(possible) == 1:
        return Fact("chip", possible[0], "inferred", "no other has such addresses")
    choices = possible or list(_CHIPS)
    raise EventFormatError(
        "does not name its chip",
        path=path,
        field="chip",
        value=tuple(possible),
        fix=f"give it as '{path.name}?chip={choices[-1]}'; possible are {', '.join(choices)}",
    )


def _has_addresses(chip: str, addresses: NDArray[np.int64]) -> bool:
    """Whether nearly all records can come from a chip."""
    if chip == "dvs128":
        fits = addresses < 1 << 16
    else:
        sensor = size_of_sensor(chip) or SensorSize(1, 1)
        x, y, _, is_event = _decoder(chip)(addresses, sensor)
        # The lower 10 bits of a DAVIS are zero, except in samples, the upper 11 of a DVS640.
        is_davis = chip.startswith("davis")
        sample = (addresses >> 31 == 1) if is_davis else np.zeros(len(addresses), np.bool_)
        unused = 0x3FF if is_davis else ~0x1FFFFF
        fits = ((addresses & unused) == 0) & (~is_event | ((x >= 0) & (y >= 0))) | sample
    return bool(fits.mean() > 0.999) if len(addresses) else True


def _dvs128(address: NDArray[np.int64], sensor: SensorSize) -> Any:
    """Addresses (N,) → x, y, p, and whether they are events (bit 15 and above: external input)."""
    x = 127 - ((address >> 1) & 0x7F)
    y = 127 - ((address >> 8) & 0x7F)
    return x, y, 1 - (address & 1), address < 1 << 15


def _davis(address: NDArray[np.int64], sensor: SensorSize) -> Any:
    """The same; bit 31 marks samples of frames and of the IMU, bit 10 external input."""
    x = sensor.width - 1 - ((address >> 12) & 0x3FF)
    y = sensor.height - 1 - ((address >> 22) & 0x1FF)
    return x, y, (address >> 11) & 1, (address & (1 << 31 | 1 << 10)) == 0


def _dvs640(address: NDArray[np.int64], sensor: SensorSize) -> Any:
    """The same; there is nothing but events."""
    x = sensor.width - 1 - ((address >> 1) & 0x3FF)
    y = sensor.height - 1 - ((address >> 11) & 0x3FF)
    return x, y, address & 1, np.ones(len(address), np.bool_)
