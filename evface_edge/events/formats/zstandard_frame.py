"""Zstandard, with a limit on what comes out (extras: aedat, rosbag)."""

from __future__ import annotations

#: What decompressing may keep in memory for itself.
_WINDOW_BYTES = 1 << 27
#: Nearly all packets are smaller, and a buffer of known size is faster than one that grows.
_USUAL_BYTES = 4 << 20


def decompress(data: bytes | memoryview, limit_bytes: int) -> bytes:
    """The content of one frame, of at most so many bytes.

    Raises:
        ValueError: it is damaged.
        ModuleNotFoundError: zstandard is not installed.
    """
    from zstandard import ZstdDecompressor, ZstdError, frame_content_size

    decompressor = ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        stated = frame_content_size(data)
        if stated > limit_bytes:
            raise ValueError(f"a frame of {stated} bytes, expected {limit_bytes} at most")
        try:
            return decompressor.decompress(data, max_output_size=_USUAL_BYTES)
        except ZstdError:  # larger, or damaged, which only reading on will tell
            with decompressor.stream_reader(data) as reader:
                return reader.read(limit_bytes)
    except ZstdError as error:
        raise ValueError(str(error)) from None
