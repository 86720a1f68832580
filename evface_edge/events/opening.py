"""Opening of sources of events by their paths or URIs."""

from __future__ import annotations

import importlib.metadata
import os
from typing import TYPE_CHECKING, Protocol

from evface_edge.errors import ConfigError, EventFormatError, InputTypeError
from evface_edge.events import uri
from evface_edge.events.array import EventArray, joined
from evface_edge.events.cameras.table import SCHEMES, find
from evface_edge.events.damage import Damage, check_damage
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.formats.table import detect
from evface_edge.events.recording import Recording
from evface_edge.events.source import EventSource
from evface_edge.geometry import SensorSize, Size, to_size

if TYPE_CHECKING:
    from evface_edge.events.cameras.live import LiveSource

#: Packages offer sources in this group: the name of an entry point is the scheme of the URI.
ENTRY_POINTS = "evface_edge.sources"


class SourceFactory(Protocol):
    """The object of an entry point of the group `evface_edge.sources`.

    For `synthetic:avatar?seed=1` it is called with ("avatar", {"seed": "1"}, size=…). It raises
    ConfigError for an unknown name or option.
    """

    def __call__(
        self, name: str, options: dict[str, str], *, size: SensorSize | None
    ) -> EventSource: ...


def open_events(
    source: str | os.PathLike[str], *, size: Size | None = None, damage: Damage | None = None
) -> EventSource:
    """Opens a recording, or any other source of events.

    Args:
        source: a path; `FILE?width=640&height=480` if the file does not state the sensor size;
            `replay:FILE?speed=1` for a recording in real time; `camera:NAME` or `dv://host:port`
            (docs/reference/cameras.md); or what a package offers, such as `synthetic:avatar`.
        size: of the sensor, a SensorSize or (width, height); has priority over the file.
        damage: `strict` (default for recordings): raise EventFormatError; `salvage`: deliver the
            events before it, then issue EventFormatWarning; `skip` (default for live sources):
            leave out and count what cannot be true. `?damage=` has priority.

    Raises:
        InputTypeError: a source or size of an unsupported type.
        EventFormatError: there is no such file, or it cannot be read.
        ConfigError: an unknown scheme or option.
        CameraError: the camera or network stream is not available.
        RuntimeUnavailable: the driver of the camera is not installed.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise InputTypeError("source", source, "one path or URI")
    name, sensor = uri.parse(source), None if size is None else to_size(size)
    if name.scheme in SCHEMES:
        return open_camera(name, size=sensor, damage=damage)
    if name.scheme:
        return _open_entry_point(name, sensor)
    return open_recording(name, size=sensor, damage=damage)


def open_recording(
    name: uri.SourceName, *, size: SensorSize | None = None, damage: Damage | None = None
) -> Recording:
    """Opens a file; see `open_events`."""
    options = dict(name.options)
    size = size or uri.pop_size(options)
    policy = check_damage(options.pop("damage", damage or "strict"))
    row = detect(name.path, options.pop("format", None))
    stated = ReadOptions.parse(options, size, name.name, row.options)
    try:
        contents = row.read(name.path, stated)
    except OSError as error:
        raise EventFormatError(f"cannot be read: {error}", path=name.path) from error
    return Recording(name.path, row, contents, policy)


def open_camera(
    name: str | uri.SourceName,
    *,
    size: SensorSize | None = None,
    damage: Damage | None = None,
    **options: object,
) -> LiveSource:
    """Opens a camera, network stream or replay.

    Args:
        name: such as `camera:evk4?serial=00050423`, `dv://host:7777`, `replay:recording.raw`.
        size: of the sensor, if the source does not state it.
        damage: as in `open_events`.
        options: besides those of the URI. Nested options are dictionaries:
            `biases={"diff_on": 20}, roi=(320, 180, 640, 360)`.

    Raises:
        ConfigError: an unknown camera or option.
        RuntimeUnavailable: the driver is not installed; with the command that installs it.
        CameraError: the camera is not available.
    """
    from evface_edge.events.cameras.driver import Request
    from evface_edge.events.cameras.live import LiveSource
    from evface_edge.events.cameras.options import LiveOptions, as_text

    parsed = uri.parse(name) if isinstance(name, str) else name
    row = find(parsed)
    given: dict[str, str] = {**parsed.options, **as_text(options)}
    live = LiveOptions.take(given)
    damage = check_damage(given.pop("damage", damage or "skip"))
    if row.scheme != "camera":
        size = size or uri.pop_size(given)
    elif size is not None:
        raise ConfigError(
            "size", str(size), "no size", reason="a camera states its size; do not give one"
        )
    return LiveSource(row.prepare(Request(row, parsed.name, given, size, damage)), live, damage)


def _open_entry_point(name: uri.SourceName, size: SensorSize | None) -> EventSource:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for point in points:
        if point.name == name.scheme:
            factory: SourceFactory = point.load()
            return factory(name.name, dict(name.options), size=size)
    known = ", ".join(sorted({*SCHEMES, *points.names}))
    raise ConfigError("scheme of the source", name.scheme, f"a file, or one of: {known}")


def read_events(
    source: str | os.PathLike[str], *, size: Size | None = None, damage: Damage | None = None
) -> tuple[EventArray, SensorSize]:
    """All events of a recording (N,) and the size of its sensor; see `open_events`.

    Raises:
        ConfigError: the source is live, and would never end.
    """
    with open_events(source, size=size, damage=damage) as opened:
        if opened.live:
            raise ConfigError("source", str(source), "a recording: a live source does not end")
        return joined(list(opened)), opened.size
