"""LZ4 and Zstandard frames with a limit on their decompressed size (extras: aedat, rosbag)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evface_edge.errors import RuntimeUnavailable

Data = bytes | memoryview

#: What decompression may allocate for itself.
_WINDOW_BYTES = 1 << 27
#: Nearly all frames are smaller, and a buffer of known size is faster than one that grows.
_USUAL_BYTES = 4 << 20


def decompressor(kind: str, name: str, limit_bytes: int) -> Callable[[Data], Data]:
    """A function that decompresses one frame, to `limit_bytes` at most.

    It raises ValueError or RuntimeError if the frame is damaged.

    Args:
        kind: "none", "lz4" or "zstd".
        name: of the file, for messages.

    Raises:
        RuntimeUnavailable: the library is not installed.
    """
    if kind == "none":
        return lambda data: data
    try:
        if kind == "lz4":
            import lz4.frame

            context = lz4.frame.create_decompression_context()
            return lambda data: _decompress_lz4(lz4.frame, context, data, limit_bytes)
        import zstandard  # noqa: F401
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"{name}: its packets are compressed, and {error.name} is not installed: "
            "pip install 'evface-edge[aedat]'"
        ) from None
    return lambda data: decompress_zstd(data, limit_bytes)


def decompress_zstd(data: Data, limit_bytes: int) -> bytes:
    """The content of one Zstandard frame; ValueError if it is damaged or larger."""
    from zstandard import ZstdDecompressor, ZstdError, frame_content_size

    zstd = ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        stated = frame_content_size(data)
        if stated > limit_bytes:
            raise ValueError(f"a frame of {stated} bytes, expected {limit_bytes} at most")
        try:
            return zstd.decompress(data, max_output_size=_USUAL_BYTES)
        except ZstdError:  # larger, or damaged: streaming shows which
            with zstd.stream_reader(data) as reader:
                return reader.read(limit_bytes)
    except ZstdError as error:
        raise ValueError(str(error)) from None


def _decompress_lz4(frame: Any, context: Any, data: Data, limit_bytes: int) -> bytes:
    """Decompresses in parts: a buffer of `limit_bytes` would cost more than the decompression."""
    frame.reset_decompression_context(context)
    parts: list[bytes] = []
    ended = False
    while not ended:
        part, read, ended = frame.decompress_chunk(context, data, max_length=_USUAL_BYTES)
        parts.append(part)
        data = data[read:]
        if not part and not read:
            raise ValueError("a frame that does not end")
        if len(parts) * _USUAL_BYTES > limit_bytes:
            raise ValueError(f"a frame of more than {limit_bytes} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)
