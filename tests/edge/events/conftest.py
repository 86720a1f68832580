"""A writer of AEDAT 4 by hand: FlatBuffers of a header and of packets, as DV writes them."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from evface_edge.events import EventArray
from evface_edge.geometry import SensorSize

_EVENT = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)


def _buffer(identifier: bytes, fields: list[int | bytes]) -> bytes:
    """A buffer with its length, and a root table of int64 numbers and vectors."""
    slots = 4 + 2 * len(fields)
    table = 8 + slots + -(8 + slots) % 8
    positions = [8 * (k + 1) for k in range(len(fields))]
    body = bytearray(table + 8 * (len(fields) + 1))
    struct.pack_into("<I4s", body, 0, table, identifier)
    shape = (slots, 8 * (len(fields) + 1), *positions)
    struct.pack_into(f"<{len(shape)}H", body, table - slots, *shape)
    struct.pack_into("<i", body, table, slots)
    for position, value in zip(positions, fields, strict=True):
        if isinstance(value, int):
            struct.pack_into("<q", body, table + position, value)
            continue
        body += bytes(-(len(body) + 4) % 8)  # so that the items are aligned
        struct.pack_into("<I", body, table + position, len(body) - table - position)
        body += value
    return struct.pack("<I", len(body)) + bytes(body)


def _node(number: int, source: str, size: SensorSize) -> str:
    def attribute(key: str, value: object) -> str:
        return f'<attr key="{key}" type="string">{value}</attr>'

    path = f"/mainloop/Recorder/outInfo/{number}/"
    info = attribute("sizeX", size.width) + attribute("sizeY", size.height)
    return (
        f'<node name="{number}" path="{path}">{attribute("typeIdentifier", "EVTS")}'
        f'<node name="info" path="{path}info/">{info}{attribute("source", source)}</node></node>'
    )


#: Name, sensor size and events of a camera.
Camera = tuple[str, SensorSize, EventArray]


@pytest.fixture
def aedat4() -> Callable[[list[Camera]], bytes]:
    """A function that makes a file with one uncompressed stream for each camera."""
    return _aedat4


def _aedat4(streams: list[Camera], parts: int = 5) -> bytes:
    nodes = (_node(number, name, size) for number, (name, size, _) in enumerate(streams))
    text = f'<dv version="2.0">{"".join(nodes)}</dv>'.encode()
    out = _buffer(b"IOHE", [0, -1, struct.pack("<I", len(text)) + text + b"\0"])
    out = b"#!AER-DAT4.0\r\n" + out
    for part in range(parts):
        for number, (_, _, events) in enumerate(streams):
            chosen = np.array_split(events, parts)[part]
            records = np.zeros(len(chosen), _EVENT)
            for field in "txyp":
                records[field] = chosen[field]
            packet = _buffer(b"EVTS", [struct.pack("<I", len(records)) + records.tobytes()])
            out += struct.pack("<ii", number, len(packet)) + packet
    return out
