"""Opening a source of events by its path or URI."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Protocol

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import formats, uri
from evface_edge.events.array import EventArray, joined
from evface_edge.events.contents import ReadOptions
from evface_edge.events.recording import Recording
from evface_edge.events.source import EventSource
from evface_edge.geometry import SensorSize

#: Packages offer sources here: the name of an entry point is the scheme of the URI.
ENTRY_POINTS = "evface_edge.sources"


class SourceFactory(Protocol):
    """What an entry point of the group `evface_edge.sources` refers to.

    For `synthetic:avatar?seed=1` it is called with ("head", {"seed": "1"}, size=…); it raises
    ConfigError for a name or an option that it does not know.
    """

    def __call__(
        self, name: str, options: dict[str, str], *, size: SensorSize | None
    ) -> EventSource: ...


def open_events(
    source: str | os.PathLike[str], *, size: SensorSize | None = None, strict: bool = False
) -> EventSource:
    """Opens a recording, or any other source of events.

    Args:
        source: a path, `FILE?width=640&height=480` where the file does not say the size of its
            sensor, `replay:FILE?speed=1` for a recording in its own time, `camera:NAME`,
            `dv://host:port` (docs/reference/cameras.md), or what an installed package offers.
        size: of the sensor; goes before what the file says.
        strict: whether damage is an error; otherwise the events before it are delivered, then
            EventFormatWarning is issued.

    Raises:
        EventFormatError: no such file, or none that can be read.
        ConfigError: an option that does not exist, or a scheme that nothing offers.
        CameraError: the camera or network stream is not there.
        RuntimeUnavailable: the driver of the camera is not installed.
    """
    from evface_edge.events.cameras import SCHEMES, open_camera

    name = uri.parse(source)
    if name.scheme in SCHEMES:
        return open_camera(name, size=size, strict=strict)
    if name.scheme:
        return _offered(name, size)
    return open_recording(name, size=size, strict=strict)


def open_recording(
    name: uri.SourceName, *, size: SensorSize | None = None, strict: bool = False
) -> Recording:
    """Opens a file; see `open_events`."""
    options = dict(name.options)
    size = size or uri.pop_size(options)
    row = formats.detect(name.path, options.pop("format", None))
    unknown = sorted(set(options) - set(row.options))
    if unknown:
        allowed = ("width", "height", "format", *row.options)
        raise ConfigError(f"option of {name.name}", unknown[0], ", ".join(allowed))
    try:
        contents = row.read(name.path, ReadOptions(size, options))
    except OSError as error:
        raise EventFormatError(f"cannot be read: {error}", path=name.path) from error
    return Recording(name.path, row, contents, strict=strict)


def _offered(name: uri.SourceName, size: SensorSize | None) -> EventSource:
    from evface_edge.events.cameras import SCHEMES

    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for point in points:
        if point.name == name.scheme:
            factory: SourceFactory = point.load()
            return factory(name.name, dict(name.options), size=size)
    known = ", ".join(sorted({*SCHEMES, *points.names}))
    raise ConfigError(
        "scheme of the source", name.scheme, f"a file, or one of: {known} (by what is installed)"
    )


def read_events(
    source: str | os.PathLike[str], *, size: SensorSize | None = None, strict: bool = False
) -> tuple[EventArray, SensorSize]:
    """All events of a recording (N,) and the size of its sensor; see `open_events`.

    Raises:
        ConfigError: the source is live, and would not end.
    """
    with open_events(source, size=size, strict=strict) as opened:
        if opened.live:
            raise ConfigError("source", str(source), "a recording: a live source does not end")
        return joined(list(opened)), opened.size
