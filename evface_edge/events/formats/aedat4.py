"""AEDAT 4 of iniVation's DV, decoded by the package `aedat` (extra: aedat).

https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html. The first
stream of events is read; frames, motion and triggers are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evface_edge.errors import EventFormatError, RuntimeUnavailable
from evface_edge.events.array import EventArray
from evface_edge.events.contents import Contents, ReadOptions, header_size
from evface_edge.events.guard import Guard

_VERSION_BYTES = 14  # "#!AER-DAT4.0\r\n"


def read(path: Path, options: ReadOptions) -> Contents:
    """Reads the header.

    Raises:
        EventFormatError: it is damaged, or there is no stream of events.
        RuntimeUnavailable: the package `aedat` is not installed.
    """
    streams = _decoder(path).id_to_stream()
    stream_id, stream = next(
        ((key, value) for key, value in sorted(streams.items()) if value["type"] == "events"),
        (None, None),
    )
    if stream_id is None or stream is None:
        kinds = ", ".join(sorted({str(value["type"]) for value in streams.values()})) or "nothing"
        raise EventFormatError(f"holds {kinds}, expected a stream of events", path=path)
    size = options.size or header_size(path, int(stream["width"]), int(stream["height"]))

    def packets(guard: Guard) -> Iterator[EventArray]:
        offsets = _packet_offsets(path)
        offset = next(offsets, None)
        end = path.stat().st_size
        decoder = _decoder(path)
        while True:
            try:
                packet = next(decoder)
            except StopIteration:
                return
            except (Exception, BaseException) as error:
                if not _is_decoding_error(error):
                    raise
                raise EventFormatError(
                    f"a packet is damaged or truncated: {error}", path=path, offset=offset
                ) from None
            if packet["stream_id"] == stream_id and "events" in packet:
                events = packet["events"]
                for event in guard.check(
                    events["t"], events["x"], events["y"], events["on"], offset=offset
                ):
                    yield event
            offset = next(offsets, None)
            guard.fraction = (offset or end) / end

    return Contents(size, packets, {"streams": ", ".join(s["type"] for s in streams.values())})


def _decoder(path: Path) -> Any:
    try:
        import aedat
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            f"{path.name}: reading AEDAT 4 needs the package aedat: pip install 'evface-edge[aedat]'"
        ) from None
    try:
        return aedat.Decoder(path)
    except BaseException as error:
        if not _is_decoding_error(error):
            raise
        raise EventFormatError(f"the header is damaged: {error}", path=path) from None


def _is_decoding_error(error: BaseException) -> bool:
    """Whether the decoder failed; a panic of its Rust part is no `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _packet_offsets(path: Path) -> Iterator[int]:
    """Where packets begin: each has the number of its stream and its length, 4 bytes each."""
    end = path.stat().st_size
    with path.open("rb") as file:
        file.seek(_VERSION_BYTES)
        offset = _VERSION_BYTES + 4 + int.from_bytes(file.read(4), "little")
        while offset + 8 <= end:
            yield offset
            file.seek(offset)
            _, length = struct.unpack("<ii", file.read(8))
            if length < 0:
                return
            offset += 8 + length
