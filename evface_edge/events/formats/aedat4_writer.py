"""Writing AEDAT 4 with dv-processing (extra: inivation)."""

from __future__ import annotations

import os
import shutil
from collections import deque
from pathlib import Path
from typing import BinaryIO

from evface_edge.errors import EventFormatError, RuntimeUnavailable
from evface_edge.events.array import EventArray
from evface_edge.events.formats import base
from evface_edge.events.formats.base import Options, check_size, choose
from evface_edge.events.limits import MAX_PACKET_EVENTS
from evface_edge.geometry import SensorSize


class Writer(base.Writer):
    """Writes one stream of events, in packets of up to 65,536, with the given `?compression=`.

    dv-processing writes to a file of its own, which must end in .aedat4 (any other name aborts
    the process). `finish` copies its content to the file given.
    """

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
        compression = choose(options, "compression", ("lz4", "zstd", "none"), "lz4")
        check_size(size, 1 << 15, 1 << 15, "AEDAT 4")  # signed 16-bit coordinates
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
                "dv-processing cannot write timestamps below 0 µs, and the first event is at "
                f"{events['t'][0]} µs; convert with --from-zero"
            )
        for start in range(0, len(events), MAX_PACKET_EVENTS):
            part = events[start : start + MAX_PACKET_EVENTS]
            store = self._store()
            # The library accepts no arrays; tuples are the fastest of what it accepts.
            rows = zip(*(part[field].tolist() for field in "txyp"), strict=True)
            deque(map(store.push_back, rows), maxlen=0)
            self._writer.writeEvents(store)

    def finish(self) -> None:
        self._writer = None  # writes the last packets and the table
        with self._path.open("rb") as written:
            shutil.copyfileobj(written, self._file, 1 << 20)

    def close(self) -> None:
        self._writer = None
        self._path.unlink(missing_ok=True)
