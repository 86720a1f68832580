"""What the caller states about a recording, `?columns=txyp&time_unit=ns&width=640&height=480`.

A file leaves up to five things open: the order of its columns, the unit of time, the size of the
sensor, the chip or byte order, and which of several streams is meant. What the caller states has
priority over the file (`inference.py`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize

#: Unit of time → power of ten of one unit in µs.
UNIT_EXPONENTS = {"s": 6, "ms": 3, "us": 0, "ns": -3}
_CHOICES = {
    "time_unit": tuple(UNIT_EXPONENTS),
    "endianness": ("little", "legacy"),
    "version": ("1", "2"),
}


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading; None where the caller states nothing.

    Attributes:
        size: of the sensor.
        columns: order of columns without names, such as "xypt".
        time_unit: s, ms, us or ns.
        chip: of AEDAT 2, such as "davis346".
        stream: number of the stream, in files and network streams with several.
        endianness: order of the halves of the words of EVT2.1: little or legacy.
        version: of DAT.
        group: of HDF5, with the columns.
        topic: of a ROS bag.

    Raises:
        ConfigError: a value that is not possible.
    """

    size: SensorSize | None = None
    columns: str | None = None
    time_unit: str | None = None
    chip: str | None = None
    stream: int | None = None
    endianness: str | None = None
    version: str | None = None
    group: str | None = None
    topic: str | None = None

    def __post_init__(self) -> None:
        if self.columns is not None and sorted(self.columns) != sorted("txyp"):
            raise ConfigError("columns", self.columns, "each of t, x, y, p once, such as xypt")
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise ConfigError(name, value, " or ".join(allowed))

    @classmethod
    def parse(
        cls, options: Mapping[str, str], size: SensorSize | None, name: str, allowed: Iterable[str]
    ) -> ReadOptions:
        """From the options of a URI.

        Args:
            size: already known.
            name: of the file, for errors.
            allowed: options of its format.

        Raises:
            ConfigError: an option that the format does not have, or an impossible value.
        """
        for key in options:
            if key not in allowed:
                known = ("width", "height", "format", "damage", *allowed)
                raise ConfigError(f"option of {name}", key, ", ".join(known))
        given: dict[str, str | int] = dict(options)
        if "stream" in options:
            given["stream"] = parse_stream(options["stream"])
        return dataclasses.replace(cls(size=size), **given)  # type: ignore[arg-type]


def parse_stream(text: str) -> int:
    """The number of a stream; ConfigError if it is none."""
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise ConfigError("stream", text, "the number of a stream, such as 0")
    return int(text)
