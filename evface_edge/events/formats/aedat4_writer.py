"""Writing AEDAT 4, by dv-processing (extra: inivation)."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from evface_edge.errors import EventFormatError, RuntimeUnavailable
from evface_edge.events import contents
from evface_edge.events.array import EventArray
from evface_edge.events.contents import PACKET_EVENTS, ReadOptions
from evface_edge.geometry import SensorSize

COMPRESSIONS = ("lz4", "zstd", "none")

#: Places are signed numbers of 16 bits there.
_LARGEST_PX = 32768


class Writer(contents.Writer):
    """Writes one stream of events, in packets of up to 65,536; `?compression=` names how.

    dv-processing writes to a file of its own, which must end in .aedat4 (any other name aborts
    the process); at the end its content moves into the file given.
    """

    def __init__(self, file: BinaryIO, size: SensorSize, options: Mapping[str, str]) -> None:
        compression = ReadOptions(values=options).choice("compression", COMPRESSIONS, "lz4")
        if max(size.width, size.height) > _LARGEST_PX:
            raise EventFormatError(
                f"AEDAT 4 holds sensors of up to {_LARGEST_PX}×{_LARGEST_PX} pixels, "
                f"this one is {size}"
            )
        try:
            import dv_processing as dv
        except ModuleNotFoundError:
            raise RuntimeUnavailable(
                "writing AEDAT 4 needs dv-processing: pip install 'evface-edge[inivation]'"
            ) from None
        self._file, self._store = file, dv.EventStore
        self._path = Path(f"{os.fspath(file.name)}.aedat4")
        self._writer = dv.io.MonoCameraWriter(
            os.fspath(self._path),
            dv.io.MonoCameraWriter.EventOnlyConfig(
                "evface-edge",
                (size.width, size.height),
                dv.CompressionType.__members__[compression.upper()],
            ),
        )

    def write(self, events: EventArray) -> None:
        if events["t"][0] < 0:
            raise EventFormatError(
                f"dv-processing writes times from 0 µs on, the first event is at "
                f"{events['t'][0]} µs; convert with --from-zero"
            )
        for start in range(0, len(events), PACKET_EVENTS):
            part = events[start : start + PACKET_EVENTS]
            store = self._store()
            # It takes no arrays; of the ways in that it has, tuples are the fastest.
            rows = zip(*(part[field].tolist() for field in "txyp"), strict=True)
            deque(map(store.push_back, rows), maxlen=0)
            self._writer.writeEvents(store)

    def finish(self) -> None:
        self._writer = None  # writes what is left, and the table at the end
        with self._path.open("rb") as written:
            shutil.copyfileobj(written, self._file, 1 << 20)

    def close(self) -> None:
        self._writer = None
        self._path.unlink(missing_ok=True)
