"""Writing HDF5 in the layout of DSEC, or that of Metavision with ECF (extra: hdf5)."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import RuntimeUnavailable
from evface_edge.events.array import EVENT_DTYPE, EventArray, copied, joined
from evface_edge.events.formats import base, ecf
from evface_edge.events.formats.base import Options, check_size, choose
from evface_edge.events.formats.hdf5 import ECF_FILTER
from evface_edge.geometry import SensorSize

_COLUMN_CHUNK = 65536
_TABLE_CHUNK = 16384  # the buffer size of Metavision's reader
_INDEX_STEP_US = 2000


class Writer(base.Writer):
    """Writes whole chunks of events, with the given `?layout=` and `?compression=`.

    `dsec`: `events/{t,x,y,p}`, `t_offset` and `ms_to_idx`, for h5py and the DSEC tools.
    `metavision`: `CD/events` in ECF and its index of every 2 ms, for Metavision's own reader.
    """

    def __init__(self, file: BinaryIO, size: SensorSize, options: Options) -> None:
        layout = choose(options, "layout", ("dsec", "metavision"), "dsec")
        compression = choose(options, "compression", ("gzip", "blosc", "none"), "gzip")
        try:
            import h5py
        except ModuleNotFoundError:
            raise RuntimeUnavailable(
                "writing HDF5 needs h5py: pip install 'evface-edge[hdf5]'"
            ) from None
        self._file = h5py.File(file, "w")
        self._layout: _Columns | _Table
        try:
            if layout == "dsec":
                self._layout = _Columns(self._file, size, compression)
            else:
                self._layout = _Table(self._file, size)
        except BaseException:
            self._file.close()
            raise
        self._waiting: list[EventArray] = []
        self._count = 0

    def write(self, events: EventArray) -> None:
        self._waiting.append(copied(events))
        self._count += len(events)
        if self._count >= self._layout.chunk_events:
            self._flush(self._count - self._count % self._layout.chunk_events)

    def _flush(self, count: int) -> None:
        events = joined(self._waiting)
        self._waiting, self._count = [events[count:]], len(events) - count
        if count:
            self._layout.append(events[:count])

    def finish(self) -> None:
        self._flush(self._count)
        self._layout.finish()
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Columns:
    """t since the first event, x, y, p, and the index of the first event of every millisecond."""

    chunk_events = _COLUMN_CHUNK

    def __init__(self, file: Any, size: SensorSize, compression: str) -> None:
        self._file = file
        file.attrs["width"], file.attrs["height"] = size.width, size.height
        self._filters = _filters(compression)
        self._columns = {
            name: self._dataset(f"events/{name}", EVENT_DTYPE[name]) for name in "pxyt"
        }
        self._starts = self._dataset("ms_to_idx", np.dtype(np.uint64))
        self._origin_us: int | None = None
        self._done = 0

    def _dataset(self, name: str, dtype: np.dtype[Any]) -> Any:
        return self._file.create_dataset(
            name,
            shape=(0,),
            maxshape=(None,),
            chunks=(_COLUMN_CHUNK,),
            dtype=dtype,
            **self._filters,
        )

    def append(self, events: EventArray) -> None:
        if self._origin_us is None:
            self._origin_us = int(events["t"][0])
        t = events["t"] - self._origin_us
        first, stop = len(self._starts), int(t[-1]) // 1000 + 1
        if stop > first:
            edges = np.arange(first, stop, dtype=np.int64) * 1000
            self._starts.resize((stop,))
            self._starts[first:] = self._done + np.searchsorted(t, edges)
        stop = self._done + len(events)
        for name, column in self._columns.items():
            column.resize((stop,))
            column[self._done :] = t if name == "t" else events[name]
        self._done = stop

    def finish(self) -> None:
        self._file.create_dataset("t_offset", data=np.int64(self._origin_us or 0))


def _filters(compression: str) -> dict[str, Any]:
    """Keyword arguments of `create_dataset`."""
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    try:
        import hdf5plugin
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            "writing HDF5 with Blosc needs hdf5plugin: pip install 'evface-edge[hdf5]'"
        ) from None
    return dict(hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE))


class _Table:
    """One table of x, y, p, t in ECF chunks, and the index of the first event of every 2 ms.

    https://docs.prophesee.ai/stable/data/file_formats/hdf5.html. Metavision's reader needs
    the table of triggers too, and text as attributes.
    """

    chunk_events = _TABLE_CHUNK
    _EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    _TRIGGER = np.dtype([("p", "<i2"), ("t", "<i8"), ("id", "<i2")], align=True)
    _INDEX = np.dtype([("id", "<u8"), ("ts", "<i8")])

    def __init__(self, file: Any, size: SensorSize) -> None:
        check_size(size, 2048, 2048, "ECF")
        file.attrs["version"] = "1.0"
        file.attrs["format"] = "ECF"
        file.attrs["geometry"] = f"{size.width}x{size.height}"
        self._events = self._dataset(file, "CD", "events", self._EVENT, ecf=True)
        self._indexes = self._dataset(file, "CD", "indexes", self._INDEX)
        self._dataset(file, "EXT_TRIGGER", "events", self._TRIGGER)
        self._dataset(file, "EXT_TRIGGER", "indexes", self._INDEX)
        self._done = 0
        self._origin_us = 0
        self._bins = 0
        # Entry 0 is before the first event; entry k + 1 is for the k-th 2 ms.
        self._index = [np.array([(0, -1)], self._INDEX)]

    @staticmethod
    def _dataset(file: Any, group: str, name: str, dtype: Any, *, ecf: bool = False) -> Any:
        import h5py

        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((_TABLE_CHUNK,))
        if ecf:
            # Optional, as HDF5 does not have this filter: chunks are written directly.
            properties.set_filter(ECF_FILTER, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,))
        kind = h5py.h5t.py_create(dtype, logical=True)
        parent = file.require_group(group)
        return h5py.Dataset(h5py.h5d.create(parent.id, name.encode(), kind, space, properties))

    def append(self, events: EventArray) -> None:
        if not self._done:
            self._origin_us = int(events["t"][0])
        for start in range(0, len(events), _TABLE_CHUNK):
            part = events[start : start + _TABLE_CHUNK]
            self._events.resize((self._done + len(part),))
            self._events.id.write_direct_chunk((self._done,), ecf.encode(part))
            self._add_to_index(part["t"] - self._origin_us)
            self._done += len(part)

    def _add_to_index(self, t: NDArray[np.int64]) -> None:
        """A bin without events repeats the entry before it."""
        first, last = self._bins, int(t[-1]) // _INDEX_STEP_US + 1
        if last <= first:
            return
        bins = t // _INDEX_STEP_US
        places = np.searchsorted(bins, np.arange(first, last))
        # An event found for a bin counts only if it lies in that bin.
        own = bins[places] == np.arange(first, last)
        entries = np.empty(last - first + 1, self._INDEX)
        entries[0] = self._index[-1][-1]
        entries["id"][1:], entries["ts"][1:] = self._done + places, t[places]
        latest = np.maximum.accumulate(np.where(own, np.arange(1, len(own) + 1), 0))
        self._index.append(entries[latest])
        self._bins = last

    def finish(self) -> None:
        if not self._done:
            return
        self._indexes.attrs["offset"] = str(-self._origin_us)
        index = np.concatenate(self._index)
        self._indexes.resize((len(index),))
        self._indexes[...] = index
