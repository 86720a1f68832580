"""Header and sensor names of AEDAT 2 and 3."""

from __future__ import annotations

import re
from pathlib import Path

from evface_edge.errors import EventFormatError
from evface_edge.geometry import SensorSize

_SENSORS = (
    (r"dvs128", SensorSize(128, 128)),
    (r"davis240", SensorSize(240, 180)),
    (r"davis346", SensorSize(346, 260)),
    (r"davis640", SensorSize(640, 480)),
    (r"dvs640", SensorSize(640, 480)),
    (r"davis128", SensorSize(128, 128)),
    (r"davis208", SensorSize(208, 192)),
    (r"dvxplorer[_ ]lite", SensorSize(320, 240)),
    (r"dvxplorer", SensorSize(640, 480)),
)
_HEADER_LIMIT_BYTES = 16 << 20


def size_of_sensor(name: str) -> SensorSize | None:
    """The size of the sensor that a name such as "Davis346blue" starts with."""
    for pattern, size in _SENSORS:
        if re.match(pattern, name, re.IGNORECASE):
            return size
    return None


def read_header(path: Path) -> tuple[list[str], int]:
    """The lines that start with #, and the byte offset after them.

    Raises:
        EventFormatError: the header does not end.
    """
    lines: list[str] = []
    with path.open("rb") as file:
        while True:
            start = file.tell()
            if file.read(1) != b"#":
                return lines, start
            line = file.readline(1 << 16)
            if not line.endswith(b"\n") or file.tell() > _HEADER_LIMIT_BYTES:
                raise EventFormatError("the header does not end", path=path, offset=start)
            lines.append(line.decode("latin-1").strip())
            if lines[-1] == "!END-HEADER":
                return lines, file.tell()
