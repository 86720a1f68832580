"""The table of live sources. Adding one is adding a row here and a file beside this one.

A module named here offers `prepare(request) -> Opener`: it checks the options, imports what it
needs, and returns a function that opens the camera. Every row becomes a LiveSource, which drains
it in a thread of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.events import uri
from evface_edge.geometry import SensorSize

if TYPE_CHECKING:
    from evface_edge.events.cameras.driver import Opener, Request
    from evface_edge.events.cameras.live import LiveSource


def _rule(vendor: str, product: str) -> str:
    match = f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"'
    return f'SUBSYSTEM=="usb", {match}, MODE="0666"'


_INIVATION_RULES = (_rule("152a", "84[0-1]?"),)
_PROPHESEE_RULES = (_rule("04b4", "00f[4-5]"), _rule("03fd", "5832"), _rule("1fc9", "5838"))


@dataclass(frozen=True)
class Camera:
    """One row.

    Attributes:
        name: what follows `camera:`, or the scheme itself.
        title: for people.
        module: below evface_edge.events.cameras.
        driver: the library that talks to it.
        install: what brings the driver; empty where nothing is needed.
        udev: lines of a file in /etc/udev/rules.d that let every user open the camera.
        scheme: of its URIs.
    """

    name: str
    title: str
    module: str
    driver: str = ""
    install: str = ""
    udev: tuple[str, ...] = ()
    scheme: str = "camera"

    @property
    def missing(self) -> RuntimeUnavailable:
        """The error when the driver is not installed."""
        rules = "".join(f"\n    {line}" for line in self.udev)
        return RuntimeUnavailable(
            f"a {self.title} needs {self.driver}, which is not installed: {self.install}; on Linux "
            f"also let every user open it, in /etc/udev/rules.d/65-event-cameras.rules:{rules}"
        )

    @property
    def make(self) -> str:
        """Who makes cameras with these udev rules; empty where none are needed."""
        return {_PROPHESEE_RULES: "Prophesee", _INIVATION_RULES: "iniVation"}.get(self.udev, "")

    @property
    def hint(self) -> str:
        """What to look at when no camera is found."""
        rules = (
            ", and the udev rules in docs/reference/cameras.md where access is denied"
            if self.udev
            else ""
        )
        return f"look at its cable and power, at whether another program holds it{rules}"


_EXTRA = "pip install 'evface-edge[{}]'"

_NEUROMORPHIC = "neuromorphic-drivers"
_DV = "dv-processing"
_OPENEB = "OpenEB"

#: Driver → what is imported of it.
DRIVER_MODULES = {
    _NEUROMORPHIC: "neuromorphic_drivers",
    _DV: "dv_processing",
    _OPENEB: "metavision_core",
}

CAMERAS: tuple[Camera, ...] = (
    Camera(
        "prophesee",
        "Prophesee EVK4 or EVK3 HD",
        "neuromorphic",
        _NEUROMORPHIC,
        _EXTRA.format("prophesee"),
        _PROPHESEE_RULES,
    ),
    Camera(
        "evk4",
        "Prophesee EVK4",
        "neuromorphic",
        _NEUROMORPHIC,
        _EXTRA.format("prophesee"),
        _PROPHESEE_RULES,
    ),
    Camera(
        "evk3",
        "Prophesee EVK3 HD",
        "neuromorphic",
        _NEUROMORPHIC,
        _EXTRA.format("prophesee"),
        _PROPHESEE_RULES,
    ),
    Camera(
        "inivation",
        "camera by iniVation",
        "inivation",
        _DV,
        _EXTRA.format("inivation"),
        _INIVATION_RULES,
    ),
    Camera(
        "davis346",
        "iniVation DAVIS346",
        "neuromorphic",
        _NEUROMORPHIC,
        _EXTRA.format("inivation"),
        _INIVATION_RULES,
    ),
    Camera(
        "dvxplorer",
        "iniVation DVXplorer",
        "neuromorphic",
        _NEUROMORPHIC,
        _EXTRA.format("inivation"),
        _INIVATION_RULES,
    ),
    Camera(
        "metavision",
        "Metavision camera",
        "metavision",
        _OPENEB,
        "build version 5 for this Python (https://docs.prophesee.ai); the package `metavision` "
        "on the Python index is something else",
        _PROPHESEE_RULES,
    ),
    Camera("dv", "DV network stream", "network", scheme="dv"),
    Camera("replay", "recording played as a camera", "replay", scheme="replay"),
)

#: Of the URIs that are opened here.
SCHEMES = tuple(sorted({row.scheme for row in CAMERAS}))


def open_camera(
    name: str | uri.SourceName,
    *,
    size: SensorSize | None = None,
    strict: bool = False,
    **options: object,
) -> LiveSource:
    """Opens a live source.

    Args:
        name: such as `camera:evk4?serial=00050423`, `dv://host:7777`, `replay:recording.raw`.
        size: of the sensor, where the source does not say it.
        strict: whether damage of a replayed recording is an error.
        options: more options, besides those in the URI; nested ones as dictionaries, such as
            `biases={"diff_on": 20}, roi=(320, 180, 640, 360)`.

    Raises:
        ConfigError: no such camera, or an option that it does not have.
        RuntimeUnavailable: its driver is not installed; the message says what to do.
        CameraError: it is not there.
    """
    from evface_edge.events.cameras.driver import Request
    from evface_edge.events.cameras.live import LiveSource
    from evface_edge.events.cameras.options import LiveOptions, as_text

    parsed = uri.parse(name) if isinstance(name, str) else name
    row = find(parsed)
    given: dict[str, str] = {**parsed.options, **as_text(options)}
    live = LiveOptions.take(given)
    if row.scheme == "camera":
        if size is not None:
            raise ConfigError("size", str(size), "none: a camera tells the size of its sensor")
    else:
        size = size or uri.pop_size(given)
    opener = _prepare(row, Request(row.name, parsed.name, given, size, strict))
    return LiveSource(opener, live)


def find(name: uri.SourceName) -> Camera:
    """The row of a URI.

    Raises:
        ConfigError: there is none.
    """
    rows: Mapping[str, Camera] = {row.name: row for row in CAMERAS if row.scheme == name.scheme}
    row = rows.get(name.scheme if name.scheme in rows else name.name.lower())
    if row is None:
        allowed = ", ".join(f"{name.scheme}:{key}" for key in rows) or ", ".join(SCHEMES)
        raise ConfigError("camera", f"{name.scheme}:{name.name}", allowed)
    return row


def _prepare(row: Camera, request: Request) -> Opener:
    module = importlib.import_module(f"{__name__}.{row.module}")
    try:
        return cast("Opener", module.prepare(request))
    except ImportError as error:
        if not row.driver:
            raise
        raise row.missing from error
